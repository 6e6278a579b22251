package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
)

// How leaders follow the traffic. They spread by count without that (raftnode).
const (
	trafficInterval = 10 * time.Second
	trafficLeast    = 1 << 20 // bytes a second of all groups; below that nothing is worth a move
	trafficUneven   = 4       // a move is worth it if the busiest node has more than a quarter of all on top of the idlest
)

// groupWork is what a leader has done for a group.
type groupWork struct {
	group, leader uint64
	members       []uint64 // replicas that may lead it
	bytes         uint64
}

// spreadTraffic moves the leadership of one group at a time from the busiest node to the
// idlest one. The leader of the metadata does it for all.
func (n *Node) spreadTraffic() {
	var before map[uint64]groupWork
	for sleep(n.ctx, trafficInterval) == nil {
		if n.metaLeader.Load() != n.id.Replica {
			before = nil
			continue
		}
		now := n.workEverywhere(n.ctx)
		var done []groupWork
		for id, w := range now {
			was, known := before[id]
			if !known || was.leader != w.leader || was.bytes > w.bytes {
				w.bytes = was.bytes // it has just moved, or its node was started again
			}
			w.bytes -= was.bytes
			done = append(done, w)
		}
		before = now
		if group, to := lighten(done, trafficLeast*uint64(trafficInterval/time.Second)); group != 0 {
			n.cfg.Logger.Info("leader follows the traffic", "group", group, "replica", to)
			n.moveLeader(n.ctx, group, to)
		}
	}
}

// workHere returns what this node has done for the groups that it leads.
func (n *Node) workHere() map[uint64]uint64 {
	work := n.host.Work()
	for id := range work {
		if id < firstPlacement || n.leaderOf(id) != n.id.Replica {
			delete(work, id)
		}
	}
	return work
}

// workEverywhere asks all nodes.
func (n *Node) workEverywhere(ctx context.Context) map[uint64]groupWork {
	var mu sync.Mutex
	all := map[uint64]groupWork{}
	n.topologyMu.RLock()
	replicas := map[string]uint64{}
	for name, m := range n.topology.Nodes {
		if n.topology.Drained[name] || m.Replica != n.id.Replica && !n.transport.Alive(m.Replica) {
			continue
		}
		replicas[name] = m.Replica
	}
	groups := map[uint64]metadata.Group{}
	for id, g := range n.topology.Groups {
		groups[id] = *g
	}
	n.topologyMu.RUnlock()
	take := func(name string, work map[uint64]uint64) {
		mu.Lock()
		defer mu.Unlock()
		for id, bytes := range work {
			w := groupWork{group: id, leader: replicas[name], bytes: bytes}
			for _, m := range groups[id].Members {
				if r := replicas[m]; r != 0 {
					w.members = append(w.members, r)
				}
			}
			all[id] = w
		}
	}
	take(n.cfg.Name, n.workHere())
	n.eachPeer(ctx, call{Op: callWork}, func(r callReply) { take(r.Name, r.Work) })
	return all
}

// lighten returns the group whose leader should be another replica, and which; 0 if the
// leaders' work is even enough, or less than least in all.
func lighten(groups []groupWork, least uint64) (group, to uint64) {
	load, total := map[uint64]uint64{}, uint64(0)
	for _, g := range groups {
		for _, m := range g.members {
			load[m] += 0
		}
		load[g.leader] += g.bytes
		total += g.bytes
	}
	if total < least || len(load) < 2 {
		return 0, 0
	}
	var busiest, idlest uint64
	for r := range load {
		if busiest == 0 || load[r] > load[busiest] || load[r] == load[busiest] && r < busiest {
			busiest = r
		}
		if idlest == 0 || load[r] < load[idlest] || load[r] == load[idlest] && r < idlest {
			idlest = r
		}
	}
	gap := load[busiest] - load[idlest]
	if gap <= total/trafficUneven {
		return 0, 0
	}
	// What is left between the two after a move must be much less: a single busy group
	// would only go round.
	best := gap - gap/trafficUneven
	for _, g := range groups {
		if g.leader != busiest || !slices.Contains(g.members, idlest) || g.bytes == 0 {
			continue
		}
		left := max(gap, 2*g.bytes) - min(gap, 2*g.bytes)
		if left < best || left == best && g.group < group {
			best, group, to = left, g.group, idlest
		}
	}
	return group, to
}
