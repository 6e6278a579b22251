package node

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// QueueStatus is one queue as tools show it.
type QueueStatus struct {
	ID         uint64
	VHost      string
	Name       string
	Type       metadata.QueueType
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	Args       metadata.Args
	Policy     string // the policy that applies, "" for none
	// OperatorPolicy is the operator's beside it, Definition what both come to.
	OperatorPolicy string
	Definition     map[string]any
	Leader         string   // node; "" if none is known
	Members        []string // nodes that hold the messages
	Online         []string // those of them that are up
	Ready          int
	Unacked        int
	Consumers      int
	Bytes          int64
	State          string // running, down
}

// NodeStatus is one node as tools show it.
type NodeStatus struct {
	metadata.Node
	Running bool
	Leader  bool // of the metadata
	Drained bool // in maintenance
}

type statEvent struct{ answer func([]QueueStatus) }

// stats returns the counts of the queues that this member leads.
func (m *shardMachine) stats() []QueueStatus {
	var list []QueueStatus
	m.shard.Queues(func(q *queue.Queue) {
		if q.Sealed() {
			return // it is elsewhere, or on its way
		}
		s := QueueStatus{ID: q.ID, Leader: m.n.cfg.Name, Bytes: q.Bytes()}
		s.Ready, s.Unacked, s.Consumers = q.Counts()
		list = append(list, s)
	})
	return list
}

// localQueues returns the counts of the queues that this node leads.
func (n *Node) localQueues(ctx context.Context) []QueueStatus {
	n.topologyMu.RLock()
	groups := n.topology.GroupIDs()
	n.topologyMu.RUnlock()
	for i := range uint64(ownGroups) {
		groups = append(groups, durableGroup+i, transientGroup+i)
	}
	answers := make(chan []QueueStatus, len(groups))
	asked := 0
	for _, id := range groups {
		if (isAlone(id) || n.leaderOf(id) == n.id.Replica) &&
			n.host.Post(id, statEvent{func(l []QueueStatus) { answers <- l }}) {
			asked++
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var all []QueueStatus
	for range asked {
		select {
		case l := <-answers:
			all = append(all, l...)
		case <-ctx.Done():
			return all // a group lost its leader meanwhile
		}
	}
	return all
}

// Queues returns all queues with their counts, by virtual host and name.
func (n *Node) Queues(ctx context.Context) []QueueStatus {
	counts := map[uint64]QueueStatus{}
	var mu sync.Mutex
	add := func(list []QueueStatus) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range list {
			counts[s.ID] = s
		}
	}
	add(n.localQueues(ctx))
	n.eachPeer(ctx, call{Op: callQueues}, func(r callReply) { add(r.Queues) })
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	var all []QueueStatus
	n.topology.EachQueue(func(q *metadata.Queue) {
		if !q.Internal {
			all = append(all, n.describe(q, counts))
		}
	})
	slices.SortFunc(all, func(a, b QueueStatus) int {
		if a.VHost != b.VHost {
			return cmp.Compare(a.VHost, b.VHost)
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return all
}

// describe joins the topology's view of a queue with its leader's counts. The caller
// holds topologyMu.
func (n *Node) describe(q *metadata.Queue, counts map[uint64]QueueStatus) QueueStatus {
	s, led := counts[q.ID]
	s.ID, s.VHost, s.Name, s.Type = q.ID, q.VHost, q.Name, q.Type()
	s.Durable, s.AutoDelete, s.Exclusive, s.Args = q.Durable, q.AutoDelete, q.Exclusive(), q.Args
	if p := n.topology.PolicyOf(q); p != nil {
		s.Policy = p.Name
	}
	if p := n.topology.OperatorPolicyOf(q); p != nil {
		s.OperatorPolicy = p.Name
	}
	s.Definition = n.topology.Definition(q)
	s.Members = []string{q.Node}
	if g := n.topology.Groups[q.Group]; g != nil {
		s.Members = g.Members
	}
	for _, name := range s.Members {
		if m := n.topology.Nodes[name]; m != nil && (m.Replica == n.id.Replica || n.transport.Alive(m.Replica)) {
			s.Online = append(s.Online, name)
		}
	}
	s.State = "running"
	if !led {
		s.State = "down"
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
