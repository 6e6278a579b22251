package metadata

// ProposalID names one proposal of one run of a node. Serials grow.
type ProposalID struct {
	Replica     uint64
	Incarnation uint64
	Serial      uint64
}

// Proposer is what is remembered of one node's proposals.
type Proposer struct {
	Incarnation uint64
	Serials     []uint64 // applied, in the order of their coming; the last few
}

// serialsMax bounds what is remembered: a proposer gives up long before it has made
// so many proposals.
const serialsMax = 1024

// First notes a proposal and reports whether it comes for the first time.
func (s *State) First(id ProposalID) bool {
	p := s.Proposers[id.Replica]
	if p == nil {
		p = &Proposer{}
		s.Proposers[id.Replica] = p
	}
	switch {
	case id.Incarnation < p.Incarnation:
		return false // of a run that has ended
	case id.Incarnation > p.Incarnation:
		p.Incarnation, p.Serials = id.Incarnation, nil
	}
	for i := len(p.Serials) - 1; i >= 0; i-- {
		if p.Serials[i] == id.Serial {
			return false
		}
	}
	if len(p.Serials) == serialsMax {
		p.Serials = append(p.Serials[:0:0], p.Serials[serialsMax/2:]...)
	}
	p.Serials = append(p.Serials, id.Serial)
	return true
}
