package metadata

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// topology is a state under test, which has a cluster with vhost "/".
type topology struct {
	t *testing.T
	*State
}

func formed(t *testing.T) *topology {
	s := &topology{t, New()}
	s.must(&Command{Form: &Form{ClusterID: "c", Guest: &User{Name: "guest", Permissions: map[string]Permission{"/": {".*", ".*", ".*"}}}}})
	s.must(&Command{NodeUp: &Node{Name: "a", Replica: 11, Incarnation: 1, Peer: "a:1"}})
	s.must(&Command{NodeUp: &Node{Name: "b", Replica: 12, Incarnation: 1}})
	return s
}

func (s *topology) do(c *Command) Result { return s.Apply(c.Encode()) }

func (s *topology) must(c *Command) Result {
	s.t.Helper()
	r := s.do(c)
	if r.Fault != nil {
		s.t.Fatalf("%s: %v", c.Encode(), r.Fault)
	}
	return r
}

// refused checks that a command is, in these words, and changes nothing.
func (s *topology) refused(c *Command, kind fault.Kind, text string) {
	s.t.Helper()
	before := s.Capture()
	r := s.do(c)
	if r.Fault == nil || r.Fault.Kind != kind || !strings.Contains(r.Fault.Text, text) {
		s.t.Fatalf("%s: %v, want %v: %s", c.Encode(), r.Fault, kind, text)
	}
	if len(r.Changes) > 0 || !bytes.Equal(s.Capture(), before) {
		s.t.Fatalf("%s: refused, and changed something", c.Encode())
	}
}

func declareQueue(q Queue) *Command {
	q.VHost = "/"
	if q.Group == 0 && q.Node == "" {
		q.Node = "a"
	}
	return &Command{QueueDeclare: &QueueDeclare{q}}
}

func declareExchange(x Exchange) *Command {
	x.VHost = "/"
	if x.Type == "" {
		x.Type = "direct"
	}
	return &Command{ExchangeDeclare: &ExchangeDeclare{Exchange: x}}
}

func bindTo(source, key, queue string) *Command {
	return &Command{Bind: &BindCommand{"/", Binding{Source: source, Key: key, Destination: queue}}}
}

func bindExchange(source, key, to string) *Command {
	return &Command{Bind: &BindCommand{"/", Binding{Source: source, Key: key, Destination: to, ToExchange: true}}}
}

func unbind(c *Command) *Command { return &Command{Unbind: c.Bind} }

func args(pairs ...any) Args {
	var t message.Table
	for i := 0; i < len(pairs); i += 2 {
		t = t.Set(pairs[i].(string), pairs[i+1])
	}
	return Args{t}
}

