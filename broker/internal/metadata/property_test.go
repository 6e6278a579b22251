package metadata

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// drawArgs draws an argument table with values of all types.
func drawArgs(t *rapid.T) Args {
	table := message.Table{}
	for i, v := range []any{
		true, int8(-1), uint8(1), int16(-2), uint16(2), int32(-3), uint32(3), int64(-4), float32(1.5), 2.5, "text", "\xff",
		[]byte{0, 255}, []any{int32(1), "a"}, message.Table{}.Set("in", int64(1)), message.Timestamp(5), message.Decimal{}, nil,
	} {
		if rapid.IntRange(0, 4).Draw(t, "has") == 0 {
			table = table.Set(fmt.Sprintf("k%d", i), v)
		}
	}
	return Args{table}
}

// drawCommand draws one of the topology's commands, about few names so that they meet.
func drawCommand(t *rapid.T, s *State) *Command {
	name := func(what string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, what) }
	flag := func(what string) bool { return rapid.Bool().Draw(t, what) }
	id := rapid.Uint64Range(firstID, max(s.NextID, firstID)+1).Draw(t, "id")
	run := rapid.Uint64Range(1, 3).Draw(t, "run")
	replica := rapid.Uint64Range(11, 13).Draw(t, "replica")
	binding := &BindCommand{"/", Binding{Source: name("source"), Destination: name("to"), ToExchange: flag("exchange"), Key: name("key")}}
	switch rapid.IntRange(0, 29).Draw(t, "command") {
	case 0:
		return &Command{NodeUp: &Node{Name: name("node"), Replica: replica, Incarnation: run}}
	case 29:
		return &Command{NodeJoin: &NodeJoin{Node{Name: name("node"), Replica: replica, Incarnation: run}, rapid.Uint64Range(10, 13).Draw(t, "replaces")}}
	case 1:
		return &Command{NodeDown: &NodeDown{name("node"), run}}
	case 2:
		return &Command{NodeForget: &NodeForget{name("node")}}
	case 3:
		return &Command{GroupsSet: []*Group{{ID: id, Members: []string{name("member"), name("member")}}}}
	case 4:
		return &Command{GroupVoters: &GroupVoters{id, []uint64{replica}}}
	case 5, 6:
		return declareExchange(Exchange{Name: name("exchange"), Type: rapid.SampledFrom([]string{"direct", "fanout", "topic", "headers"}).Draw(t, "type"), AutoDelete: flag("auto"), Args: drawArgs(t)})
	case 7:
		return &Command{ExchangeDelete: &ExchangeDelete{"/", name("exchange"), flag("unused")}}
	case 8, 9:
		q := Queue{Name: name("queue"), Durable: flag("durable"), Node: name("node"), Args: drawArgs(t)}
		if flag("exclusive") {
			q.Owner = ConnID{replica, run, 1}
		}
		return declareQueue(q)
	case 10:
		return &Command{QueueDelete: &QueueDelete{id}}
	case 11:
		return &Command{QueueMoved: &QueueMoved{id, id}}
	case 12, 13:
		return &Command{Bind: binding}
	case 14:
		return &Command{Unbind: binding}
	case 15:
		return &Command{ConnectionGone: &ConnectionGone{ConnID{replica, run, 1}}}
	case 16:
		c := policy(name("policy"), name("pattern"), "all", rapid.IntRange(0, 2).Draw(t, "priority"), map[string]any{"ha-mode": "all"})
		c.PolicySet.Place = map[uint64]uint64{id: rapid.Uint64Range(firstID, s.NextID+1).Draw(t, "group")}
		return c
	case 17:
		return &Command{PolicyClear: &PolicyClear{VHost: "/", Name: name("policy"), Operator: flag("operator")}}
	case 18:
		c := policy(name("policy"), name("pattern"), "queues", 0, map[string]any{"max-length": 5.0})
		c.PolicySet.Operator = true
		return c
	}
	return drawAccess(t, name)
}

// drawAccess draws a command about users and virtual hosts.
func drawAccess(t *rapid.T, name func(string) string) *Command {
	vhost := rapid.SampledFrom([]string{"/", "v"}).Draw(t, "vhost")
	user, limit := name("user"), rapid.SampledFrom([]string{MaxConnections, MaxQueues, MaxChannels, ""}).Draw(t, "limit")
	switch rapid.IntRange(0, 9).Draw(t, "access") {
	case 0:
		return &Command{UserPut: &User{Name: user, PasswordHash: name("hash"), Tags: []string{name("tag")}}}
	case 1:
		return &Command{UserDelete: &UserDelete{user}}
	case 2:
		return &Command{PermissionSet: &PermissionSet{user, vhost, Permission{name("configure"), "", ".*"}}}
	case 3:
		return &Command{PermissionClear: &PermissionClear{user, vhost}}
	case 4:
		return &Command{TopicPermissionSet: &TopicPermissionSet{user, vhost, name("exchange"), TopicPermission{name("write"), ""}}}
	case 5:
		return &Command{TopicPermissionClear: &TopicPermissionClear{user, vhost, name("exchange"), rapid.Bool().Draw(t, "all")}}
	case 6:
		return &Command{LimitSet: &LimitSet{VHost: vhost, Name: limit, Value: rapid.Int64Range(-1, 4).Draw(t, "value")}}
	case 7:
		return &Command{LimitSet: &LimitSet{User: user, Name: limit, Value: 3}}
	case 8:
		return &Command{LimitClear: &LimitClear{User: rapid.SampledFrom([]string{"", user}).Draw(t, "whose"), VHost: vhost, Name: limit}}
	}
	if rapid.Bool().Draw(t, "delete") {
		return &Command{VHostDelete: &VHostDelete{"v"}}
	}
	text := name("description")
	return &Command{VHostPut: &VHostPut{Name: vhost, Description: &text, Max: 3}}
}

