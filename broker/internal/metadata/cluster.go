package metadata

import (
	"cmp"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
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

// NodeJoin adds a node that is no member yet, in the place of the one of its name.
type NodeJoin struct {
	Node     Node
	Replaces uint64 // the replica of that name when the node asked; 0: there was none
}

// NodeDown says that a node is gone for longer than a moment.
type NodeDown struct {
	Name        string
	Incarnation uint64
}

// NodeForget removes a node from the cluster for good.
type NodeForget struct{ Name string }

// NodeDrain puts a node into maintenance, or ends that.
type NodeDrain struct {
	Name string
	On   bool
}

// NodeShrink gives the groups of a node to others, NodeGrow gives it its share of theirs.
type (
	NodeShrink struct{ Name string }
	NodeGrow   struct{ Name string }
)

// GroupMember adds a node to those that should hold a group, or takes it out.
type GroupMember struct {
	ID     uint64
	Name   string
	Remove bool
}

// GroupVoters is a group's leader's word on who holds it. The topology's own group has
// an id below those of the placement groups.
type GroupVoters struct {
	ID     uint64
	Voters []uint64
}

// forgottenMax bounds how many replicas are remembered to be forgotten.
const forgottenMax = 1024

// IsForgotten reports whether a replica was removed from the cluster, or replaced.
func (s *State) IsForgotten(replica uint64) bool { return slices.Contains(s.Forgotten, replica) }

func (s *State) forget(replica uint64) {
	if s.IsForgotten(replica) {
		return
	}
	s.Forgotten = append(s.Forgotten, replica)
	s.Forgotten = s.Forgotten[max(0, len(s.Forgotten)-forgottenMax):]
}

// Votes reports whether a replica still has a vote in any group.
func (s *State) Votes(replica uint64) bool {
	if slices.Contains(s.MetaVoters, replica) {
		return true
	}
	for _, g := range s.Groups {
		if slices.Contains(g.Voters, replica) {
			return true
		}
	}
	return false
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
func (s *State) nodeUp(n *Node) *fault.Error {
	if s.IsForgotten(n.Replica) {
		return fault.New(fault.PreconditionFailed, "%s", ForgottenText(n.Name))
	}
	old := s.Nodes[n.Name]
	if old != nil && old.Incarnation > n.Incarnation && old.Replica == n.Replica {
		return nil // an old proposal that came late
	}
	s.Nodes[n.Name] = n
	if old != nil && (old.Incarnation != n.Incarnation || old.Replica != n.Replica) {
		s.endRun(old)
		if old.Replica != n.Replica {
			s.dropHomed(n.Name)
			s.forget(old.Replica)
			for _, id := range s.GroupIDs() {
				s.changed(Change{Kind: GroupSet, Group: id})
			}
		}
	}
	s.changed(Change{Kind: NodeSet, Node: n.Name})
	return nil
}

// nodeJoin adds a node. One that asked, lost its data again and came back as yet another
// replica has left a request behind, which may come after that of its successor.
func (s *State) nodeJoin(j *NodeJoin) *fault.Error {
	if now := s.Nodes[j.Node.Name]; now != nil && now.Replica != j.Node.Replica && now.Replica != j.Replaces {
		return fault.New(fault.PreconditionFailed, "another node has joined as %s in the meantime", j.Node.Name)
	}
	return s.nodeUp(&j.Node)
}

// ForgottenText says why a node that was removed can't come back as it was.
func ForgottenText(name string) string {
	return "node " + name + " was removed from the cluster, or replaced: its data are no part of it any more; " +
		"with an empty data directory it can join again as a new member"
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

func (s *State) nodeDrain(d *NodeDrain) *fault.Error {
	if s.Nodes[d.Name] == nil {
		return fault.New(fault.NotFound, "no node '%s' in the cluster", d.Name)
	}
	if d.On {
		s.Drained[d.Name] = true
	} else {
		delete(s.Drained, d.Name)
	}
	s.changed(Change{Kind: NodeSet, Node: d.Name})
	return nil
}

func (s *State) nodeForget(f *NodeForget) {
	n := s.Nodes[f.Name]
	if n == nil {
		return
	}
	s.endRun(n)
	s.dropHomed(f.Name)
	delete(s.Nodes, f.Name)
	delete(s.Drained, f.Name)
	s.forget(n.Replica)
	s.replaceMember(f.Name, s.NodeNames())
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

func (s *State) groupMember(c *GroupMember) *fault.Error {
	g := s.Groups[c.ID]
	if g == nil || s.Nodes[c.Name] == nil {
		return fault.New(fault.NotFound, "no node '%s' in the cluster, or no placement group %d", c.Name, c.ID)
	}
	i := slices.Index(g.Members, c.Name)
	switch {
	case c.Remove && i >= 0:
		g.Members = slices.Delete(slices.Clone(g.Members), i, i+1)
	case !c.Remove && i < 0:
		g.Members = append(slices.Clone(g.Members), c.Name)
	default:
		return nil
	}
	s.changed(Change{Kind: GroupSet, Group: c.ID})
	return nil
}

// replaceMember gives the groups of a node to others: each to one of nodes that is no
// member yet and holds the fewest. Where there is none, the group shrinks.
func (s *State) replaceMember(name string, nodes []string) {
	held := s.Held()
	for _, id := range s.GroupIDs() {
		g := s.Groups[id]
		i := slices.Index(g.Members, name)
		if i < 0 {
			continue
		}
		size := len(g.Members)
		g.Members = FillMembers(slices.Delete(slices.Clone(g.Members), i, i+1), nodes, size, held)
		if len(g.Members) == size {
			held[g.Members[size-1]]++
		}
		s.changed(Change{Kind: GroupSet, Group: id})
	}
}

func (s *State) nodeShrink(c *NodeShrink) *fault.Error {
	if s.Nodes[c.Name] == nil {
		return fault.New(fault.NotFound, "no node '%s' in the cluster", c.Name)
	}
	for _, id := range s.GroupIDs() {
		g := s.Groups[id]
		if slices.Contains(g.Members, c.Name) && len(s.Nodes) <= len(g.Members) {
			return fault.New(fault.PreconditionFailed, "all %d nodes hold placement group %d: nobody can take the place of node '%s'", len(s.Nodes), id, c.Name)
		}
	}
	s.replaceMember(c.Name, slices.DeleteFunc(s.NodeNames(), func(n string) bool { return n == c.Name }))
	return nil
}

// nodeGrow moves places to a node from those that hold the most, until they hold about
// as many.
func (s *State) nodeGrow(c *NodeGrow) *fault.Error {
	if s.Nodes[c.Name] == nil {
		return fault.New(fault.NotFound, "no node '%s' in the cluster", c.Name)
	}
	held := s.Held()
	for _, id := range s.GroupIDs() {
		g := s.Groups[id]
		if slices.Contains(g.Members, c.Name) || len(g.Members) == 0 {
			continue
		}
		most := 0
		for i, m := range g.Members {
			if held[m] > held[g.Members[most]] {
				most = i
			}
		}
		from := g.Members[most]
		if held[from] <= held[c.Name]+1 {
			continue
		}
		g.Members = slices.Clone(g.Members)
		g.Members[most] = c.Name
		held[from]--
		held[c.Name]++
		s.changed(Change{Kind: GroupSet, Group: id})
	}
	return nil
}

// Held returns how many groups each node should hold.
func (s *State) Held() map[string]int {
	held := map[string]int{}
	for _, g := range s.Groups {
		for _, m := range g.Members {
			held[m]++
		}
	}
	return held
}

// FillMembers adds nodes to members until there are want of them, those that hold the
// fewest groups first.
func FillMembers(members, nodes []string, want int, held map[string]int) []string {
	for len(members) < want {
		best := ""
		for _, name := range nodes {
			if !slices.Contains(members, name) && (best == "" || held[name] < held[best]) {
				best = name
			}
		}
		if best == "" {
			break
		}
		members = append(members, best)
	}
	return members
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
