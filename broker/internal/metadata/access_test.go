package metadata

import (
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
)

func (s *topology) addUser(name string, vhosts ...string) {
	s.t.Helper()
	s.must(&Command{UserPut: &User{Name: name, PasswordHash: "h"}})
	for _, v := range vhosts {
		s.must(&Command{PermissionSet: &PermissionSet{name, v, Permission{".*", ".*", ".*"}}})
	}
}

func TestAUsersRecordIsReplaced(t *testing.T) {
	s := formed(t)
	s.addUser("u", "/")
	s.must(&Command{LimitSet: &LimitSet{User: "u", Name: MaxChannels, Value: 5}})
	s.must(&Command{TopicPermissionSet: &TopicPermissionSet{"u", "/", "amq.topic", TopicPermission{"^a", "^b"}}})
	before := s.Users["u"]
	r := s.must(&Command{UserPut: &User{Name: "u", PasswordHash: "other", Tags: []string{"monitoring"}}})
	u := s.Users["u"]
	if before.PasswordHash != "h" || u.PasswordHash != "other" || !u.HasTag("management", "monitoring") || u.HasTag("administrator") {
		t.Fatalf("before %+v, now %+v", before, u)
	}
	if len(u.Permissions) != 1 || u.Limits[MaxChannels] != 5 || u.Topics["/"]["amq.topic"].Write != "^a" {
		t.Fatalf("a new password took more: %+v", u)
	}
	if len(r.Changes) != 1 || r.Changes[0].Kind != AccessChanged {
		t.Fatalf("changes %+v", r.Changes)
	}
	s.must(&Command{TopicPermissionSet: &TopicPermissionSet{"u", "/", "x", TopicPermission{}}})
	s.must(&Command{TopicPermissionClear: &TopicPermissionClear{User: "u", VHost: "/", Exchange: "x"}})
	if l := s.Users["u"].Topics["/"]; len(l) != 1 {
		t.Fatalf("topic permissions %v", l)
	}
	s.must(&Command{TopicPermissionClear: &TopicPermissionClear{User: "u", VHost: "/", All: true}})
	s.must(&Command{PermissionClear: &PermissionClear{"u", "/"}})
	if u := s.Users["u"]; len(u.Topics) > 0 || len(u.Permissions) > 0 {
		t.Fatalf("cleared: %+v", u)
	}
	s.must(&Command{UserDelete: &UserDelete{"u"}})
	s.refused(&Command{UserDelete: &UserDelete{"u"}}, fault.NotFound, "no user 'u'")
}

func TestWhatIsNoUserNorVirtualHost(t *testing.T) {
	s := formed(t)
	s.addUser("u")
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		c    *Command
		kind fault.Kind
		text string
	}{
		{&Command{UserPut: &User{}}, fault.PreconditionFailed, "must not be empty"},
		{&Command{UserPut: &User{Name: long}}, fault.PreconditionFailed, "longer than 255 bytes"},
		{&Command{UserPut: &User{Name: "u", Tags: []string{""}}}, fault.PreconditionFailed, "the tag '' of user 'u'"},
		{&Command{UserPut: &User{Name: "w", Limits: Limits{"max-queues": 1}}}, fault.PreconditionFailed, `Unrecognised terms [{<<"max-queues">>,1}] in limits`},
		{&Command{PermissionSet: &PermissionSet{"u", "/", Permission{"", "(", ""}}}, fault.PreconditionFailed, "invalid regular expression '('"},
		{&Command{TopicPermissionSet: &TopicPermissionSet{"u", "/", "x", TopicPermission{"", "["}}}, fault.PreconditionFailed, "invalid regular expression '['"},
		{&Command{TopicPermissionSet: &TopicPermissionSet{"u", "/", long, TopicPermission{}}}, fault.PreconditionFailed, "longer than 255"},
		{&Command{TopicPermissionSet: &TopicPermissionSet{"u", "v", "x", TopicPermission{}}}, fault.NotFound, "no vhost 'v'"},
		{&Command{TopicPermissionClear: &TopicPermissionClear{User: "w", VHost: "/"}}, fault.NotFound, "no user 'w'"},
		{&Command{PermissionClear: &PermissionClear{"u", "v"}}, fault.NotFound, "no vhost 'v'"},
		{&Command{LimitSet: &LimitSet{User: "u", Name: "max-queues"}}, fault.PreconditionFailed, "Unrecognised terms"},
		{&Command{LimitSet: &LimitSet{VHost: "/", Name: "max-channels"}}, fault.PreconditionFailed, "Unrecognised terms"},
		{&Command{LimitSet: &LimitSet{User: "w", Name: "max-channels"}}, fault.NotFound, "no user 'w'"},
		{&Command{LimitClear: &LimitClear{VHost: "v"}}, fault.NotFound, "no vhost 'v'"},
		{&Command{VHostPut: &VHostPut{}}, fault.PreconditionFailed, "must not be empty"},
		{&Command{VHostPut: &VHostPut{Name: long}}, fault.PreconditionFailed, "longer than 255"},
		{&Command{VHostPut: &VHostPut{Name: "v", Max: 1}}, fault.PreconditionFailed, "cannot create vhost 'v': vhost limit of 1 is reached"},
		{&Command{VHostPut: &VHostPut{Name: "v", DefaultQueueType: new("stream")}}, fault.PreconditionFailed, "stream is not a valid queue type"},
		{&Command{VHostDelete: &VHostDelete{"v"}}, fault.NotFound, "no vhost 'v'"},
	} {
		s.refused(c.c, c.kind, c.text)
	}
}

