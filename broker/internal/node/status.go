package node

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// statTimeout bounds how long tools wait for a queue's counts: a busy queue's last known
// ones do as well.
const statTimeout = time.Second

// QueueCounts are what only a queue's leader knows.
type QueueCounts struct {
	ID         uint64
	Leader     string            // node
	Ready      int               `json:",omitempty"`
	Unacked    int               `json:",omitempty"`
	Consumers  int               `json:",omitempty"`
	Hungry     int               `json:",omitempty"` // consumers that would take a message at once
	Bytes      int64             `json:",omitempty"` // of all bodies
	ReadyBytes int64             `json:",omitempty"` // of those that are ready
	Counts     Counts            `json:",omitzero"`
	Dead       [4]uint64         `json:",omitzero"`  // removed without an acknowledgement: rejected, expired, maxlen, delivery_limit
	Active     queue.ConsumerKey `json:",omitzero"`  // who is served, if only one is at a time
	Stale      bool              `json:",omitempty"` // the leader did not answer in time: these are old
	Rates      Rates             `json:",omitzero"`
	ReadyRate  float64           `json:",omitempty"`
	UnackRate  float64           `json:",omitempty"`
	Samples    []Sample          `json:",omitempty"`
}

// QueueStatus is one queue as tools show it.
type QueueStatus struct {
	QueueCounts
	VHost      string
	Name       string
	Type       metadata.QueueType
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	Owner      metadata.ConnID
	Args       metadata.Args
	Policy     string // the policy that applies, "" for none
	// OperatorPolicy is the operator's beside it, Definition what both come to.
	OperatorPolicy string
	Definition     map[string]any
	Group          uint64   // placement group; 0: not replicated
	Members        []string // nodes that hold the messages
	Online         []string // those of them that are up
	State          string   // running, down, moving
}

// NodeStatus is one node as tools show it.
type NodeStatus struct {
	metadata.Node
	Running bool
	Leader  bool // of the metadata
	Drained bool // in maintenance
}

// Listing is a list of something in the whole cluster, as far as the nodes answered.
type Listing[T any] struct {
	Items []T
	// Missing are the running nodes that did not answer in time.
	Missing []string
}

type statEvent struct{ answer func([]QueueCounts) }

// countQueues asks this node's leaders for the counts of their queues; whole is false if
// not all answered in time.
func (n *Node) countQueues(ctx context.Context) (all []QueueCounts, whole bool) {
	n.topologyMu.RLock()
	groups := n.topology.GroupIDs()
	n.topologyMu.RUnlock()
	for i := range uint64(ownGroups) {
		groups = append(groups, durableGroup+i, transientGroup+i)
	}
	answers := make(chan []QueueCounts, len(groups))
	asked := 0
	for _, id := range groups {
		if (isAlone(id) || n.leaderOf(id) == n.id.Replica) &&
			n.host.Post(id, statEvent{func(l []QueueCounts) { answers <- l }}) {
			asked++
		}
	}
	ctx, cancel := context.WithTimeout(ctx, statTimeout)
	defer cancel()
	for range asked {
		select {
		case l := <-answers:
			all = append(all, l...)
		case <-ctx.Done():
			return all, false // a leader is busy, or a group lost its leader meanwhile
		}
	}
	return all, true
}

// queuesHere returns the counts of the queues that this node leads.
func (n *Node) queuesHere(ctx context.Context, history bool) []QueueCounts {
	list, whole := n.countQueues(ctx)
	if !whole {
		list = n.lastKnown(list)
	}
	return n.rated(list, history)
}

// ListQueues returns all queues with their counts, by virtual host and name; with their
// samples, if history is set.
func (n *Node) ListQueues(ctx context.Context, history bool) Listing[QueueStatus] {
	counts := map[uint64]*QueueCounts{}
	var mu sync.Mutex
	add := func(list []QueueCounts) {
		mu.Lock()
		defer mu.Unlock()
		for i := range list {
			if old := counts[list[i].ID]; old == nil || old.Stale {
				counts[list[i].ID] = &list[i]
			}
		}
	}
	missing := n.eachNode(ctx, call{Op: callQueues, History: history},
		func() { add(n.queuesHere(ctx, history)) }, func(r callReply) { add(r.Queues) })
	var found []*metadata.Queue
	n.topologyMu.RLock()
	n.topology.EachQueue(func(q *metadata.Queue) {
		if !q.Internal {
			found = append(found, q)
		}
	})
	n.topologyMu.RUnlock()
	slices.SortFunc(found, func(a, b *metadata.Queue) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.Name, b.Name)) // they never change
	})
	all := make([]QueueStatus, 0, len(found))
	for some := range slices.Chunk(found, describedAtOnce) {
		n.topologyMu.RLock()
		for _, q := range some {
			if q = n.topology.QueueByID(q.ID); q != nil { // it may be gone meanwhile
				all = append(all, n.describe(q, counts[q.ID]))
			}
		}
		n.topologyMu.RUnlock()
		runtime.Gosched()
	}
	return Listing[QueueStatus]{all, missing}
}

// describedAtOnce is how many queues are described before others get their turn.
const describedAtOnce = 256

