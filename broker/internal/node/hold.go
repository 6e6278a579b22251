package node

import (
	"context"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// A hold keeps back what this node publishes to a queue that has just moved, until what
// it sent to the old place before has come to the new one: order would be lost else.
type hold struct {
	to   *gate
	done chan struct{} // closed when it is over

	mu       sync.Mutex
	over     bool
	commands []laneCommand
}

// holdMax is how long a queue's publishes are held at most: if the old place is gone, so
// is what is still on its way from there.
const holdMax = 3 * time.Second

// holdMoved begins holds for the queues that a metadata command has moved. The caller
// holds topologyMu, so that nobody publishes to the new place before.
func (n *Node) holdMoved(changes []metadata.Change) {
	for _, c := range changes {
		if c.Was == nil {
			continue
		}
		id, from := c.Queue.ID, n.gate(n.placeOf(c.Was))
		h := &hold{to: n.gate(n.placeOf(c.Queue)), done: make(chan struct{})}
		n.holdsMu.Lock()
		n.holds[id] = h
		n.holding.Add(1)
		n.holdsMu.Unlock()
		n.tasks.Go(func() {
			ctx, cancel := context.WithTimeout(n.ctx, holdMax)
			defer cancel()
			if _, err := n.ask(ctx, from, request{Queue: id, Op: opMoved}); err != nil && n.ctx.Err() == nil {
				n.cfg.Logger.Warn("a queue that moved may get messages out of order", "queue", c.Queue.Name, "vhost", c.Queue.VHost, "error", err)
			}
			n.endHold(id, h)
		})
	}
}

// endHold sends on what was held.
func (n *Node) endHold(id uint64, h *hold) {
	h.mu.Lock()
	h.over = true
	for _, c := range h.commands {
		h.to.add(c)
	}
	h.commands = nil
	h.mu.Unlock()
	n.holdsMu.Lock()
	if n.holds[id] == h {
		delete(n.holds, id)
	}
	n.holding.Add(-1)
	n.holdsMu.Unlock()
	close(h.done)
}

// holdOf returns the hold on a queue, nil if there is none.
func (n *Node) holdOf(id uint64) *hold {
	if n.holding.Load() == 0 {
		return nil
	}
	n.holdsMu.Lock()
	defer n.holdsMu.Unlock()
	return n.holds[id]
}

// add takes a command in, or passes it on if the hold is over.
func (h *hold) add(c laneCommand) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		h.to.add(c)
		return
	}
	h.commands = append(h.commands, c)
}
