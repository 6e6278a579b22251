package node

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/raftnode"
)

func (n *Node) kickControl() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// topologyChanged passes on what a metadata command changed. A worker calls it.
func (n *Node) topologyChanged(changes []metadata.Change) {
	for _, c := range changes {
		switch c.Kind {
		case metadata.QueueSet, metadata.QueueGone:
			if c.Kind == metadata.QueueGone {
				n.queueGone(c.Queue)
			} else {
				n.regate(c.Queue)
				n.dropOrphan(c.Queue)
			}
			for _, group := range n.groupsFor(c.Queue) {
				n.host.Post(group, configEvent{c.Queue})
			}
		case metadata.AccessChanged:
			n.accessChanged()
		case metadata.NodeSet:
			n.kickControl()
			select {
			case n.duty <- struct{}{}:
			default:
			}
		default:
			n.kickControl()
		}
	}
}

// dropOrphan deletes an exclusive queue whose declaration came through after its
// connection to this node had ended.
func (n *Node) dropOrphan(q *metadata.Queue) {
	o := q.Owner
	if o.Zero() || o.Replica != n.id.Replica || o.Incarnation != n.id.Incarnation || n.linkOpen(o.Serial) {
		return
	}
	n.proposeLater(&metadata.Command{ConnectionGone: &metadata.ConnectionGone{Owner: o}})
}

// groupsFor returns the groups that may hold the queue.
func (n *Node) groupsFor(q *metadata.Queue) []uint64 {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	groups := []uint64{n.placeOf(q).group}
	if q.Target != 0 {
		groups = append(groups, q.Target)
	}
	if q.Group != 0 && q.Node == "" && q.Type() == metadata.Classic {
		groups = append(groups, durableGroup+q.ID%ownGroups, transientGroup+q.ID%ownGroups)
	}
	return groups
}

// control keeps the peers, the hosted groups and, on the metadata leader, the
// cluster's groups in order.
func (n *Node) control() {
	tick := time.NewTicker(controlInterval)
	defer tick.Stop()
	down := map[string]time.Time{}
	for {
		n.syncPeers()
		if err := n.syncGroups(); err != nil {
			n.fail(err)
			return
		}
		n.reportVoters()
		if n.metaLeader.Load() == n.id.Replica {
			n.manageGroups()
			n.manageDown(down)
		}
		select {
		case <-n.stopped:
			return
		case <-n.kick:
		case <-tick.C:
			n.host.PostAll(timeEvent{})
		}
	}
}

// syncPeers connects to the nodes of the topology.
func (n *Node) syncPeers() {
	n.topologyMu.RLock()
	formed := n.topology.ClusterID != "" && n.topology.Nodes[n.cfg.Name] != nil
	replicas := make([]uint64, 0, len(n.topology.Nodes))
	avoid := map[uint64]bool{}
	for name := range n.topology.Drained {
		avoid[n.topology.Nodes[name].Replica] = true
	}
	for _, name := range n.topology.NodeNames() {
		replicas = append(replicas, n.topology.Nodes[name].Replica)
	}
	n.topologyMu.RUnlock()
	if !formed {
		return
	}
	peers := n.peerReplicas()
	if n.saved == nil || !maps.Equal(peers, n.saved) {
		if err := n.savePeers(peers); err != nil {
			n.cfg.Logger.Warn("peers not saved", "error", err)
		} else {
			n.saved = peers
		}
	}
	n.transport.SetPeers(peers)
	for _, g := range n.allGates() {
		if _, known := peers[g.home]; g.home != 0 && g.home != n.id.Replica && !known {
			g.abandon() // that data directory will not come back
			n.rehome(g)
		}
	}
	n.host.Avoid(avoid)
	slices.Sort(replicas)
	n.host.Desire(metaGroup, replicas)
}

// syncGroups hosts the placement groups that this node should hold, and drops those
// that it has left.
func (n *Node) syncGroups() error {
	type todo struct {
		id      uint64
		genesis []uint64
		desired []uint64
		mine    bool
	}
	n.topologyMu.RLock()
	all := make([]todo, 0, len(n.topology.Groups))
	for _, id := range n.topology.GroupIDs() {
		g := n.topology.Groups[id]
		t := todo{id: id, desired: n.topology.Desired(g)}
		t.mine = slices.Contains(t.desired, n.id.Replica) || slices.Contains(g.Voters, n.id.Replica)
		if slices.Contains(g.Genesis, n.id.Replica) && slices.Contains(g.Voters, n.id.Replica) {
			t.genesis = g.Genesis
		}
		all = append(all, t)
	}
	n.topologyMu.RUnlock()
	if err := n.removeLeftovers(); err != nil {
		return err
	}
	for _, t := range all {
		switch hosted := n.host.Hosts(t.id); {
		case t.mine && !hosted:
			err := n.host.Add(t.id, t.genesis, func(g *raftnode.Group) raftnode.Machine { return newShardMachine(n, g) })
			if err != nil {
				return err
			}
		case !t.mine && hosted:
			if err := errors.Join(n.host.Remove(t.id), n.store.drop(t.id)); err != nil {
				return err
			}
		}
		if t.mine {
			n.host.Desire(t.id, t.desired)
		}
	}
	return nil
}

