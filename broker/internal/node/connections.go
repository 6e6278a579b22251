package node

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// ConnectionStatus is one client connection as tools show it.
type ConnectionStatus struct {
	Name        string // "peer -> local"
	Node        string
	User        string
	VHost       string
	Peer, Local string // host:port
	Properties  metadata.Args
	Mechanism   string
	ChannelMax  uint16
	FrameMax    uint32        // bytes
	Heartbeat   time.Duration // 0: none
	TLS         *TLSInfo
	Since       time.Time
	Channels    []ChannelStatus

	Received, Sent uint64 // bytes
	Reads, Writes  uint64
}

// ChannelStatus is one channel of a connection.
type ChannelStatus struct {
	Number    uint16
	Consumers int
	Unacked   int // of its consumers
}

// Connections returns the client connections of the whole cluster, by name.
func (n *Node) Connections(ctx context.Context) []ConnectionStatus {
	var mu sync.Mutex
	all := n.connectionsHere()
	n.eachPeer(ctx, call{Op: callConnections}, func(r callReply) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r.Connections...)
	})
	slices.SortFunc(all, func(a, b ConnectionStatus) int {
		if a.Name != b.Name {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Compare(a.Node, b.Node)
	})
	return all
}

// CloseConnections ends the connections of that name, wherever they are, and tells their
// clients why. It returns how many there were.
func (n *Node) CloseConnections(ctx context.Context, name, reason string) int {
	var mu sync.Mutex
	closed := n.closeHere(name, reason)
	n.eachPeer(ctx, call{Op: callClose, Name: name, Reason: reason}, func(r callReply) {
		mu.Lock()
		defer mu.Unlock()
		closed += r.Closed
	})
	return closed
}

func (n *Node) closeHere(name, reason string) int {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	closed := 0
	for l := range n.links {
		if l.open && l.info.Name == name {
			l.session.Abort(reason) // it only puts that into an inbox
			closed++
		}
	}
	return closed
}

func (n *Node) connectionsHere() []ConnectionStatus {
	n.linksMu.Lock()
	var links []*Link
	var channels [][]uint16
	for l := range n.links {
		if !l.open {
			continue
		}
		numbers := make([]uint16, 0, len(l.channels))
		for number := range l.channels {
			numbers = append(numbers, number)
		}
		slices.Sort(numbers)
		links, channels = append(links, l), append(channels, numbers)
	}
	n.linksMu.Unlock()
	all := make([]ConnectionStatus, 0, len(links))
	for i, l := range links {
		all = append(all, l.status(channels[i]))
	}
	return all
}

func (l *Link) status(channels []uint16) ConnectionStatus {
	s := ConnectionStatus{
		Name: l.info.Name, Node: l.n.cfg.Name, User: l.user, VHost: l.vhost, Peer: addrText(l.info.Peer), Local: addrText(l.info.Local),
		Properties: metadata.Args{Table: l.info.Properties}, Mechanism: l.info.Mechanism, ChannelMax: l.info.ChannelMax,
		FrameMax: l.info.FrameMax, Heartbeat: l.info.Heartbeat, TLS: l.info.TLS, Since: l.since,
	}
	if t := l.info.Traffic; t != nil {
		s.Received, s.Sent = t.Received.Load(), t.Sent.Load()
		s.Reads, s.Writes = t.Reads.Load(), t.Writes.Load()
	}
	of := map[uint16]*ChannelStatus{}
	s.Channels = make([]ChannelStatus, len(channels))
	for i, number := range channels {
		s.Channels[i].Number = number
		of[number] = &s.Channels[i]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.consumers {
		ch := of[c.Channel]
		if ch == nil {
			continue // a get's: it knows no channel
		}
		ch.Consumers++
		c.mu.Lock()
		ch.Unacked += len(c.held)
		c.mu.Unlock()
	}
	return s
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
