package metadata

import (
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/queue"
)

func policy(name, pattern, applyTo string, priority int, def map[string]any) *Command {
	return &Command{PolicySet: &Policy{VHost: "/", Name: name, Pattern: pattern, ApplyTo: applyTo, Priority: priority, Definition: def}}
}

func TestPoliciesAreChecked(t *testing.T) {
	def := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		pattern, applyTo string
		def              map[string]any
		text             string // "": it is good
	}{
		{"", "all", def("ha-mode", "all"), ""},
		{"^ha\\.", "queues", def("ha-mode", "exactly", "ha-params", 2.0, "ha-sync-mode", "automatic"), ""},
		{"", "queues", def("ha-mode", "exactly", "ha-params", 2), ""},
		{"", "queues", def("ha-mode", "nodes", "ha-params", []any{"a", "b"}), ""},
		{"^(?!amq\\.)", "all", def("ha-mode", "all"), ""},
		{"(", "all", def("ha-mode", "all"), "pattern should be regular expression but is invalid"},
		{"(?=a)", "all", def("ha-mode", "all"), "pattern should be regular expression but is invalid"},
		{"", "all", nil, "no policy provided"},
		{"", "streams", def("ha-mode", "all"), ""},
		{"", "topics", def("ha-mode", "all"), "apply-to 'topics' unrecognised; should be one of: 'queues'"},
		{"", "all", def("zz", 1, "ha-mode", "all", "aa", 1), "[aa, zz] are not recognised policy settings"},
		{"", "all", def("ha-mode", "all", "ha-params", 2.0), `ha-mode="all" does not take parameters`},
		{"", "all", def("ha-mode", "exactly"), `ha-mode="exactly" takes an integer greater than 0, got null`},
		{"", "all", def("ha-mode", "exactly", "ha-params", 0.0), `ha-mode="exactly" takes`},
		{"", "all", def("ha-mode", "exactly", "ha-params", 1.5), `ha-mode="exactly" takes`},
		{"", "all", def("ha-mode", "nodes", "ha-params", []any{}), `ha-mode="nodes" takes a list of node names, got []`},
		{"", "all", def("ha-mode", "nodes", "ha-params", []any{"a", 1.0}), `ha-mode="nodes" takes a list`},
		{"", "all", def("ha-mode", "some"), `"some" is not a valid ha-mode value`},
		{"", "all", def("ha-params", 2.0), "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"},
		{"", "all", def("ha-sync-mode", "manual"), "ha-mode must be specified"},
		{"", "all", def("message-ttl", -1.0), "-1 is not a valid message TTL"},
		{"", "all", def("message-ttl", "soon"), `"soon" is not a valid message TTL`},
		{"", "all", def("expires", 0.0), "0 is not a valid queue expiry"},
		{"", "all", def("max-length", 1.5), "1.5 is not a valid maximum length"},
		{"", "all", def("delivery-limit", -1.0), ""},
		{"", "all", def("overflow", "drop-tail"), `"drop-tail" is not a valid overflow value`},
		{"", "all", def("dead-letter-exchange", 1.0), "1 is not a valid dead letter exchange name"},
		{"", "all", def("dead-letter-exchange", strings.Repeat("x", 256)), "is not a valid dead letter exchange name"},
	} {
		f := CheckPolicy(&Policy{VHost: "/", Name: "p", Pattern: c.pattern, ApplyTo: c.applyTo, Definition: c.def})
		if c.text == "" && f != nil || c.text != "" && (f == nil || !strings.Contains(f.Text, c.text)) {
			t.Errorf("%q, %v: %v, want %q", c.pattern, c.def, f, c.text)
		}
	}
}

