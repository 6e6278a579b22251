package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// Forget removes a node from the cluster for good: its places in the placement groups go
// to others, the queues that only it had are deleted, and its data directory is refused
// from now on. One that runs is only removed by force; it stops when nobody needs its vote
// any more.
func (n *Node) Forget(ctx context.Context, name string, force bool) error {
	n.topologyMu.RLock()
	m := n.topology.Nodes[name]
	var short string
	if m != nil {
		short = n.withoutMajority()
	}
	n.topologyMu.RUnlock()
	switch {
	case m == nil:
		return fault.New(fault.NotFound, "no node '%s' in the cluster", name)
	case m.Replica == n.id.Replica:
		return fault.New(fault.PreconditionFailed, "node '%s' can't forget itself: ask another node of the cluster", name)
	case n.transport.Alive(m.Replica) && !force:
		return fault.New(fault.PreconditionFailed, "node '%s' is running: stop it first, or force it", name)
	case short != "":
		return fault.New(fault.PreconditionFailed, "node '%s' can't be forgotten now: %s; start the other nodes first", name, short)
	}
	return n.Change(ctx, metadata.Command{NodeForget: &metadata.NodeForget{Name: name}})
}

// withoutMajority says which group has no majority of living members, who would have to
// agree to another set of members; "" if all have. The caller holds topologyMu.
func (n *Node) withoutMajority() string {
	check := func(what string, voters []uint64) string {
		up := 0
		for _, v := range voters {
			if v == n.id.Replica || n.transport.Alive(v) {
				up++
			}
		}
		if up > len(voters)/2 {
			return ""
		}
		return fmt.Sprintf("%s has %d of %d members up, which is no majority", what, up, len(voters))
	}
	if s := check("the topology", n.topology.MetaVoters); s != "" {
		return s
	}
	for _, id := range n.topology.GroupIDs() {
		if s := check(fmt.Sprintf("placement group %d", id), n.topology.Groups[id].Voters); s != "" {
			return s
		}
	}
	return ""
}

// errForgotten ends a node that is no member of its cluster any more.
var errForgotten = errors.New("not a member of the cluster")

// forgottenInterval is how often a node without a leader asks whether it is still a member.
const forgottenInterval = 500 * time.Millisecond

// watchMembership stops the node once the cluster has forgotten it. Who was removed while
// it was down hears no leader: it asks those whom it knew.
func (n *Node) watchMembership() {
	for sleep(n.ctx, forgottenInterval) == nil {
		n.topologyMu.RLock()
		gone := n.topology.IsForgotten(n.id.Replica) && !n.topology.Votes(n.id.Replica)
		n.topologyMu.RUnlock()
		if !gone && n.metaLeader.Load() == 0 {
			gone = n.forgottenByPeers()
		}
		if gone {
			n.fail(fmt.Errorf("%w: %s; data directory: %s", errForgotten, metadata.ForgottenText(n.cfg.Name), n.cfg.DataDir))
			return
		}
	}
}

func (n *Node) forgottenByPeers() bool {
	peers := n.loadPeers()
	for replica, addr := range n.peerReplicas() {
		peers[replica] = addr
	}
	for _, addr := range peers {
		r, err := n.callNode(n.ctx, addr, call{Op: callProbe})
		if err == nil && r.Forgotten && r.ClusterID == n.transport.Identity().ClusterID {
			return true
		}
	}
	return false
}
