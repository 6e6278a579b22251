package node

import (
	"context"
	"slices"

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
	Percent int    // of the log that it has; of the snapshot while it is sent one
}

// Quorum asks a replicated queue's leader how its members stand.
func (n *Node) Quorum(ctx context.Context, vhost, name string) (QuorumStatus, error) {
	group, err := n.replicatedGroup(vhost, name)
	if err != nil {
		return QuorumStatus{}, err
	}
	return n.groupQuorum(ctx, group)
}

// replicatedGroup returns the placement group of a replicated queue.
func (n *Node) replicatedGroup(vhost, name string) (uint64, error) {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	q, missing := n.topology.Queue(vhost, name)
	switch {
	case missing != nil:
		return 0, missing
	case q.Group == 0:
		return 0, fault.New(fault.NotAllowed, "queue '%s' in vhost '%s' is not replicated", name, vhost)
	}
	return q.Group, nil
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
			x.State, x.Percent = "snapshot", m.Sent
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

// groupMembersMax bounds how many nodes hold one placement group: each write waits for
// most of them.
const groupMembersMax = 7

// ChangeMember adds a node to those that hold a replicated queue, or takes it out; with it
// go the other queues of the same placement group. There are never fewer members than the
// cluster keeps anyway.
func (n *Node) ChangeMember(ctx context.Context, vhost, name, node string, remove bool) error {
	group, err := n.replicatedGroup(vhost, name)
	if err != nil {
		return err
	}
	n.topologyMu.RLock()
	g, least := n.topology.Groups[group], min(len(n.topology.Nodes), replicasDefault)
	known := n.topology.Nodes[node] != nil
	var members []string
	if g != nil {
		members = slices.Clone(g.Members)
	}
	n.topologyMu.RUnlock()
	at := slices.Index(members, node)
	switch {
	case !known:
		return fault.New(fault.NotFound, "no node '%s' in the cluster", node)
	case !remove && at >= 0:
		return fault.New(fault.PreconditionFailed, "node '%s' holds queue '%s' in vhost '%s' already", node, name, vhost)
	case !remove && len(members) >= groupMembersMax:
		return fault.New(fault.PreconditionFailed, "queue '%s' in vhost '%s' has %d members, which is the most there may be", name, vhost, groupMembersMax)
	case remove && at < 0:
		return fault.New(fault.PreconditionFailed, "node '%s' does not hold queue '%s' in vhost '%s'", node, name, vhost)
	case remove && len(members) <= least:
		return fault.New(fault.PreconditionFailed, "this cluster keeps every replicated queue on %d of its nodes, and queue '%s' in vhost '%s' is on no more: add another one first", least, name, vhost)
	}
	return n.Change(ctx, metadata.Command{GroupMember: &metadata.GroupMember{ID: group, Name: node, Remove: remove}})
}

// TransferLeadership has another member lead a replicated queue and its placement group,
// until leaders are spread anew.
func (n *Node) TransferLeadership(ctx context.Context, vhost, name, node string) error {
	group, err := n.replicatedGroup(vhost, name)
	if err != nil {
		return err
	}
	n.topologyMu.RLock()
	to, held := n.topology.Nodes[node], false
	if g := n.topology.Groups[group]; g != nil {
		held = slices.Contains(g.Members, node)
	}
	drained := n.topology.Drained[node]
	n.topologyMu.RUnlock()
	switch {
	case to == nil:
		return fault.New(fault.NotFound, "no node '%s' in the cluster", node)
	case !held:
		return fault.New(fault.PreconditionFailed, "node '%s' does not hold queue '%s' in vhost '%s'", node, name, vhost)
	case drained || to.Replica != n.id.Replica && !n.transport.Alive(to.Replica):
		return fault.New(fault.PreconditionFailed, "node '%s' is down, or in maintenance", node)
	}
	n.moveLeader(ctx, group, to.Replica)
	return nil
}

// moveLeader tells all nodes who should lead a group.
func (n *Node) moveLeader(ctx context.Context, group, to uint64) {
	n.host.Home(group, to)
	n.eachPeer(ctx, call{Op: callHome, Group: group, To: to}, func(callReply) {})
}

// RaftSums adds up the replicated logs of the placement groups that a node holds.
type RaftSums struct {
	Groups                         int
	Term                           uint64
	Last, Commit, Applied, Trimmed uint64 // indexes
}

// RaftSums returns those of this node. Groups that do not answer in time are left out.
func (n *Node) RaftSums(ctx context.Context) (sum RaftSums) {
	n.topologyMu.RLock()
	groups := n.topology.GroupIDs()
	n.topologyMu.RUnlock()
	answers, asked := make(chan raftnode.GroupStatus, len(groups)), 0
	for _, id := range groups {
		if n.host.Status(id, func(s raftnode.GroupStatus) { answers <- s }) {
			asked++
		}
	}
	ctx, cancel := context.WithTimeout(ctx, statTimeout)
	defer cancel()
	for range asked {
		select {
		case s := <-answers:
			sum.Groups++
			sum.Term += s.Term
			sum.Last += s.Last
			sum.Commit += s.Commit
			sum.Applied += s.Applied
			sum.Trimmed += s.Trimmed
		case <-ctx.Done():
			return sum
		}
	}
	return sum
}