func TestOnePolicyApplies(t *testing.T) {
	s := formed(t)
	s.must(declareQueue(Queue{Name: "orders", Durable: true}))
	s.must(&Command{GroupsSet: []*Group{{ID: 2000, Members: []string{"a"}}}})
	s.must(declareQueue(Queue{Name: "quorum", Durable: true, Group: 2000, Args: args("x-queue-type", "quorum")}))
	s.must(declareQueue(Queue{Name: "mine", Owner: ConnID{11, 1, 1}}))
	of := func(name string) string {
		q, _ := s.Queue("/", name)
		if p := s.PolicyOf(q); p != nil {
			return p.Name
		}
		return ""
	}
	check := func(orders, quorum string) {
		t.Helper()
		if of("orders") != orders || of("quorum") != quorum {
			t.Fatalf("orders has %q, quorum has %q; want %q and %q", of("orders"), of("quorum"), orders, quorum)
		}
	}
	ttl := map[string]any{"message-ttl": 5.0}
	r := s.must(policy("all", "", "all", 0, ttl))
	if len(r.Changes) != 3 {
		t.Fatalf("%d changes", len(r.Changes))
	}
	check("all", "all")
	s.must(policy("higher", "^o", "queues", 1, ttl))
	check("higher", "all")
	s.must(policy("classic", "", "classic_queues", 2, ttl))
	s.must(policy("quorum", "", "quorum_queues", 3, ttl))
	check("classic", "quorum")
	s.must(policy("exchanges", "", "exchanges", 9, ttl))
	s.must(policy("for exchanges", "", "all", 9, map[string]any{"alternate-exchange": "x"}))
	check("classic", "quorum")
	s.must(policy("tie", "", "classic_queues", 2, ttl))
	check("classic", "quorum")
	s.must(policy("classic", "none", "classic_queues", 2, ttl)) // replaced
	check("tie", "quorum")
	s.must(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "tie"}})
	check("higher", "quorum")
	s.refused(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "tie"}}, fault.NotFound, "no policy 'tie' in vhost '/'")
	s.refused(&Command{PolicySet: &Policy{VHost: "gone", Definition: ttl, ApplyTo: "all"}}, fault.NotAllowed, "vhost gone not found")
	s.refused(policy("bad", "(", "all", 0, ttl), fault.PreconditionFailed, "pattern should be regular expression")
	s.must(policy("ha", "", "all", 50, map[string]any{"ha-mode": "all"}))
	for name, want := range map[string]bool{"orders": true, "quorum": true, "mine": false} {
		q, _ := s.Queue("/", name)
		if got := s.WantsReplicas(q); got != want {
			t.Errorf("%s wants replicas: %v", name, got)
		}
	}
}

