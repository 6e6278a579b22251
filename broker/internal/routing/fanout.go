package routing

// fanout matches every message; keys and arguments only tell its bindings apart.
type fanout struct{ set set }

func (f *fanout) Add(b Binding)    { f.set.add(b) }
func (f *fanout) Remove(b Binding) { f.set.remove(b) }
func (f *fanout) Len() int         { return len(f.set.list) }

func (f *fanout) Match(_ Message, visit func(dest uint64)) {
	f.set.visit(visit)
}
