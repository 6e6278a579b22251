package metadata

import (
	"slices"
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// names returns the queues, sorted.
func (s *topology) names() string {
	var names []string
	s.EachQueue(func(q *Queue) { names = append(names, q.Name) })
	slices.Sort(names)
	all := ""
	for _, n := range names {
		all += n
	}
	return all
}

// housed is a cluster with a queue of each kind: durable, transient and exclusive on node
// a, the same on b (in capitals), and a replicated one.
func housed(t *testing.T) *topology {
	s := formed(t)
	s.must(&Command{GroupsSet: []*Group{{ID: 2000, Genesis: []uint64{11, 12}, Members: []string{"a", "b"}}}})
	for _, q := range []Queue{
		{Name: "d", Durable: true, Node: "a"},
		{Name: "t", Node: "a"},
		{Name: "e", Node: "a", Owner: ConnID{11, 1, 1}},
		{Name: "f", Node: "b", Owner: ConnID{11, 1, 2}}, // declared over another node
		{Name: "D", Durable: true, Node: "b"},
		{Name: "T", Node: "b"},
		{Name: "E", Node: "b", Owner: ConnID{12, 1, 1}},
		{Name: "r", Durable: true, Group: 2000},
	} {
		s.must(declareQueue(q))
	}
	return s
}

func TestWhatEndsWithWhat(t *testing.T) {
	again := func(n Node) *Command { return &Command{NodeUp: &n} }
	for _, c := range []struct {
		name    string
		command *Command
		want    string
	}{
		{"a connection", &Command{ConnectionGone: &ConnectionGone{ConnID{11, 1, 1}}}, "DETdfrt"},
		{"nothing", &Command{ConnectionGone: &ConnectionGone{ConnID{11, 2, 1}}}, "DETdefrt"},
		{"a run, when the node is down", &Command{NodeDown: &NodeDown{"a", 1}}, "DETdr"},
		{"an older run", &Command{NodeDown: &NodeDown{"a", 0}}, "DETdefrt"},
		{"a run of nobody", &Command{NodeDown: &NodeDown{"x", 1}}, "DETdefrt"},
		{"a run, when the node starts again", again(Node{Name: "a", Replica: 11, Incarnation: 2}), "DETdr"},
		{"no run, when it only says so again", again(Node{Name: "a", Replica: 11, Incarnation: 1}), "DETdefrt"},
		{"a data directory", again(Node{Name: "a", Replica: 99, Incarnation: 1}), "DETr"},
		{"a node", &Command{NodeForget: &NodeForget{"a"}}, "DETr"},
		{"no node", &Command{NodeForget: &NodeForget{"x"}}, "DETdefrt"},
	} {
		s := housed(t)
		r := s.must(c.command)
		if got := s.names(); got != c.want {
			t.Errorf("%s: queues %s, want %s", c.name, got, c.want)
		}
		gone := 0
		for _, ch := range r.Changes {
			if ch.Kind == QueueGone {
				gone++
			}
		}
		if gone != len("DETdefrt")-len(c.want) {
			t.Errorf("%s: %d queues are said to be gone", c.name, gone)
		}
		s.must(c.command)
		if got := s.names(); got != c.want {
			t.Errorf("%s, twice: queues %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNodes(t *testing.T) {
	s := housed(t)
	if n := s.ByReplica(12); n == nil || n.Name != "b" || s.ByReplica(13) != nil || !slices.Equal(s.NodeNames(), []string{"a", "b"}) {
		t.Fatalf("node %+v", n)
	}
	late := &Command{NodeUp: &Node{Name: "a", Replica: 11, Incarnation: 1, AMQP: "old"}}
	s.must(&Command{NodeUp: &Node{Name: "a", Replica: 11, Incarnation: 3, AMQP: "new"}})
	s.must(late)
	if s.Nodes["a"].AMQP != "new" {
		t.Fatal("an old proposal that came late was taken")
	}
	s.must(&Command{NodeForget: &NodeForget{"b"}})
	g := s.Groups[2000]
	if !slices.Equal(g.Members, []string{"a"}) || !slices.Equal(s.Desired(g), []uint64{11}) {
		t.Fatalf("group %+v", g)
	}
}

func TestGroups(t *testing.T) {
	s := formed(t)
	r := s.must(&Command{GroupsSet: []*Group{{ID: 2000, Genesis: []uint64{11}, Members: []string{"a"}}, {ID: 2001, Members: []string{"b", "gone"}}}})
	if len(r.Changes) != 2 || s.NextID != 2001 || !slices.Equal(s.GroupIDs(), []uint64{2000, 2001}) || !slices.Equal(s.Desired(s.Groups[2001]), []uint64{12}) {
		t.Fatalf("changes %v, next id %d", r.Changes, s.NextID)
	}
	s.must(&Command{GroupsSet: []*Group{{ID: 2000, Genesis: []uint64{1, 2}, Members: []string{"a", "b"}}}})
	g := s.Groups[2000]
	if !slices.Equal(g.Genesis, []uint64{11}) || !slices.Equal(s.Desired(g), []uint64{11, 12}) {
		t.Fatalf("group %+v", g)
	}
	s.must(&Command{GroupVoters: &GroupVoters{2000, []uint64{11, 12}}})
	s.must(&Command{GroupVoters: &GroupVoters{1, []uint64{11}}})
	s.must(&Command{GroupVoters: &GroupVoters{5000, []uint64{11}}})
	if !slices.Equal(s.Groups[2000].Voters, []uint64{11, 12}) || !slices.Equal(s.MetaVoters, []uint64{11}) {
		t.Fatalf("voters %v and %v", s.Groups[2000].Voters, s.MetaVoters)
	}
	s.refused(declareQueue(Queue{Name: "q", Group: 3000}), fault.Unavailable, "placement group 3000 is gone")
	q := s.must(declareQueue(Queue{Name: "q", Group: 2000})).Queue
	if q.ID <= 2001 {
		t.Fatalf("id %d was used before", q.ID)
	}
}

func TestUsers(t *testing.T) {
	s := formed(t)
	s.must(&Command{VHostPut: &VHostPut{Name: "v"}})
	s.must(&Command{VHostPut: &VHostPut{Name: "/"}})
	s.must(declareQueue(Queue{Name: "q"}))
	s.must(&Command{VHostPut: &VHostPut{Name: "/"}})
	s.routes("", "q", "q")
	s.must(&Command{UserPut: &User{Name: "u", PasswordHash: "h", Tags: []string{"administrator"}}})
	before := s.Users["u"]
	for _, v := range []string{"/", "v", "/"} {
		s.must(&Command{PermissionSet: &PermissionSet{"u", v, Permission{v, "w", "r"}}})
	}
	if u := s.Users["u"]; len(u.Permissions) != 2 || u.Permissions["v"].Configure != "v" || u.Tags[0] != "administrator" || before.Permissions != nil {
		t.Fatalf("user %+v, before %+v", u, before)
	}
	s.refused(&Command{PermissionSet: &PermissionSet{"x", "/", Permission{}}}, fault.NotFound, "no user 'x'")
	s.refused(&Command{PermissionSet: &PermissionSet{"u", "x", Permission{}}}, fault.NotFound, "no vhost 'x'")
	s.must(&Command{Form: &Form{ClusterID: "another"}})
	if s.ClusterID != "c" || s.Users["guest"] == nil {
		t.Fatal("a cluster was formed twice")
	}
}

// A node asks to join, loses its data again and joins as yet another replica: what it asked
// first comes late.
func TestALateJoinChangesNothing(t *testing.T) {
	s := housed(t)
	join := func(replica, replaces uint64) *Command {
		return &Command{NodeJoin: &NodeJoin{Node{Name: "b", Replica: replica, Incarnation: 1}, replaces}}
	}
	s.must(join(23, 12))
	s.refused(join(22, 12), fault.PreconditionFailed, "another node has joined as b in the meantime")
	s.must(join(23, 12)) // proposed twice
	if n := s.Nodes["b"]; n.Replica != 23 || !s.IsForgotten(12) || s.IsForgotten(23) {
		t.Fatalf("b is %+v", n)
	}
	s.must(join(24, 23))
	s.refused(join(23, 12), fault.PreconditionFailed, "another node has joined as b in the meantime")
	if n := s.Nodes["b"]; n.Replica != 24 {
		t.Fatalf("b is %+v", n)
	}
}

func TestForgottenNodes(t *testing.T) {
	s := formed(t)
	s.must(&Command{NodeUp: &Node{Name: "c", Replica: 13, Incarnation: 1}})
	s.must(&Command{NodeUp: &Node{Name: "d", Replica: 14, Incarnation: 1}})
	s.must(&Command{GroupsSet: []*Group{
		{ID: 2000, Members: []string{"a", "b", "c"}}, {ID: 2001, Members: []string{"b", "c", "d"}}, {ID: 2002, Members: []string{"a", "c", "d"}},
	}})
	s.must(&Command{NodeForget: &NodeForget{"c"}})
	for id, want := range map[uint64][]string{2000: {"a", "b", "d"}, 2001: {"b", "d", "a"}, 2002: {"a", "d", "b"}} {
		if got := s.Groups[id].Members; !slices.Equal(got, want) {
			t.Errorf("group %d has members %v, want %v", id, got, want)
		}
	}
	s.must(&Command{NodeUp: &Node{Name: "d", Replica: 24, Incarnation: 1}}) // with an empty data directory
	for _, replica := range []uint64{13, 14} {
		s.refused(&Command{NodeUp: &Node{Name: "c", Replica: replica, Incarnation: 2}}, fault.PreconditionFailed, ForgottenText("c"))
	}
	s.must(&Command{NodeUp: &Node{Name: "c", Replica: 23, Incarnation: 1}})
	s.must(&Command{NodeForget: &NodeForget{"b"}})
	s.must(&Command{NodeForget: &NodeForget{"d"}})
	if got := s.Groups[2001].Members; !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("a group that nobody can fill has members %v", got)
	}
}

func TestMaintenance(t *testing.T) {
	s := formed(t)
	for range 2 {
		s.must(&Command{NodeDrain: &NodeDrain{"a", true}})
	}
	s.must(&Command{NodeUp: &Node{Name: "a", Replica: 11, Incarnation: 2}}) // it outlives a restart
	again := New()
	if err := again.Restore(s.Capture()); err != nil || !again.Drained["a"] || again.Drained["b"] {
		t.Fatalf("drained %v, %v", again.Drained, err)
	}
	s.must(&Command{NodeDrain: &NodeDrain{"a", false}})
	if s.Drained["a"] {
		t.Fatal("still in maintenance")
	}
	s.must(&Command{NodeDrain: &NodeDrain{"b", true}})
	s.must(&Command{NodeForget: &NodeForget{"b"}})
	if len(s.Drained) != 0 {
		t.Fatalf("drained %v", s.Drained)
	}
	s.refused(&Command{NodeDrain: &NodeDrain{"b", true}}, fault.NotFound, "no node 'b' in the cluster")
}

func TestGrowAndShrink(t *testing.T) {
	s := formed(t)
	s.must(&Command{NodeUp: &Node{Name: "c", Replica: 13, Incarnation: 1}})
	var groups []*Group
	for id := range uint64(8) {
		groups = append(groups, &Group{ID: 2000 + id, Members: []string{"a", "b", "c"}})
	}
	s.must(&Command{GroupsSet: groups})
	s.refused(&Command{NodeShrink: &NodeShrink{"a"}}, fault.PreconditionFailed,
		"all 3 nodes hold placement group 2000: nobody can take the place of node 'a'")
	s.refused(&Command{NodeShrink: &NodeShrink{"x"}}, fault.NotFound, "no node 'x' in the cluster")
	s.refused(&Command{NodeGrow: &NodeGrow{"x"}}, fault.NotFound, "no node 'x' in the cluster")
	s.must(&Command{NodeUp: &Node{Name: "d", Replica: 14, Incarnation: 1}})
	for range 2 {
		s.must(&Command{NodeGrow: &NodeGrow{"d"}})
		for name, held := range s.Held() {
			if held != 6 {
				t.Errorf("node %s holds %d of 24 places", name, held)
			}
		}
	}
	s.must(&Command{NodeShrink: &NodeShrink{"b"}})
	for _, id := range s.GroupIDs() {
		if m := slices.Sorted(slices.Values(s.Groups[id].Members)); !slices.Equal(m, []string{"a", "c", "d"}) {
			t.Errorf("group %d has members %v", id, m)
		}
	}
}