func TestAQueuesConfiguration(t *testing.T) {
	none := queue.Config{Name: "q", VHost: "/", TTL: -1, Expires: -1, MaxLength: -1, MaxLengthBytes: -1, DeliveryLimit: -1}
	for _, c := range []struct {
		name string
		args Args
		def  map[string]any
		want func(*queue.Config)
	}{
		{"nothing", Args{}, nil, func(*queue.Config) {}},
		{"arguments", args("x-message-ttl", int32(5), "x-max-length", int64(6), "x-max-length-bytes", int8(7)), nil,
			func(c *queue.Config) { c.TTL, c.MaxLength, c.MaxLengthBytes = 5, 6, 7 }},
		{"policy", Args{}, map[string]any{"message-ttl": 5.0, "max-length": 6.0, "max-length-bytes": 7.0},
			func(c *queue.Config) { c.TTL, c.MaxLength, c.MaxLengthBytes = 5, 6, 7 }},
		{"the lower of both", args("x-message-ttl", int32(5), "x-max-length", int32(9)), map[string]any{"message-ttl": 7.0, "max-length": 8.0},
			func(c *queue.Config) { c.TTL, c.MaxLength = 5, 8 }},
		{"zero is a limit", args("x-message-ttl", int32(0)), map[string]any{"message-ttl": 7.0}, func(c *queue.Config) { c.TTL = 0 }},
		{"the argument's dead-letter exchange", args("x-dead-letter-exchange", "mine"), map[string]any{"dead-letter-exchange": "other", "dead-letter-routing-key": "k"},
			func(c *queue.Config) {
				c.DeadLetter, c.DeadLetterExchange, c.DeadLetterKey, c.DeadLetterKeySet = true, "mine", "k", true
			}},
		{"the default exchange", args("x-dead-letter-exchange", ""), nil, func(c *queue.Config) { c.DeadLetter = true }},
		{"quorum", args("x-queue-type", "quorum"), nil, func(c *queue.Config) { c.DeliveryLimit, c.Quorum = 20, true }},
		{"quorum, more by policy", args("x-queue-type", "quorum"), map[string]any{"delivery-limit": 50.0}, func(c *queue.Config) { c.DeliveryLimit, c.Quorum = 50, true }},
		{"quorum, none by policy", args("x-queue-type", "quorum"), map[string]any{"delivery-limit": -1.0}, func(c *queue.Config) { c.Quorum = true }},
		{"quorum, none by argument", args("x-queue-type", "quorum", "x-delivery-limit", int32(-1)), nil, func(c *queue.Config) { c.Quorum = true }},
		{"the finite one", args("x-delivery-limit", int32(5)), map[string]any{"delivery-limit": -1.0}, func(c *queue.Config) { c.DeliveryLimit = 5 }},
		{"the other finite one", args("x-delivery-limit", int32(-1)), map[string]any{"delivery-limit": 6.0}, func(c *queue.Config) { c.DeliveryLimit = 6 }},
		{"overflow, of which the argument wins", args("x-overflow", "reject-publish-dlx"), map[string]any{"overflow": "reject-publish"},
			func(c *queue.Config) { c.Overflow = queue.RejectDead }},
		{"overflow of a quorum queue, of which the policy wins", args("x-overflow", "reject-publish-dlx", "x-queue-type", "quorum", "x-delivery-limit", int32(-1)),
			map[string]any{"overflow": "reject-publish"}, func(c *queue.Config) { c.Overflow, c.Quorum = queue.RejectPublish, true }},
		{"expiry, of which the shorter wins", args("x-expires", int32(7)), map[string]any{"expires": 8.0}, func(c *queue.Config) { c.Expires = 7 }},
		{"priorities", args("x-max-priority", int32(7)), nil, func(c *queue.Config) { c.Priorities = 7 }},
		{"priorities of a quorum queue", args("x-max-priority", int32(7), "x-queue-type", "quorum", "x-delivery-limit", int32(-1)), nil,
			func(c *queue.Config) { c.Quorum = true }},
		{"single active consumer", args("x-single-active-consumer", true), nil, func(c *queue.Config) { c.SingleActive = true }},
		{"at-least-once", args("x-queue-type", "quorum", "x-delivery-limit", int32(-1), "x-dead-letter-exchange", ""),
			map[string]any{"overflow": "reject-publish", "dead-letter-strategy": "at-least-once"}, func(c *queue.Config) {
				c.Quorum, c.DeadLetter, c.AtLeastOnce, c.Overflow = true, true, true, queue.RejectPublish
			}},
		{"at-least-once without room to wait", args("x-queue-type", "quorum", "x-delivery-limit", int32(-1), "x-dead-letter-exchange", ""),
			map[string]any{"dead-letter-strategy": "at-least-once"}, func(c *queue.Config) { c.Quorum, c.DeadLetter = true, true }},
		{"the lower limit", args("x-delivery-limit", int32(5)), map[string]any{"delivery-limit": 3.0}, func(c *queue.Config) { c.DeliveryLimit = 3 }},
	} {
		s := formed(t)
		if c.def != nil {
			s.must(policy("p", "", "queues", 0, c.def))
		}
		q := s.must(declareQueue(Queue{Name: "q", Durable: true, Args: c.args})).Queue
		want := none
		c.want(&want)
		if got := s.Config(q); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

func TestAPolicyMovesQueues(t *testing.T) {
	s := formed(t)
	s.must(&Command{GroupsSet: []*Group{{ID: 2000, Members: []string{"a", "b"}}}})
	old := s.must(declareQueue(Queue{Name: "q", Durable: true})).Queue
	other := s.must(declareQueue(Queue{Name: "other", Durable: true})).Queue
	c := policy("ha", "^q", "all", 0, map[string]any{"ha-mode": "all"})
	c.PolicySet.Place = map[uint64]uint64{old.ID: 2000, other.ID: 2000, 77: 2000}
	s.must(c)
	s.must(c)
	s.must(&Command{GroupsSet: []*Group{{ID: 2002, Members: []string{"a"}}}})
	c.PolicySet.Place = map[uint64]uint64{old.ID: 2002} // too late: it is on its way
	s.must(c)
	q := s.QueueByID(old.ID)
	if q.Target != 2000 || q.Replicated() || old.Target != 0 || s.QueueByID(other.ID).Target != 0 {
		t.Fatalf("queue %+v, before %+v", q, old)
	}
	moved := func(target uint64) *Command { return &Command{QueueMoved: &QueueMoved{ID: old.ID, Target: target}} }
	s.must(moved(3000))
	if s.QueueByID(old.ID).Replicated() {
		t.Fatal("moved to another group")
	}
	s.must(moved(2000))
	s.must(moved(2000))
	if q := s.QueueByID(old.ID); q.Group != 2000 || q.Target != 0 || q.Node != "" {
		t.Fatalf("queue %+v", q)
	}
	s.must(moved(0))
	if q, _ := s.Queue("/", "q"); q.Group != 2000 {
		t.Fatalf("queue %+v", q)
	}
}
