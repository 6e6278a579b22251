package node

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// Change makes a change of the topology, and returns when all living nodes know it. The
// error of a refusal is a *fault.Error.
func (n *Node) Change(ctx context.Context, c metadata.Command) error {
	if c.VHostPut != nil {
		c.VHostPut.Max = n.cfg.VHostsMax
	}
	_, err := n.propose(ctx, &c)
	return err
}

// View calls f with the topology, which f must neither change nor keep.
func (n *Node) View(f func(*metadata.State)) {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	f(n.topology)
}