// routed returns the names of the queues that a message goes to, sorted.
func (s *topology) routed(exchange, key string) string {
	s.t.Helper()
	qs, f := s.Route("/", exchange, routing.Message{Key: key, Headers: func() message.Table { return nil }}, nil)
	if f != nil {
		return f.Text
	}
	var names []string
	for _, q := range qs {
		names = append(names, q.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (s *topology) routes(exchange, key, want string) {
	s.t.Helper()
	if got := s.routed(exchange, key); got != want {
		s.t.Fatalf("to %q with %q: %q, want %q", exchange, key, got, want)
	}
	fresh := &topology{s.t, New()} // and so it is after a restart
	if err := fresh.Restore(s.Capture()); err != nil {
		s.t.Fatal(err)
	}
	if got := fresh.routed(exchange, key); got != want {
		s.t.Fatalf("to %q with %q after a restore: %q, want %q", exchange, key, got, want)
	}
}

func TestAQueueIsDeclaredAgain(t *testing.T) {
	s := formed(t)
	owner := ConnID{11, 1, 5}
	first := s.must(declareQueue(Queue{Name: "q", Durable: true, Args: args("x-message-ttl", int32(1000), "x-unknown", true)})).Queue
	s.must(declareQueue(Queue{Name: "mine", Owner: owner}))
	for _, c := range []struct {
		name  string
		q     Queue
		fault fault.Kind
		text  string // "": it is the same
	}{
		{"same", Queue{Name: "q", Durable: true, Args: args("x-message-ttl", int32(1000))}, 0, ""},
		{"other integer type", Queue{Name: "q", Durable: true, Args: args("x-message-ttl", int64(1000))}, 0, ""},
		{"classic is the default", Queue{Name: "q", Durable: true, Args: args("x-message-ttl", uint8(232)).with("x-message-ttl", int16(1000)).with("x-queue-type", "classic")}, 0, ""},
		{
			"not durable", Queue{Name: "q"}, fault.PreconditionFailed,
			"inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
		},
		{
			"auto-delete", Queue{Name: "q", Durable: true, AutoDelete: true}, fault.PreconditionFailed,
			"inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
		},
		{
			"without the argument", Queue{Name: "q", Durable: true}, fault.PreconditionFailed,
			"inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '1000' of type 'signedint'",
		},
		{
			"one argument more", Queue{Name: "q", Durable: true, Args: args("x-message-ttl", int32(1000), "x-max-length", int64(5))}, fault.PreconditionFailed,
			"inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'long' but current is none",
		},
		{
			"another type", Queue{Name: "q", Durable: true, Args: args("x-queue-type", "quorum")}, fault.PreconditionFailed,
			"inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'",
		},
		{"exclusive", Queue{Name: "q", Owner: owner}, fault.ResourceLocked, "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."},
		{"no longer exclusive", Queue{Name: "mine"}, fault.ResourceLocked, "locked queue 'mine'"},
		{"exclusive of another", Queue{Name: "mine", Owner: ConnID{11, 1, 6}}, fault.ResourceLocked, "locked queue 'mine'"},
		{"exclusive of the same", Queue{Name: "mine", Owner: owner}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if c.text != "" {
				s.refused(declareQueue(c.q), c.fault, c.text)
			} else if r := s.must(declareQueue(c.q)); r.Queue.Name != c.q.Name || r.Queue.Name == "q" && r.Queue.ID != first.ID || len(r.Changes) > 0 {
				t.Fatalf("declared %+v", r)
			}
		})
	}
}

// with returns a with one more argument.
func (a Args) with(key string, v any) Args { return Args{a.Set(key, v)} }

func TestAnExchangeIsDeclaredAgain(t *testing.T) {
	s := formed(t)
	x := Exchange{Name: "x", Type: "topic", Durable: true, Args: args("alternate-exchange", "alt", "x-other", int32(1))}
	s.must(declareExchange(x))
	s.must(declareExchange(x))
	for _, c := range []struct {
		change func(*Exchange)
		text   string
	}{
		{func(x *Exchange) { x.Type = "fanout" }, "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'"},
		{func(x *Exchange) { x.Durable = false }, "inequivalent arg 'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'"},
		{func(x *Exchange) { x.AutoDelete = true }, "inequivalent arg 'auto_delete'"},
		{func(x *Exchange) { x.Internal = true }, "inequivalent arg 'internal'"},
		{func(x *Exchange) { x.Args = Args{} }, "inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received none but current is the value 'alt' of type 'longstr'"},
	} {
		other := x
		c.change(&other)
		s.refused(declareExchange(other), fault.PreconditionFailed, c.text)
	}
	s.refused(declareExchange(Exchange{Name: "amq.x"}), fault.AccessRefused, "exchange name 'amq.x' contains reserved prefix 'amq.*'")
	s.must(declareExchange(Exchange{Name: "amq.topic", Type: "topic", Durable: true}))
	s.refused(declareExchange(Exchange{Name: "y", Type: "x-odd"}), fault.PreconditionFailed, "unknown exchange type 'x-odd'")
	s.refused(&Command{ExchangeDeclare: &ExchangeDeclare{Exchange: Exchange{VHost: "gone", Name: "x", Type: "direct"}}}, fault.NotAllowed, "vhost gone not found")
	deleted := func(name string, ifUnused bool) *Command {
		return &Command{ExchangeDelete: &ExchangeDelete{VHost: "/", Name: name, IfUnused: ifUnused}}
	}
	s.must(deleted("missing", false))
	s.refused(deleted("amq.direct", false), fault.AccessRefused, "deletion of system exchange 'amq.direct' in vhost '/' not allowed")
	s.must(declareQueue(Queue{Name: "q"}))
	s.must(bindTo("x", "k", "q"))
	s.refused(deleted("x", true), fault.PreconditionFailed, "exchange 'x' in vhost '/' in use")
	s.must(deleted("x", false))
	s.routes("x", "k", "no exchange 'x' in vhost '/'")
}

func TestAQueueIsCheckedByItself(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		name                           string
		durable, exclusive, autoDelete bool
		args                           Args
		text                           string // "": it is good
	}{
		{"q", false, true, true, Args{}, ""},
		{"q", true, false, false, args("x-queue-type", "quorum", "x-delivery-limit", int32(-1)), ""},
		{"q", false, false, false, args("x-queue-type", "quorum"), "invalid property 'non-durable' for queue 'q' in vhost '/'"},
		{"q", true, true, false, args("x-queue-type", "quorum"), "invalid property 'exclusive-owner'"},
		{"q", true, false, true, args("x-queue-type", "quorum"), "invalid property 'auto-delete'"},
		{"q", true, false, false, args("x-queue-type", "stream"), "invalid arg 'x-queue-type'"},
		{"q", true, false, false, args("x-queue-type", int32(1)), "invalid arg 'x-queue-type'"},
		{"q", true, false, false, args("x-message-ttl", int32(-1)), "invalid arg 'x-message-ttl'"},
		{"q", true, false, false, args("x-message-ttl", "1000"), "invalid arg 'x-message-ttl'"},
		{"q", true, false, false, args("x-expires", int64(0)), "invalid arg 'x-expires'"},
		{"q", true, false, false, args("x-max-length", int8(0), "x-max-priority", uint8(255)), ""},
		{"q", true, false, false, args("x-max-priority", int32(256)), "invalid arg 'x-max-priority'"},
		{"q", true, false, false, args("x-overflow", "drop-tail"), "invalid arg 'x-overflow'"},
		{"q", true, false, false, args("x-overflow", true), "invalid arg 'x-overflow'"},
		{"q", true, false, false, args("x-overflow", "reject-publish", "x-dead-letter-exchange", ""), ""},
		{"q", true, false, false, args("x-dead-letter-exchange", []byte("x")), "invalid type 'binary' for arg 'x-dead-letter-exchange'"},
		{"q", true, false, false, args("x-dead-letter-exchange", long), "invalid arg 'x-dead-letter-exchange'"},
		{"q", true, false, false, args("x-dead-letter-routing-key", "k"), "routing_key_but_no_dlx_defined"},
		{long, true, false, false, Args{}, "longer than 255 bytes"},
		{"\xff", true, false, false, Args{}, "not UTF-8"},
	} {
		f := CheckQueue("/", c.name, c.durable, c.exclusive, c.autoDelete, c.args.Table)
		if c.text == "" && f != nil || c.text != "" && (f == nil || f.Kind != fault.PreconditionFailed || !strings.Contains(f.Text, c.text)) {
			t.Errorf("%.10s, %v: %v, want %q", c.name, c.args.Table, f, c.text)
		}
	}
}

func TestNamesOfTypes(t *testing.T) {
	for want, v := range map[string]any{
		"bool": true, "byte": int8(1), "unsignedbyte": uint8(1), "short": int16(1), "unsignedshort": uint16(1),
		"signedint": int32(1), "unsignedint": uint32(1), "long": int64(1), "float": float32(1), "double": 1.0,
		"longstr": "s", "binary": []byte{1}, "array": []any{}, "table": message.Table{}, "timestamp": message.Timestamp(1),
		"decimal": message.Decimal{}, "void": nil,
	} {
		if got := message.TypeName(v); got != want {
			t.Errorf("%T is called %s, want %s", v, got, want)
		}
	}
}
