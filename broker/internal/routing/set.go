package routing

// setScanMax is the size up to which a set is searched one by one: most keys have one
// binding, and a map for each would cost more than all else.
const setScanMax = 8

// set holds bindings, each once, in an order that depends on nothing but the calls.
type set struct {
	list []Binding
	at   map[string]int // identity to position, once the list is long
}

func (s *set) find(b *Binding) int {
	if s.at != nil {
		if i, ok := s.at[b.identity()]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].equal(b) {
			return i
		}
	}
	return -1
}

// add reports if b was new.
func (s *set) add(b Binding) bool {
	if s.find(&b) >= 0 {
		return false
	}
	s.list = append(s.list, b)
	switch {
	case s.at != nil:
		s.at[b.identity()] = len(s.list) - 1
	case len(s.list) > setScanMax:
		s.at = make(map[string]int, 2*len(s.list))
		for i := range s.list {
			s.at[s.list[i].identity()] = i
		}
	}
	return true
}

// remove reports where b was, -1 if nowhere. The last binding takes its place.
func (s *set) remove(b Binding) int {
	i := s.find(&b)
	if i < 0 {
		return -1
	}
	last := len(s.list) - 1
	if s.at != nil {
		delete(s.at, b.identity())
		if i != last {
			s.at[s.list[last].identity()] = i
		}
	}
	s.list[i] = s.list[last]
	s.list[last] = Binding{}
	s.list = s.list[:last]
	return i
}

func (s *set) visit(f func(dest uint64)) {
	for i := range s.list {
		f(s.list[i].Dest)
	}
}
