package node

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/raftnode"
)

// metaGroup is the Raft group of the topology, which every node hosts.
const metaGroup = 1

// metaMachine applies the topology's commands and tells the node what changed.
type metaMachine struct {
	n    *Node
	g    *raftnode.Group
	told uint64 // how far the peers were told that this node has come
}

// proposal is a metadata command on its way: replica u64 | incarnation u64 |
// serial u64 | command. Who proposed it learns its result by applying it.
type proposal []byte

type outcome struct {
	index  uint64
	result metadata.Result
	// unknown is set if a snapshot hides what became of it: it is proposed anew.
	unknown bool
}

// Apply implements raftnode.Machine.
func (m *metaMachine) Apply(index uint64, data []byte) {
	replica, incarnation, serial := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
	n := m.n
	n.topologyMu.Lock()
	if !n.topology.First(metadata.ProposalID{Replica: replica, Incarnation: incarnation, Serial: serial}) {
		n.topologyMu.Unlock()
		return
	}
	r := n.topology.Apply(data[24:])
	n.policies.Store(n.topology.PolicyVersion())
	n.holdMoved(r.Changes)
	n.topologyMu.Unlock()
	n.topologyChanged(r.Changes)
	n.commanded(data[24:], &r)
	if replica == n.id.Replica && incarnation == n.id.Incarnation {
		n.waitersMu.Lock()
		w := n.waiters[serial]
		delete(n.waiters, serial)
		n.waitersMu.Unlock()
		if w != nil {
			w <- outcome{index: index, result: r}
		}
	}
}

// Handle implements raftnode.Machine.
func (m *metaMachine) Handle(event any) {
	switch e := event.(type) {
	case proposal:
		if m.g.Leads() {
			_ = m.g.Propose(e) // the proposer tries again
		}
	case announceEvent:
		m.n.transport.Send(e.replica, kindApplied, u64s(nil, m.told))
	}
}

// Flush implements raftnode.Machine.
func (m *metaMachine) Flush() {
	if applied := m.g.Applied(); applied != m.told {
		m.told = applied
		m.n.transport.Broadcast(kindApplied, u64s(nil, applied))
	}
}

// Lead implements raftnode.Machine.
func (m *metaMachine) Lead(r raftnode.Role) {
	m.n.metaLeader.Store(r.Leader)
	if r.Leader != 0 {
		m.n.cfg.Logger.Debug("metadata leader", "replica", r.Leader, "term", r.Term)
	}
}

// Capture implements raftnode.Machine.
func (m *metaMachine) Capture(bool) raftnode.Capture {
	m.n.topologyMu.RLock()
	defer m.n.topologyMu.RUnlock()
	b := m.n.topology.Capture()
	return raftnode.Encoded(func() []byte { return b })
}

// Restore implements raftnode.Machine.
func (m *metaMachine) Restore(data []byte) error {
	n := m.n
	n.topologyMu.Lock()
	var before []*metadata.Queue
	n.topology.EachQueue(func(q *metadata.Queue) { before = append(before, q) })
	err := n.topology.Restore(data)
	var changes []metadata.Change
	for _, q := range before {
		if n.topology.QueueByID(q.ID) == nil {
			changes = append(changes, metadata.Change{Kind: metadata.QueueGone, Queue: q})
		}
	}
	n.topology.EachQueue(func(q *metadata.Queue) {
		changes = append(changes, metadata.Change{Kind: metadata.QueueSet, Queue: q})
	})
	for _, id := range n.topology.GroupIDs() {
		changes = append(changes, metadata.Change{Kind: metadata.GroupSet, Group: id})
	}
	for _, name := range n.topology.NodeNames() {
		changes = append(changes, metadata.Change{Kind: metadata.NodeSet, Node: name})
	}
	n.topologyMu.Unlock()
	n.topologyChanged(append(changes, metadata.Change{Kind: metadata.AccessChanged}))
	n.waitersMu.Lock()
	for serial, w := range n.waiters {
		delete(n.waiters, serial)
		w <- outcome{unknown: true}
	}
	n.waitersMu.Unlock()
	return err
}

// propose makes a change of the topology and waits until this node and all other
// living nodes know it: what a client declared here it finds everywhere.
func (n *Node) propose(ctx context.Context, c *metadata.Command) (metadata.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	for {
		o, err := n.proposeOnce(ctx, c)
		switch {
		case err != nil:
			return metadata.Result{}, err
		case o.unknown:
			continue
		case o.result.Fault != nil:
			return o.result, o.result.Fault
		}
		n.awaitSpread(ctx, o.index)
		return o.result, nil
	}
}

// proposeOnce proposes until the change is applied here.
func (n *Node) proposeOnce(ctx context.Context, c *metadata.Command) (outcome, error) {
	w := make(chan outcome, 1)
	n.waitersMu.Lock()
	n.serial++
	serial := n.serial
	n.waiters[serial] = w
	n.waitersMu.Unlock()
	defer func() {
		n.waitersMu.Lock()
		delete(n.waiters, serial)
		n.waitersMu.Unlock()
	}()
	p := append(u64s(nil, n.id.Replica, n.id.Incarnation, serial), c.Encode()...)
	retry := time.NewTicker(proposeRetry)
	defer retry.Stop()
	for {
		n.sendProposal(p)
		select {
		case o := <-w:
			return o, nil
		case <-retry.C:
		case <-n.stopped:
			return outcome{}, fault.Hard(fault.Unavailable, "node is stopping")
		case <-ctx.Done():
			return outcome{}, fault.New(fault.Unavailable, "the cluster has no majority of its nodes, or is too slow, to change the topology now")
		}
	}
}

func (n *Node) sendProposal(p proposal) {
	switch leader := n.metaLeader.Load(); leader {
	case 0:
	case n.id.Replica:
		n.host.Post(metaGroup, p)
	default:
		n.transport.Send(leader, kindMeta, p)
	}
}

// awaitSpread waits until every living node has applied metadata up to index.
func (n *Node) awaitSpread(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, n.wakeSpread)
	defer stop()
	n.spreadMu.Lock()
	defer n.spreadMu.Unlock()
	for ctx.Err() == nil && n.ctx.Err() == nil {
		behind := false
		for replica := range n.peerReplicas() {
			if n.peerApplied[replica] < index && n.transport.Alive(replica) {
				behind = true
			}
		}
		if !behind {
			return
		}
		n.spread.Wait()
	}
}

func (n *Node) wakeSpread() {
	n.spreadMu.Lock()
	n.spread.Broadcast()
	n.spreadMu.Unlock()
}

// peerReplicas returns the other nodes' replica ids.
func (n *Node) peerReplicas() map[uint64]string {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	ids := make(map[uint64]string, len(n.topology.Nodes))
	for _, m := range n.topology.Nodes {
		if m.Replica != n.id.Replica {
			ids[m.Replica] = m.Peer
		}
	}
	return ids
}