// TestMembersHaveTheSameTopology applies commands to a member, to one that gets them
// twice, and to one that is restored from a snapshot time and again.
func TestMembersHaveTheSameTopology(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, twice, restored := New(), New(), New()
		apply := func(c *Command) {
			b := c.Encode()
			r := one.Apply(b)
			first := twice.Apply(b)
			twice.Apply(b)
			if got := restored.Apply(b); len(got.Changes) != len(r.Changes) || (got.Fault == nil) != (r.Fault == nil) {
				t.Fatalf("%s: %d changes, %v after a restore; %d, %v without", b, len(got.Changes), got.Fault, len(r.Changes), r.Fault)
			}
			if len(first.Changes) != len(r.Changes) {
				t.Fatalf("%s: %d changes, then %d", b, len(r.Changes), len(first.Changes))
			}
		}
		apply(&Command{Form: &Form{ClusterID: "c"}})
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) { apply(drawCommand(t, one)) },
			"restore": func(t *rapid.T) {
				if err := restored.Restore(restored.Capture()); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				want := one.Capture()
				if !bytes.Equal(twice.Capture(), want) {
					t.Fatal("commands applied twice did harm")
				}
				if !bytes.Equal(restored.Capture(), want) {
					t.Fatal("a restored member differs")
				}
				consistent(t, one)
				consistent(t, restored)
				for _, x := range []string{"a", "b", "c", "amq.topic"} {
					a, _ := one.Route("/", x, routing.Message{Key: "a", Headers: func() message.Table { return nil }}, nil)
					b, _ := restored.Route("/", x, routing.Message{Key: "a", Headers: func() message.Table { return nil }}, nil)
					if len(a) != len(b) {
						t.Fatalf("%d queues behind %s, %d after a restore", len(a), x, len(b))
					}
				}
			},
		})
	})
}

// consistent checks that everything leads to something that is there.
func consistent(t *rapid.T, s *State) {
	held := map[uint64]int{}
	s.EachQueue(func(q *Queue) { held[q.Group]++ })
	for _, group := range append(s.GroupIDs(), 0) {
		if s.QueuesIn(group) != held[group] {
			t.Fatalf("group %d holds %d queues, %d are counted", group, held[group], s.QueuesIn(group))
		}
	}
	queues, exchanges := 0, 0
	for _, v := range s.VHosts {
		queues, exchanges = queues+len(v.Queues), exchanges+len(v.Exchanges)
		for name, q := range v.Queues {
			if q.Name != name || s.queues[q.ID] != q {
				t.Fatalf("queue %s is %+v", name, q)
			}
		}
		for name, x := range v.Exchanges {
			if x.Name != name || s.exchanges[x.ID] != x || x.matcher.Len() != len(x.Bindings) {
				t.Fatalf("exchange %s is %+v, its matcher has %d bindings", name, x, x.matcher.Len())
			}
			for _, b := range x.Bindings {
				if _, ok := v.destination(b); !ok {
					t.Fatalf("binding of %s to %s, which is gone", name, b.Destination)
				}
			}
		}
	}
	if queues != len(s.queues) || exchanges != len(s.exchanges) {
		t.Fatalf("%d queues and %d exchanges, listed %d and %d", queues, exchanges, len(s.queues), len(s.exchanges))
	}
}

func TestArgumentsKeepTheirTypes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New()
		s.Apply((&Command{Form: &Form{ClusterID: "c"}}).Encode())
		want := drawArgs(t)
		q := s.Apply(declareQueue(Queue{Name: "q", Args: want}).Encode()).Queue
		if !q.Args.Equal(want.Table) {
			t.Fatalf("declared with %v, got %v", want, q.Args)
		}
		if err := s.Restore(s.Capture()); err != nil {
			t.Fatal(err)
		}
		if q := s.QueueByID(q.ID); !q.Args.Equal(want.Table) {
			t.Fatalf("declared with %v, restored %v", want, q.Args)
		}
	})
}

func TestRestoreRefusesWhatItCantRead(t *testing.T) {
	for _, b := range []string{"", "{", `{"VHosts":{"/":{"Exchanges":{"x":{"Type":"odd"}}}}}`, `{"VHosts":{"/":{"Policies":{"p":{"Pattern":"("}}}}}`} {
		s := formed(t)
		before := s.Capture()
		if err := s.Restore([]byte(b)); err == nil || !bytes.Equal(s.Capture(), before) {
			t.Errorf("%s: %v", b, err)
		}
	}
}
