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
	Owner       metadata.ConnID
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
	Blocked     bool // it publishes, and an alarm stops it
	Full        bool // its publishes wait for the queues: its socket is not read
	Channels    []ChannelStatus

	Received, Sent uint64 // bytes
	Reads, Writes  uint64
	// Rates of those four for each second.
	ReceivedRate, SentRate, ReadsRate, WritesRate float64
}

// ChannelStatus is one channel of a connection.
type ChannelStatus struct {
	Number    uint16
	Consumers []ConsumerStatus
	Unacked   int
	// Unconfirmed are publishes that wait for their confirm.
	Unconfirmed              int
	Prefetch, GlobalPrefetch uint32 // 0: unlimited
	Confirms, Transactional  bool
	Counts                   Counts
	Rates                    Rates
}

// ConsumerStatus is one subscription of a channel.
type ConsumerStatus struct {
	ID        uint64 // unique on its node
	Replica   uint64
	Tag       string
	Queue     string
	QueueID   uint64
	NoAck     bool
	Exclusive bool
	Prefetch  uint16 // 0: unlimited
	Priority  int32
	Unacked   int
	Timeout   time.Duration // for an acknowledgement; 0: none
	Args      metadata.Args
}

// ListConnections returns the client connections of the whole cluster, by name.
func (n *Node) ListConnections(ctx context.Context) Listing[ConnectionStatus] {
	var mu sync.Mutex
	var all []ConnectionStatus
	add := func(list []ConnectionStatus) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, list...)
	}
	missing := n.eachNode(ctx, call{Op: callConnections}, func() { add(n.connectionsHere()) }, func(r callReply) { add(r.Connections) })
	slices.SortFunc(all, func(a, b ConnectionStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node))
	})
	return Listing[ConnectionStatus]{all, missing}
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

// openLinks returns the links of clients that were let in, and the states of their
// channels.
func (n *Node) openLinks() (links []*Link, states []*ChannelState) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	for l := range n.links {
		if !l.open {
			continue
		}
		links = append(links, l)
		for _, s := range l.channels {
			if s != nil {
				states = append(states, s)
			}
		}
	}
	return links, states
}

// openCount returns how many connections clients have here, and how many channels those have.
func (n *Node) openCount() (connections, channels int) {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	for l := range n.links {
		if l.open {
			connections++
			channels += len(l.channels)
		}
	}
	return connections, channels
}

func (n *Node) connectionsHere() []ConnectionStatus {
	links, _ := n.openLinks()
	all := make([]ConnectionStatus, 0, len(links))
	for _, l := range links {
		all = append(all, l.status())
	}
	blocked := n.alarmed()
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range links {
		c := &all[i]
		if x := s.links[l]; x != nil {
			c.ReceivedRate, c.SentRate, c.ReadsRate, c.WritesRate = x.receivedRate, x.sentRate, x.readsRate, x.writesRate
		}
		for j := range c.Channels {
			ch := &c.Channels[j]
			c.Blocked = c.Blocked || blocked && ch.Counts[StatPublish] > 0
			if x := s.channels[l.channelState(ch.Number)]; x != nil {
				ch.Rates = x.rates
			}
		}
	}
	return all
}

// Activity is what the open channels of a node do together.
type Activity struct {
	Publishers  int // channels that have published
	Consumers   int
	Unacked     int // deliveries that are not settled
	Unconfirmed int // publishes that wait for their confirm
}

// Activity says what clients of this node do.
func (n *Node) Activity() Activity {
	var a Activity
	links, states := n.openLinks()
	for _, s := range states {
		var c ChannelStatus
		s.describe(&c)
		if c.Counts[StatPublish] > 0 {
			a.Publishers++
		}
		a.Unacked += c.Unacked
		a.Unconfirmed += c.Unconfirmed
	}
	for _, l := range links {
		l.mu.Lock()
		for c := range l.consumers {
			if c.Tag != "" && !c.internal {
				a.Consumers++
			}
		}
		l.mu.Unlock()
	}
	return a
}

func (n *Node) alarmed() bool {
	n.alarms.mu.Lock()
	defer n.alarms.mu.Unlock()
	return n.alarms.all != 0
}

func (l *Link) channelState(number uint16) *ChannelState {
	l.n.linksMu.Lock()
	defer l.n.linksMu.Unlock()
	return l.channels[number]
}

func (l *Link) status() ConnectionStatus {
	s := ConnectionStatus{
		Name: l.info.Name, Node: l.n.cfg.Name, Owner: l.owner, User: l.user, VHost: l.vhost, Peer: addrText(l.info.Peer), Local: addrText(l.info.Local),
		Properties: metadata.Args{Table: l.info.Properties}, Mechanism: l.info.Mechanism, ChannelMax: l.info.ChannelMax,
		FrameMax: l.info.FrameMax, Heartbeat: l.info.Heartbeat, TLS: l.info.TLS, Since: l.since, Full: !l.Ready(),
	}
	if t := l.info.Traffic; t != nil {
		s.Received, s.Sent = t.Received.Load(), t.Sent.Load()
		s.Reads, s.Writes = t.Reads.Load(), t.Writes.Load()
	}
	l.n.linksMu.Lock()
	for number, state := range l.channels {
		c := ChannelStatus{Number: number}
		if state != nil {
			state.describe(&c)
		}
		s.Channels = append(s.Channels, c)
	}
	l.n.linksMu.Unlock()
	slices.SortFunc(s.Channels, func(a, b ChannelStatus) int { return cmp.Compare(a.Number, b.Number) })
	of := make(map[uint16]*ChannelStatus, len(s.Channels))
	for i := range s.Channels {
		of[s.Channels[i].Number] = &s.Channels[i]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.consumers {
		if ch := of[c.Channel]; ch != nil && c.Tag != "" && !c.internal { // else a get's, or one for answers
			ch.Consumers = append(ch.Consumers, c.status())
		}
	}
	for _, ch := range of {
		slices.SortFunc(ch.Consumers, func(a, b ConsumerStatus) int { return cmp.Compare(a.Tag, b.Tag) })
	}
	return s
}

func (s *ChannelState) describe(c *ChannelStatus) {
	c.Counts = s.Counts()
	c.Unacked = int(max(int64(c.Counts[StatDeliver]+c.Counts[StatGet]-c.Counts[StatSettled]), 0))
	c.Unconfirmed = int(max(int64(c.Counts[StatPublishConfirm]-c.Counts[StatConfirm]), 0))
	c.Prefetch, c.GlobalPrefetch = s.Prefetch.Load(), s.GlobalPrefetch.Load()
	c.Confirms, c.Transactional = s.Confirms.Load(), s.Transactional.Load()
}

func (c *Consumer) status() ConsumerStatus {
	s := ConsumerStatus{
		ID: c.spec.ID, Replica: c.link.n.id.Replica, Tag: c.Tag, Queue: c.Queue, QueueID: c.queueID, NoAck: c.NoAck, Exclusive: c.spec.Exclusive,
		Priority: c.spec.Priority, Timeout: c.AckTimeout(), Args: metadata.Args{Table: c.args},
	}
	g := c.gate.Load()
	g.mu.Lock()
	s.Prefetch = c.spec.Prefetch
	g.mu.Unlock()
	c.mu.Lock()
	s.Unacked = len(c.held)
	c.mu.Unlock()
	return s
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
