package node

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/raftnode"
)

// QuorumStatus is how a replicated queue stands with its members.
type QuorumStatus struct {
	Group   uint64 // placement group: what counts for it counts for all of its queues
	Leader  string // node
	Term    uint64
	Last    uint64 // index of the log's last entry
	Commit  uint64
	Applied uint64
	Members []QuorumMember
}

// QuorumMember is one member of a replicated queue.
type QuorumMember struct {
	Node    string // "" if it is no node of the cluster any more
	Role    string // leader, follower or learner (no vote until it has caught up)
	State   string // running, down, catching up, snapshot
	Synced  uint64 // index up to which its log is on its disk
	Behind  uint64 // entries that it lacks
	Percent int    // of the log that it has
}

// Quorum asks a replicated queue's leader how its members stand.
func (n *Node) Quorum(ctx context.Context, vhost, name string) (QuorumStatus, error) {
	n.topologyMu.RLock()
	q, missing := n.topology.Queue(vhost, name)
	var group uint64
	if missing == nil {
		group = q.Group
	}
	n.topologyMu.RUnlock()
	switch {
	case missing != nil:
		return QuorumStatus{}, missing
	case group == 0:
		return QuorumStatus{}, fault.New(fault.NotAllowed, "queue '%s' in vhost '%s' is not replicated", name, vhost)
	}
	return n.groupQuorum(ctx, group)
}

func (n *Node) groupQuorum(ctx context.Context, group uint64) (QuorumStatus, error) {
	leader := n.leaderOf(group)
	if leader == n.id.Replica {
		s, err := n.groupHere(ctx, group)
		return n.explain(group, s), err
	}
	addr, known := n.peerReplicas()[leader]
	if !known {
		return QuorumStatus{}, noLeader(group)
	}
	r, err := n.callNode(ctx, addr, call{Op: callGroup, Group: group})
	if err != nil {
		return QuorumStatus{}, fault.New(fault.Unavailable, "the leader of placement group %d does not answer: %v", group, err)
	}
	return n.explain(group, r.Raft), nil
}

func noLeader(group uint64) error {
	return fault.New(fault.Unavailable, "placement group %d has no leader", group)
}

// groupHere returns the status of a group that this node leads.
func (n *Node) groupHere(ctx context.Context, group uint64) (raftnode.GroupStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer := make(chan raftnode.GroupStatus, 1)
	if !n.host.Status(group, func(s raftnode.GroupStatus) { answer <- s }) {
		return raftnode.GroupStatus{}, noLeader(group)
	}
	select {
	case s := <-answer:
		if s.Leader != n.id.Replica {
			return s, noLeader(group)
		}
		return s, nil
	case <-ctx.Done():
		return raftnode.GroupStatus{}, noLeader(group)
	}
}

// explain puts names to a group's status.
func (n *Node) explain(group uint64, g raftnode.GroupStatus) QuorumStatus {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	name := func(replica uint64) string {
		if m := n.topology.ByReplica(replica); m != nil {
			return m.Name
		}
		return ""
	}
	s := QuorumStatus{Group: group, Leader: name(g.Leader), Term: g.Term, Last: g.Last, Commit: g.Commit, Applied: g.Applied}
	for _, m := range g.Members {
		x := QuorumMember{Node: name(m.Replica), Role: "follower", State: "running", Synced: m.Synced, Behind: g.Last - min(m.Synced, g.Last)}
		x.Percent = 100
		if g.Last > 0 {
			x.Percent = int(min(m.Synced, g.Last) * 100 / g.Last)
		}
		switch {
		case m.Replica == g.Leader:
			x.Role = "leader"
		case !m.Voter:
			x.Role = "learner"
		}
		switch {
		case m.Replica != n.id.Replica && !n.transport.Alive(m.Replica):
			x.State = "down"
		case m.State == "snapshot":
			x.State = "snapshot"
		case m.State == "probe" || !m.Voter:
			x.State = "catching up"
		}
		s.Members = append(s.Members, x)
	}
	return s
}

// Rebalance spreads the leaderships of the whole cluster at once; they spread by themselves,
// too, but slowly.
func (n *Node) Rebalance(ctx context.Context) {
	n.host.Rebalance()
	n.eachPeer(ctx, call{Op: callRebalance}, func(callReply) {})
}

// Grow gives a node its share of the placement groups, Shrink gives its places to others.
// Members move one after the other, while the queues are served.
func (n *Node) Grow(ctx context.Context, name string) error {
	return n.Change(ctx, metadata.Command{NodeGrow: &metadata.NodeGrow{Name: name}})
}

// Shrink is the opposite of Grow: the node holds no replicated queue any more.
func (n *Node) Shrink(ctx context.Context, name string) error {
	return n.Change(ctx, metadata.Command{NodeShrink: &metadata.NodeShrink{Name: name}})
}
