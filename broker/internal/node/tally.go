package node

import (
	"context"
	"sync"
)

// tally counts this node's links and channels, under Node.linksMu.
type tally struct {
	vhosts, users map[string]int // connections
	channels      map[string]int // by user
	all           int            // channels
}

func newTally() tally {
	return tally{vhosts: map[string]int{}, users: map[string]int{}, channels: map[string]int{}}
}

// add adds n to one count, and forgets it when nothing is left.
func add(counts map[string]int, key string, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// counts are how many a virtual host and a user have.
type counts struct {
	VHost    int // connections to the virtual host
	User     int // connections of the user
	Channels int // of the user
}

func (n *Node) addLink(l *Link) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	n.links[l] = struct{}{}
	n.serials[l.owner.Serial] = struct{}{}
	add(n.tally.vhosts, l.vhost, 1)
	add(n.tally.users, l.user, 1)
}

// linkOpen says if a link of this run of the node is open.
func (n *Node) linkOpen(serial uint64) bool {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	_, open := n.serials[serial]
	return open
}

func (n *Node) removeLink(l *Link) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	if _, there := n.links[l]; !there {
		return
	}
	delete(n.links, l)
	n.foldLink(l)
	for _, s := range l.channels {
		n.foldChannel(s)
	}
	if l.open {
		n.meters.churn.connectionsClosed.Add(1)
		n.emit("connection.closed", field("name", l.info.Name), field("user", l.user), field("vhost", l.vhost))
	}
	delete(n.serials, l.owner.Serial)
	add(n.tally.vhosts, l.vhost, -1)
	add(n.tally.users, l.user, -1)
	add(n.tally.channels, l.user, -len(l.channels))
	n.tally.all -= len(l.channels)
	clear(l.channels)
}

func (n *Node) addChannel(l *Link, number uint16, s *ChannelState) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	if _, there := l.channels[number]; there {
		return
	}
	l.channels[number] = s
	n.meters.churn.channelsOpened.Add(1)
	n.emit("channel.created", field("number", int32(number)), field("connection", l.info.Name), field("user", l.user), field("vhost", l.vhost))
	add(n.tally.channels, l.user, 1)
	n.tally.all++
}

func (n *Node) removeChannel(l *Link, number uint16) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	s, there := l.channels[number]
	if !there {
		return
	}
	n.foldChannel(s)
	n.emit("channel.closed", field("number", int32(number)), field("connection", l.info.Name))
	delete(l.channels, number)
	add(n.tally.channels, l.user, -1)
	n.tally.all--
}

func (n *Node) countHere(vhost, user string) counts {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	return counts{n.tally.vhosts[vhost], n.tally.users[user], n.tally.channels[user]}
}

// count asks all living nodes. One that does not answer counts for nothing: its clients
// are likely gone, and a limit is no reason to refuse those who are here.
func (n *Node) count(ctx context.Context, vhost, user string) counts {
	sum := n.countHere(vhost, user)
	var mu sync.Mutex
	n.eachPeer(ctx, call{Op: callCount, VHost: vhost, User: user}, func(r callReply) {
		mu.Lock()
		defer mu.Unlock()
		sum.VHost += r.Counts.VHost
		sum.User += r.Counts.User
		sum.Channels += r.Counts.Channels
	})
	return sum
}

// eachPeer makes a call to all living nodes of the cluster at once, and hands their
// answers to take, from several goroutines.
func (n *Node) eachPeer(ctx context.Context, c call, take func(callReply)) {
	var wg sync.WaitGroup
	for replica, addr := range n.peerReplicas() {
		if !n.transport.Alive(replica) {
			continue
		}
		wg.Go(func() {
			r, err := n.callNode(ctx, addr, c)
			if err != nil {
				n.cfg.Logger.Warn("a node did not answer", "call", c.Op, "peer", addr, "error", err)
				return
			}
			take(r)
		})
	}
	wg.Wait()
}

// foldChannel keeps what a channel that ends has counted. The caller holds linksMu.
func (n *Node) foldChannel(s *ChannelState) {
	n.meters.churn.channelsClosed.Add(1)
	if s != nil {
		c := s.Counts()
		n.meters.closed.Plus(&c)
	}
}
