package node

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// maintenanceText is what clients read when their node goes into maintenance.
const maintenanceText = "Node was put into maintenance mode"

// Drain puts a node of the cluster into maintenance, or ends that. It outlives restarts.
func (n *Node) Drain(ctx context.Context, name string, on bool) error {
	return n.Change(ctx, metadata.Command{NodeDrain: &metadata.NodeDrain{Name: name, On: on}})
}

// Drained reports whether this node is in maintenance.
func (n *Node) Drained() bool {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	return n.topology.Drained[n.cfg.Name]
}

// AwaitDrained waits until this node is in maintenance.
func (n *Node) AwaitDrained(ctx context.Context) error {
	for !n.Drained() {
		select {
		case <-n.duty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// SendAway closes all client connections: the node is in maintenance.
func (n *Node) SendAway() {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	for l := range n.links {
		if l.open { // the others find out when they are
			l.session.Abort(maintenanceText)
		}
	}
}
