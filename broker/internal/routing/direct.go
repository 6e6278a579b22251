package routing

// direct matches a routing key that equals the binding key.
type direct struct {
	byKey map[string]*set
	n     int
}

func newDirect() *direct { return &direct{byKey: map[string]*set{}} }

func (d *direct) Add(b Binding) {
	s := d.byKey[b.Key]
	if s == nil {
		s = new(set)
		d.byKey[b.Key] = s
	}
	if s.add(b) {
		d.n++
	}
}

func (d *direct) Remove(b Binding) {
	s := d.byKey[b.Key]
	if s == nil || s.remove(b) < 0 {
		return
	}
	d.n--
	if len(s.list) == 0 {
		delete(d.byKey, b.Key)
	}
}

func (d *direct) Match(m Message, visit func(dest uint64)) {
	if s := d.byKey[m.Key]; s != nil {
		s.visit(visit)
	}
}

func (d *direct) Len() int { return d.n }