func TestAVirtualHostGoesWithAllThatIsInIt(t *testing.T) {
	s := formed(t)
	tags := []string{"a", "b"}
	s.must(&Command{VHostPut: &VHostPut{Name: "v", Description: new("text"), Tags: &tags}})
	s.must(&Command{VHostPut: &VHostPut{Name: "v", DefaultQueueType: new("quorum")}})
	if v := s.VHosts["v"]; v.Description != "text" || len(v.Tags) != 2 || v.DefaultQueueType != "quorum" {
		t.Fatalf("%+v", v)
	}
	s.addUser("u", "/", "v")
	s.must(&Command{TopicPermissionSet: &TopicPermissionSet{"u", "v", "amq.topic", TopicPermission{}}})
	s.must(&Command{QueueDeclare: &QueueDeclare{Queue{VHost: "v", Name: "q", Node: "a", Durable: true}}})
	s.must(&Command{ExchangeDeclare: &ExchangeDeclare{Exchange: Exchange{VHost: "v", Name: "x", Type: "direct"}}})
	s.must(declareQueue(Queue{Name: "q"}))
	queues, exchanges := len(s.queues), len(s.exchanges)
	r := s.must(&Command{VHostDelete: &VHostDelete{"v"}})
	gone := 0
	for _, c := range r.Changes {
		if c.Kind == QueueGone && c.Queue.VHost == "v" {
			gone++
		}
	}
	if gone != 1 || len(s.queues) != queues-1 || len(s.exchanges) != exchanges-8 {
		t.Fatalf("%d changes, %d queues of %d, %d exchanges of %d", gone, len(s.queues), queues, len(s.exchanges), exchanges)
	}
	if u := s.Users["u"]; len(u.Permissions) != 1 || len(u.Topics) != 0 {
		t.Fatalf("the user keeps %+v", u)
	}
	s.routes("", "q", "q") // that of the other virtual host is still there
}

func TestTheQueueLimit(t *testing.T) {
	s := formed(t)
	s.must(&Command{LimitSet: &LimitSet{VHost: "/", Name: MaxQueues, Value: 1}})
	s.must(declareQueue(Queue{Name: "a"}))
	s.refused(declareQueue(Queue{Name: "b"}), fault.PreconditionFailed, "cannot declare queue 'b': queue limit in vhost '/' (1) is reached")
	s.must(declareQueue(Queue{Name: "a"})) // it is there
	s.must(declareQueue(Queue{Name: "answers", Internal: true, Owner: ConnID{11, 1, 1}}))
	s.must(&Command{LimitSet: &LimitSet{VHost: "/", Name: MaxQueues, Value: -1}})
	s.must(declareQueue(Queue{Name: "b"}))
	s.must(&Command{LimitSet: &LimitSet{VHost: "/", Name: MaxQueues, Value: 0}})
	s.refused(declareQueue(Queue{Name: "c"}), fault.PreconditionFailed, "(0) is reached")
	s.must(&Command{LimitClear: &LimitClear{VHost: "/", Name: MaxQueues}})
	s.must(declareQueue(Queue{Name: "c"}))
	if s.VHosts["/"].Limits != nil {
		t.Error("a limit is left")
	}
}

func TestTheDefaultQueueType(t *testing.T) {
	s := formed(t)
	s.must(&Command{VHostPut: &VHostPut{Name: "/", DefaultQueueType: new("quorum")}})
	for _, c := range []struct {
		durable, exclusive, autoDelete bool
		args                           Args
		want                           any
	}{
		{true, false, false, args(), "quorum"},
		{true, false, false, args("x-expires", int32(5)), "quorum"},
		{true, false, false, args("x-queue-type", "classic"), "classic"},
		{false, false, false, args(), nil},
		{true, true, false, args(), nil},
		{true, false, true, args(), nil},
	} {
		before := len(c.args.Table)
		got, _ := s.WithDefaultType("/", c.durable, c.exclusive, c.autoDelete, c.args.Table).Get("x-queue-type")
		if got != c.want || len(c.args.Table) != before {
			t.Errorf("%+v: %v", c, got)
		}
	}
	s.must(&Command{VHostPut: &VHostPut{Name: "/", DefaultQueueType: new("")}})
	if got := s.WithDefaultType("/", true, false, false, nil); got != nil {
		t.Errorf("without a default: %v", got)
	}
}

