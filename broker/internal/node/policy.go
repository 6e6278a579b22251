package node

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// SetPolicy adds or replaces a policy, and starts the live queues moving that it
// replicates.
func (n *Node) SetPolicy(ctx context.Context, p metadata.Policy) error {
	if f := metadata.CheckPolicy(&p); f != nil {
		return f
	}
	p.Place = map[uint64]uint64{}
	n.topologyMu.RLock()
	var candidates []uint64
	n.topology.EachQueue(func(q *metadata.Queue) {
		if q.VHost == p.VHost && !q.Replicated() && !q.Exclusive() {
			candidates = append(candidates, q.ID)
		}
	})
	n.topologyMu.RUnlock()
	chosen := map[uint64]int{}
	for _, id := range candidates {
		if group := n.place(chosen); group != 0 {
			p.Place[id] = group
			chosen[group]++
		}
	}
	_, err := n.propose(ctx, &metadata.Command{PolicySet: &p})
	return err
}
