package metadata

import (
	"cmp"
	"slices"
)

// Node is one member of the cluster. Addresses are host:port.
type Node struct {
	Name        string
	Replica     uint64 // its id as a Raft member: new for each data directory
	Incarnation uint64 // grows with each start
	Peer        string // for other nodes
	AMQP        string // for clients
	Management  string // HTTP
}

// Group is one placement group: a Raft group that hosts queues.
type Group struct {
	ID      uint64
	Genesis []uint64 // the replicas that began it
	Members []string // the nodes that should hold it
	Voters  []uint64 // the replicas that do, as its leader last said
}

// NodeDown says that a node is gone for longer than a moment.
type NodeDown struct {
	Name        string
	Incarnation uint64
}

// NodeForget removes a node from the cluster for good.
type NodeForget struct{ Name string }

// GroupVoters is a group's leader's word on who holds it. The topology's own group has
// an id below those of the placement groups.
type GroupVoters struct {
	ID     uint64
	Voters []uint64
}

// ByReplica returns the node with that replica id, nil if there is none.
func (s *State) ByReplica(id uint64) *Node {
	for _, n := range s.Nodes {
		if n.Replica == id {
			return n
		}
	}
	return nil
}

// NodeNames returns the nodes' names, sorted.
func (s *State) NodeNames() []string {
	names := make([]string, 0, len(s.Nodes))
	for n := range s.Nodes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// GroupIDs returns the placement groups, sorted.
func (s *State) GroupIDs() []uint64 {
	ids := make([]uint64, 0, len(s.Groups))
	for id := range s.Groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Desired returns the replicas that should hold group g.
func (s *State) Desired(g *Group) []uint64 {
	var ids []uint64
	for _, name := range g.Members {
		if n := s.Nodes[name]; n != nil {
			ids = append(ids, n.Replica)
		}
	}
	return ids
}

// nodeUp adds a node, or notes that it started again. What did not outlive its last
// run is deleted: exclusive queues of its connections, its non-durable queues.
func (s *State) nodeUp(n *Node) {
	old := s.Nodes[n.Name]
	if old != nil && old.Incarnation > n.Incarnation && old.Replica == n.Replica {
		return // an old proposal that came late
	}
	s.Nodes[n.Name] = n
	if old != nil && (old.Incarnation != n.Incarnation || old.Replica != n.Replica) {
		s.endRun(old)
		if old.Replica != n.Replica {
			s.dropHomed(n.Name)
			for _, id := range s.GroupIDs() {
				s.changed(Change{Kind: GroupSet, Group: id})
			}
		}
	}
	s.changed(Change{Kind: NodeSet, Node: n.Name})
}

func (s *State) nodeDown(d *NodeDown) {
	if n := s.Nodes[d.Name]; n != nil && n.Incarnation == d.Incarnation {
		s.endRun(n)
	}
}

// endRun deletes what ended with a node's run.
func (s *State) endRun(n *Node) {
	s.dropOwned(func(o ConnID) bool { return o.Replica == n.Replica && o.Incarnation <= n.Incarnation })
	for _, q := range s.sortedQueues() {
		if q.Node == n.Name && !q.Durable {
			s.dropQueue(q)
		}
	}
}

// dropHomed deletes the unreplicated queues of a node whose data are gone.
func (s *State) dropHomed(node string) {
	for _, q := range s.sortedQueues() {
		if q.Node == node {
			s.dropQueue(q)
		}
	}
}

func (s *State) nodeForget(f *NodeForget) {
	n := s.Nodes[f.Name]
	if n == nil {
		return
	}
	s.endRun(n)
	s.dropHomed(f.Name)
	delete(s.Nodes, f.Name)
	for _, id := range s.GroupIDs() {
		g := s.Groups[id]
		if i := slices.Index(g.Members, f.Name); i >= 0 {
			g.Members = slices.Delete(slices.Clone(g.Members), i, i+1)
			s.changed(Change{Kind: GroupSet, Group: id})
		}
	}
	s.changed(Change{Kind: NodeGone, Node: f.Name})
}

// groupsSet creates groups, and changes the members of those that are there.
func (s *State) groupsSet(groups []*Group) {
	for _, g := range groups {
		if old := s.Groups[g.ID]; old != nil {
			old.Members = g.Members
		} else {
			s.Groups[g.ID] = g
			s.NextID = max(s.NextID, g.ID)
		}
		s.changed(Change{Kind: GroupSet, Group: g.ID})
	}
}

func (s *State) groupVoters(v *GroupVoters) {
	if s.Groups[v.ID] == nil && v.ID < firstID {
		s.MetaVoters = v.Voters
		return
	}
	if g := s.Groups[v.ID]; g != nil {
		g.Voters = v.Voters
		s.changed(Change{Kind: GroupSet, Group: v.ID})
	}
}

func (s *State) sortedQueues() []*Queue {
	qs := make([]*Queue, 0, len(s.queues))
	for _, q := range s.queues {
		qs = append(qs, q)
	}
	slices.SortFunc(qs, func(a, b *Queue) int { return cmp.Compare(a.ID, b.ID) })
	return qs
}