// removeLeftovers drops what the data directory holds of groups that are not this
// node's any more: they left it while it was down.
func (n *Node) removeLeftovers() error {
	if n.swept || !n.registered.Load() || !n.completed.Load() {
		return nil
	}
	n.swept = true
	ids, err := n.host.Recovered()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id < firstPlacement || n.host.Hosts(id) {
			continue
		}
		n.topologyMu.RLock()
		g := n.topology.Groups[id]
		mine := g != nil && (slices.Contains(g.Members, n.cfg.Name) || slices.Contains(g.Voters, n.id.Replica))
		n.topologyMu.RUnlock()
		if mine {
			continue
		}
		if err := n.host.Remove(id); err != nil {
			return err
		}
	}
	return n.store.removeGroups(n.host.Hosts)
}

// reportVoters tells the topology who holds the groups that this node leads.
func (n *Node) reportVoters() {
	known := map[uint64][]uint64{}
	n.topologyMu.RLock()
	for _, id := range n.topology.GroupIDs() {
		known[id] = n.topology.Groups[id].Voters
	}
	known[metaGroup] = n.topology.MetaVoters
	n.topologyMu.RUnlock()
	for id, voters := range known {
		leader := n.metaLeader.Load()
		if id != metaGroup {
			leader = n.leaderOf(id)
		}
		now := n.host.Voters(id)
		if leader != n.id.Replica || len(now) == 0 || slices.Equal(now, voters) {
			continue
		}
		if _, err := n.propose(n.ctx, &metadata.Command{GroupVoters: &metadata.GroupVoters{ID: id, Voters: now}}); err != nil {
			return // the next turn of the loop tries again
		}
	}
}

// complete reports whether all groups that this node should hold have exactly the
// members they should have, this node among them: before, the cluster might not go on
// without another node.
func (n *Node) complete() bool {
	if n.completed.Load() {
		return true
	}
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	var all []uint64
	for _, m := range n.topology.Nodes {
		all = append(all, m.Replica)
	}
	done := len(n.topology.Groups) > 0 && sameSet(n.topology.MetaVoters, all)
	for _, g := range n.topology.Groups {
		done = done && (!slices.Contains(g.Members, n.cfg.Name) || sameSet(g.Voters, n.topology.Desired(g)))
	}
	if done {
		n.completed.Store(true)
	}
	return done
}

func sameSet(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// manageGroups creates the placement groups, and gives each as many members as the
// cluster can.
func (n *Node) manageGroups() {
	n.topologyMu.RLock()
	nodes := n.topology.NodeNames()
	members := min(len(nodes), replicasDefault)
	var set []*metadata.Group
	held := map[string]int{}
	for _, id := range n.topology.GroupIDs() {
		g := *n.topology.Groups[id]
		if len(g.Members) < members {
			g.Members = metadata.FillMembers(slices.Clone(g.Members), nodes, members, held)
			set = append(set, &g)
		}
		for _, m := range g.Members {
			held[m]++
		}
	}
	want := n.cfg.GroupsPerNode * len(nodes)
	if len(nodes) < len(n.cfg.Peers) {
		want = 0 // the first members are still coming
	}
	next := n.topology.NextID
	for i := len(n.topology.Groups); i < want; i++ {
		next++
		g := &metadata.Group{ID: next, Members: metadata.FillMembers(nil, nodes, members, held)}
		for _, m := range g.Members {
			held[m]++
		}
		g.Genesis = n.topology.Desired(g)
		g.Voters = slices.Sorted(slices.Values(g.Genesis))
		set = append(set, g)
	}
	n.topologyMu.RUnlock()
	if len(set) > 0 {
		if _, err := n.propose(n.ctx, &metadata.Command{GroupsSet: set}); err != nil {
			n.cfg.Logger.Warn("placement groups not set", "error", err)
		}
	}
}

// manageDown deletes what was bound to the run of a node that stays down.
func (n *Node) manageDown(down map[string]time.Time) {
	n.topologyMu.RLock()
	var gone []*metadata.Node
	for name, m := range n.topology.Nodes {
		if m.Replica == n.id.Replica || n.transport.Alive(m.Replica) {
			delete(down, name)
		} else if since, ok := down[name]; !ok {
			down[name] = n.now()
		} else if n.now().Sub(since) > goneGrace && n.hasTransient(m) {
			gone = append(gone, m)
		}
	}
	n.topologyMu.RUnlock()
	for _, m := range gone {
		n.proposeLater(&metadata.Command{NodeDown: &metadata.NodeDown{Name: m.Name, Incarnation: m.Incarnation}})
	}
}

// hasTransient reports whether a node's run still owns queues. The caller holds
// topologyMu.
func (n *Node) hasTransient(m *metadata.Node) bool {
	found := false
	n.topology.EachQueue(func(q *metadata.Queue) {
		found = found || q.Owner.Replica == m.Replica || q.Node == m.Name && !q.Durable
	})
	return found
}
