package node

import (
	"fmt"
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// links returns a node that has a topology and nothing else, and a way to make a user's
// link to "/".
func newLinks(t testing.TB) (n *Node, change func(metadata.Command), link func(user string) *Link) {
	t.Helper()
	n = &Node{topology: metadata.New(), links: map[*Link]struct{}{}, serials: map[uint64]struct{}{}, tally: newTally()}
	change = func(c metadata.Command) {
		t.Helper()
		r := n.topology.Apply(c.Encode())
		if r.Fault != nil {
			t.Fatal(r.Fault)
		}
		n.topologyChanged(r.Changes)
	}
	change(metadata.Command{Form: &metadata.Form{ClusterID: "c"}})
	return n, change, func(user string) *Link { return &Link{n: n, vhost: "/", user: user} }
}

func permit(user, configure, write, read string) metadata.Command {
	return metadata.Command{PermissionSet: &metadata.PermissionSet{
		User: user, VHost: "/", Permission: metadata.Permission{Configure: configure, Write: write, Read: read},
	}}
}

func TestALinkLooksAgainWhenPermissionsChange(t *testing.T) {
	_, change, link := newLinks(t)
	change(metadata.Command{UserPut: &metadata.User{Name: "u"}})
	l := link("u")
	check := func(want bool) {
		t.Helper()
		for range 2 { // asked, then remembered
			if err := l.may(read, aQueue, "q"); (err == nil) != want || err != nil && fault.KindOf(err) != fault.AccessRefused {
				t.Fatalf("%v, want allowed: %v", err, want)
			}
		}
	}
	check(false)
	change(permit("u", "", "", "^q"))
	check(true)
	change(permit("u", "^q", "^q", ""))
	check(false)
	change(permit("u", "", "", ".*"))
	check(true)
	change(metadata.Command{UserDelete: &metadata.UserDelete{Name: "u"}})
	check(false)
}

func TestWhatALinkRemembersIsBounded(t *testing.T) {
	_, change, link := newLinks(t)
	change(metadata.Command{UserPut: &metadata.User{Name: "u"}})
	change(permit("u", "^q", "", ""))
	l := link("u")
	for i := range 10 * grantsMax {
		if err := l.may(configure, aQueue, fmt.Sprintf("q%d", i)); err != nil {
			t.Fatal(err)
		}
		if len(l.known.allowed) > grantsMax {
			t.Fatalf("%d names", len(l.known.allowed))
		}
	}
}

func TestTopicPatternsNameTheUser(t *testing.T) {
	_, change, link := newLinks(t)
	for _, u := range []string{"a.b", "axb"} {
		change(metadata.Command{UserPut: &metadata.User{Name: u}})
		change(permit(u, ".*", ".*", ".*"))
		change(metadata.Command{TopicPermissionSet: &metadata.TopicPermissionSet{
			User: u, VHost: "/", Exchange: "amq.topic", Permission: metadata.TopicPermission{Write: "^{username}-{vhost}-{client_id}$|^$", Read: "^r"},
		}})
	}
	for _, c := range []struct {
		user, exchange, key string
		v                   verb
		ok                  bool
	}{
		{"a.b", "amq.topic", "a.b-/-{client_id}", write, true}, // no client has one: it stands for itself
		{"axb", "amq.topic", "a.b-/-x", write, false},
		{"axb", "amq.topic", "", write, true},
		{"axb", "amq.topic", "r1", read, true},
		{"axb", "amq.topic", "x", read, false},
		{"axb", "amq.direct", "x", write, true},
		{"axb", "amq.fanout", "x", read, true},
	} {
		if err := link(c.user).mayTopic(c.v, c.exchange, c.key); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	change(metadata.Command{TopicPermissionSet: &metadata.TopicPermissionSet{
		User: "a.b", VHost: "/", Exchange: "amq.topic", Permission: metadata.TopicPermission{Write: "^{username}$"},
	}})
	l := link("a.b")
	if l.mayTopic(write, "amq.topic", "a.b") != nil || l.mayTopic(write, "amq.topic", "axb") == nil {
		t.Error("a user's name is taken for an expression")
	}
}

// TestPublishChecksCostNothing is about what happens with every message.
func TestPublishChecksCostNothing(t *testing.T) {
	_, change, link := newLinks(t)
	for user, pattern := range map[string]string{"all": ".*", "some": "^amq"} {
		change(metadata.Command{UserPut: &metadata.User{Name: user}})
		change(permit(user, "", pattern, ""))
	}
	m := &message.Message{Exchange: "amq.direct", RoutingKey: "k", Properties: message.Properties{DeliveryMode: 2}.Append(nil)}
	for _, user := range []string{"all", "some"} {
		l := link(user)
		allocs := testing.AllocsPerRun(100, func() {
			if l.may(write, anExchange, m.Exchange) != nil || l.maySend(m) != nil {
				t.Fatal("refused")
			}
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations", user, allocs)
		}
	}
}

func TestTheTallyForgetsNobody(t *testing.T) {
	n, _, link := newLinks(t)
	a, b := link("u"), link("u")
	a.channels, b.channels = map[uint16]*ChannelState{}, map[uint16]*ChannelState{}
	n.addLink(a)
	n.addLink(b)
	n.addChannel(a, 1, nil)
	n.addChannel(a, 1, nil)
	n.addChannel(b, 1, nil)
	if c := n.countHere("/", "u"); c != (counts{2, 2, 2}) || n.tally.all != 2 {
		t.Fatalf("%+v, %d", c, n.tally.all)
	}
	n.removeChannel(b, 1)
	n.removeChannel(b, 1)
	n.removeLink(a) // with its channel
	n.removeLink(a)
	if c := n.countHere("/", "u"); c != (counts{1, 1, 0}) || n.tally.all != 0 {
		t.Fatalf("%+v, %d", c, n.tally.all)
	}
	n.removeLink(b)
	if len(n.tally.users)+len(n.tally.vhosts)+len(n.tally.channels) != 0 {
		t.Errorf("%+v", n.tally)
	}
}
