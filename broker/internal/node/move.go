package node

import (
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// keptEvent says that commands forwarded for a queue that moved were taken.
type keptEvent struct {
	queue uint64
	n     uint32
}

// move drives the queues of this group that a policy replicates: it seals each,
// exports it to its placement group and tells the topology, and forwards what still
// arrives here for it.
func (m *shardMachine) move(q *queue.Queue) {
	if !q.Sealed() {
		return
	}
	m.n.topologyMu.RLock()
	meta := m.n.topology.QueueByID(q.ID)
	var target uint64
	moved := false
	if meta != nil {
		target, moved = meta.Target, meta.Group != 0
		if moved {
			target = meta.Group
		}
	}
	m.n.topologyMu.RUnlock()
	if target == 0 {
		return
	}
	g := m.n.gate(gateKey{group: target})
	if !moved && !q.Exported() {
		if !q.Exporting() {
			m.n.cfg.Logger.Info("queue moves to its replicas", "queue", q.Config.Name, "vhost", q.Config.VHost, "messages", q.Len())
		}
		commands, missing := q.Export(laneBatchBytesMax)
		m.load(q, missing)
		for i, b := range commands {
			c := laneCommand{bytes: b}
			if i == len(commands)-1 && q.Exported() {
				c.done = func(bool) {
					m.n.proposeLater(&metadata.Command{QueueMoved: &metadata.QueueMoved{ID: q.ID, Target: target}})
				}
			}
			g.add(c)
		}
	}
	if moved && q.Len() > 0 {
		m.own = queue.AppendEmpty(m.own, q.ID)
	}
	for _, b := range q.TakeKept() {
		g.add(laneCommand{bytes: b, done: func(bool) { m.n.host.Post(m.g.ID, keptEvent{q.ID, 1}) }})
	}
}

// rehome moves this node's consumers of a gate to where their queues begin anew: their
// node is another than before.
func (n *Node) rehome(g *gate) {
	g.mu.Lock()
	ids := map[uint64]bool{}
	for _, c := range g.consumers {
		ids[c.queueID] = true
	}
	g.mu.Unlock()
	for id := range ids {
		n.topologyMu.RLock()
		q := n.topology.QueueByID(id)
		var to gateKey
		if q != nil {
			to = n.placeOf(q)
		}
		n.topologyMu.RUnlock()
		if q != nil {
			n.regateTo(q.ID, n.gate(to))
		}
	}
}

// regate moves this node's consumers of a queue to the group that it moved to; what
// they hold they keep.
func (n *Node) regate(q *metadata.Queue) {
	if q.Group == 0 {
		return
	}
	n.regateTo(q.ID, n.gate(gateKey{group: q.Group}))
}

func (n *Node) regateTo(id uint64, to *gate) {
	var moving []*Consumer
	for _, g := range n.allGates() {
		if g == to {
			continue
		}
		g.mu.Lock()
		for number, c := range g.consumers {
			if c.queueID == id {
				delete(g.consumers, number)
				moving = append(moving, c)
			}
		}
		g.mu.Unlock()
	}
	if len(moving) == 0 {
		return
	}
	to.mu.Lock()
	for _, c := range moving {
		to.consumers[c.spec.ID] = c
		c.gate.Store(to)
	}
	leader, term := to.leader, to.term
	to.mu.Unlock()
	if leader != 0 {
		to.led(leader, term)
	}
}