// describe joins the topology's view of a queue with its leader's counts; nil: nobody
// leads it. The caller holds topologyMu.
func (n *Node) describe(q *metadata.Queue, c *QueueCounts) QueueStatus {
	s := QueueStatus{
		VHost: q.VHost, Name: q.Name, Type: q.Type(), Durable: q.Durable, AutoDelete: q.AutoDelete,
		Exclusive: q.Exclusive(), Owner: q.Owner, Args: q.Args, Group: q.Group, Definition: n.topology.Definition(q),
	}
	if c != nil {
		s.QueueCounts = *c
	}
	s.ID = q.ID
	if p := n.topology.PolicyOf(q); p != nil {
		s.Policy = p.Name
	}
	if p := n.topology.OperatorPolicyOf(q); p != nil {
		s.OperatorPolicy = p.Name
	}
	s.Members = []string{q.Node}
	if g := n.topology.Groups[q.Group]; g != nil {
		s.Members = g.Members
	}
	for _, name := range s.Members {
		if m := n.topology.Nodes[name]; m != nil && (m.Replica == n.id.Replica || n.transport.Alive(m.Replica)) {
			s.Online = append(s.Online, name)
		}
	}
	switch {
	case q.Target != 0:
		s.State = "moving"
	case c == nil:
		s.State = "down"
	default:
		s.State = "running"
	}
	return s
}

// Nodes returns the cluster's nodes by name.
func (n *Node) Nodes() []NodeStatus {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	all := make([]NodeStatus, 0, len(n.topology.Nodes))
	for _, name := range n.topology.NodeNames() {
		m := n.topology.Nodes[name]
		all = append(all, NodeStatus{
			Node: *m, Running: m.Replica == n.id.Replica || n.transport.Alive(m.Replica), Leader: m.Replica == n.metaLeader.Load(),
			Drained: n.topology.Drained[name],
		})
	}
	return all
}

// ClusterID returns the id of the cluster, "" before there is one.
func (n *Node) ClusterID() string { return n.transport.Identity().ClusterID }

// ClusterName returns what the operators call the cluster.
func (n *Node) ClusterName() (name string) {
	n.View(func(s *metadata.State) { name = s.NameOfCluster() })
	return name
}

// eachNode does something here and makes a call to all other living nodes at once; it
// returns the names of those that did not answer.
func (n *Node) eachNode(ctx context.Context, c call, here func(), take func(callReply)) (missing []string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, m := range n.Nodes() {
		if !m.Running || m.Replica == n.id.Replica {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*statTimeout)
			defer cancel()
			r, err := n.callNode(ctx, m.Peer, c)
			if err != nil {
				mu.Lock()
				missing = append(missing, m.Name)
				mu.Unlock()
				return
			}
			take(r)
		})
	}
	here()
	wg.Wait()
	slices.Sort(missing)
	return missing
}

// ListTotals returns the sums of each node, by name; with samples, if history is set.
func (n *Node) ListTotals(ctx context.Context, history bool) (map[string]NodeTotals, []string) {
	all := map[string]NodeTotals{}
	var mu sync.Mutex
	add := func(name string, t NodeTotals) {
		mu.Lock()
		defer mu.Unlock()
		all[name] = t
	}
	missing := n.eachNode(ctx, call{Op: callTotals, History: history},
		func() { add(n.cfg.Name, n.totalsHere(ctx, history)) },
		func(r callReply) {
			if r.Totals != nil {
				add(r.Name, *r.Totals)
			}
		})
	return all, missing
}

// ExchangeCounts are what was published to an exchange.
type ExchangeCounts struct {
	VHost, Name     string
	In, Out         uint64  // messages, and how many queues they went to
	InRate, OutRate float64 // of the last seconds
}

func (n *Node) exchangesCounted() []ExchangeCounts {
	counts := n.exchangesHere()
	list := make([]ExchangeCounts, 0, len(counts))
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, c := range counts {
		x := ExchangeCounts{VHost: k.vhost, Name: k.name, In: c.in, Out: c.out}
		if r := s.exchanges[k]; r != nil {
			x.InRate, x.OutRate = r.rates[StatPublish], r.rates[StatDeliver]
		}
		list = append(list, x)
	}
	return list
}

// ExchangesHere returns what clients of this node published to exchanges.
func (n *Node) ExchangesHere() []ExchangeCounts { return n.exchangesCounted() }

// ListExchanges returns what was published to exchanges in the whole cluster; exchanges
// that nobody published to are missing.
func (n *Node) ListExchanges(ctx context.Context) Listing[ExchangeCounts] {
	sums := map[exchangeKey]ExchangeCounts{}
	var mu sync.Mutex
	add := func(list []ExchangeCounts) {
		mu.Lock()
		defer mu.Unlock()
		for _, x := range list {
			k := exchangeKey{x.VHost, x.Name}
			sum := sums[k]
			sums[k] = ExchangeCounts{x.VHost, x.Name, sum.In + x.In, sum.Out + x.Out, sum.InRate + x.InRate, sum.OutRate + x.OutRate}
		}
	}
	missing := n.eachNode(ctx, call{Op: callExchanges}, func() { add(n.exchangesCounted()) }, func(r callReply) { add(r.Exchanges) })
	l := Listing[ExchangeCounts]{Missing: missing}
	for _, x := range sums {
		l.Items = append(l.Items, x)
	}
	return l
}

// LedQueues returns the queues whose leader is this node, in no order, with their names and
// counts.
func (n *Node) LedQueues(ctx context.Context) []QueueStatus {
	counts := n.queuesHere(ctx, false)
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	all := make([]QueueStatus, 0, len(counts))
	for i := range counts {
		if q := n.topology.QueueByID(counts[i].ID); q != nil && !q.Internal {
			all = append(all, QueueStatus{QueueCounts: counts[i], VHost: q.VHost, Name: q.Name, Type: q.Type()})
		}
	}
	return all
}

// ConnectionsHere returns the client connections to this node.
func (n *Node) ConnectionsHere() []ConnectionStatus { return n.connectionsHere() }