// operator makes a policy command one of the operator's.
func operator(c *Command) *Command {
	c.PolicySet.Operator = true
	return c
}

func TestOperatorPoliciesBoundTheUsers(t *testing.T) {
	def := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	two, three := []any{"a", "b"}, []any{"a", "b", "c"}
	for _, c := range []struct {
		key            string
		user, op, want any
	}{
		{"max-length", 10.0, 5.0, 5.0},
		{"max-length", 5.0, 10.0, 5.0},
		{"expires", 5.0, 10.0, 5.0},
		{"delivery-limit", 5.0, 10.0, 5.0},
		{"delivery-limit", -1.0, 10.0, 10.0},
		{"delivery-limit", 10.0, -1.0, 10.0},
		{"overflow", "drop-head", "reject-publish", "reject-publish"},
		{"queue-version", 1.0, 2.0, 2.0},
		{"queue-version", 2.0, 1.0, 1.0},
		{"ha-mode", "all", "exactly", "all"},
		{"ha-mode", "nodes", "exactly", "exactly"},
		{"ha-mode", "nodes", "all", "all"},
		{"ha-params", 2.0, 3.0, 3.0},
		{"ha-params", 3.0, 2.0, 3.0},
		{"ha-params", three, 1.0, 1.0},
		{"ha-params", 1.0, three, 1.0},
		{"ha-params", two, three, three},
		{"ha-sync-mode", "manual", "automatic", "automatic"},
	} {
		if got := mergeKey(c.key, c.user, c.op); show(got) != show(c.want) {
			t.Errorf("%s, %v and %v: %v, want %v", c.key, c.user, c.op, got, c.want)
		}
	}
	s := formed(t)
	q := s.must(declareQueue(Queue{Name: "q", Durable: true})).Queue
	s.must(operator(policy("p", "", "queues", 0, def("max-length", 7.0))))
	if c := s.Config(q); c.MaxLength != 7 || s.PolicyOf(q) != nil || s.OperatorPolicyOf(q).Name != "p" {
		t.Fatalf("alone: %+v", c)
	}
	s.must(policy("p", "", "all", 5, def("max-length", 9.0, "message-ttl", 3.0)))
	if c := s.Config(q); c.MaxLength != 7 || c.TTL != 3 {
		t.Fatalf("both: %+v", c)
	}
	r := s.must(operator(policy("p", "", "queues", 0, def("ha-mode", "all"))))
	if !s.WantsReplicas(q) || len(r.Changes) != 1 || r.Changes[0].Kind != QueueSet {
		t.Fatalf("the operator's ha-mode: %+v", r.Changes)
	}
	s.refused(operator(policy("p", "", "all", 0, def("max-length", 1.0, "dead-letter-exchange", "x"))), fault.PreconditionFailed,
		"[dead-letter-exchange] are not recognised policy settings")
	s.must(operator(policy("streams", "", "streams", 9, def("max-length", 1.0))))
	s.must(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "p", Operator: true}})
	if c := s.Config(q); c.MaxLength != 9 || s.WantsReplicas(q) {
		t.Fatalf("without: %+v", c)
	}
	s.refused(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "p", Operator: true}}, fault.NotFound, "no operator policy 'p' in vhost '/'")
	s.must(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "p"}})
}

// TestAnEarlierStateIsRead restores what a version without any of this has captured.
func TestAnEarlierStateIsRead(t *testing.T) {
	s := New()
	err := s.Restore([]byte(`{"ClusterID":"c","Nodes":{},"Groups":{},"VHosts":{"/":{"Name":"/","Exchanges":{},"Queues":{},"Policies":{}}},
		"Users":{"guest":{"Name":"guest","PasswordHash":"h","Hashing":"a","Tags":["administrator"],"Permissions":{"/":{"Configure":".*","Write":".*","Read":".*"}}}},
		"NextID":1001}`))
	if err != nil {
		t.Fatal(err)
	}
	top := &topology{t, s}
	top.must(&Command{TopicPermissionSet: &TopicPermissionSet{"guest", "/", "x", TopicPermission{}}})
	top.must(&Command{LimitSet: &LimitSet{User: "guest", Name: MaxConnections, Value: 1}})
	top.must(operator(policy("p", "", "queues", 0, map[string]any{"max-length": 1.0})))
	if n, limited := s.Users["guest"].Limits.Of(MaxConnections); n != 1 || !limited {
		t.Error("no limit")
	}
}
