package queue

import "fmt"

// Limits of what is in memory of messages that are on disk.
const (
	// readAheadBytes is how much is read at once for consumers.
	readAheadBytes = 256 << 10
	// headBytes is how much of what consumers get next stays in memory.
	headBytes = 1 << 20
	// cacheBytesMax is how much of what was read a shard keeps.
	cacheBytesMax = 16 << 20
)

// loaded is a chunk that was read.
type loaded struct {
	q    *Queue
	base uint64
}

// Block returns where the messages of the chunk at base are on disk; false if they are
// not, or not needed from there.
func (q *Queue) Block(base uint64) (Ref, bool) {
	c, _ := q.slots.place(base)
	if c == nil || c.ref.Run == 0 {
		return Ref{}, false
	}
	return c.ref, true
}

// Load takes in the block of the chunk at base. It fails if messages are not in it.
func (q *Queue) Load(base uint64, block []byte) error {
	err := q.takeIn(base, block)
	if missing := q.Missing(base); err == nil && len(missing) > 0 {
		err = fmt.Errorf("messages %v of queue %d are not in their block", missing, q.ID)
	}
	return err
}

func (q *Queue) takeIn(base uint64, block []byte) error {
	if q.lead != nil {
		delete(q.lead.loading, base)
	}
	q.touch()
	c, _ := q.slots.place(base)
	if c == nil {
		return nil // all of it is gone meanwhile
	}
	q.slots.warm(base, c)
	err := eachInBlock(block, q.ID, base, func(i int, raw []byte) {
		if sl := &c.hot[i]; sl.live && sl.raw == nil {
			sl.raw = raw
			q.slots.acct.resident += int64(len(raw))
		}
	})
	if err != nil {
		return err
	}
	q.shard.trimCache(loaded{q, base})
	return nil
}

// Repair takes in a block of the chunk at base that another member had, since what is on
// disk here is damaged: the next image writes it anew.
func (q *Queue) Repair(base uint64, block []byte) error {
	if err := q.takeIn(base, block); err != nil {
		return err
	}
	c, _ := q.slots.place(base)
	if c == nil || len(q.Missing(base)) > 0 {
		return nil
	}
	for i := range c.hot[:c.backed] {
		q.slots.acct.unbacked += int64(len(c.hot[i].raw))
	}
	q.slots.backUp(c, Ref{}, 0)
	return nil
}

// Missing returns which messages of the chunk at base are not in memory.
func (q *Queue) Missing(base uint64) []Range {
	var seqs []uint64
	if c, _ := q.slots.place(base); c != nil {
		q.slots.warm(base, c)
		for i := range c.hot {
			if c.hot[i].live && c.hot[i].raw == nil {
				seqs = append(seqs, base+uint64(i))
			}
		}
	}
	return Ranges(seqs)
}

// NotLoaded says that the chunk at base could not be read; it is asked for again.
func (q *Queue) NotLoaded(base uint64) {
	if q.lead != nil {
		delete(q.lead.loading, base)
	}
}

// trimCache drops what was read longest ago, if there is too much of it.
func (s *Shard) trimCache(l loaded) {
	s.loaded = append(s.loaded, l)
	for len(s.loaded) > 1 && s.acct.resident-s.acct.unbacked > cacheBytesMax {
		old := s.loaded[0]
		s.loaded = s.loaded[1:]
		if c, _ := old.q.slots.place(old.base); c != nil && !old.q.dropped {
			old.q.slots.cool(c)
		}
	}
}

// Raw returns a message, nil if it is gone or not in memory; Load brings it there.
func (q *Queue) Raw(seq uint64) []byte {
	if sl := q.slots.at(seq); sl != nil {
		return sl.raw
	}
	return nil
}

// Dead reports whether a message waits to be dead-lettered.
func (q *Queue) Dead(seq uint64) bool {
	sl := q.slots.at(seq)
	return sl != nil && sl.discard != 0 && !q.dropped
}

// Want asks for the chunk of a message; false if that was done before.
func (q *Queue) Want(seq uint64) bool {
	if q.lead == nil || q.lead.loading[Base(seq)] {
		return false
	}
	q.lead.load(Base(seq))
	return true
}

func (l *lead) load(base uint64) {
	if l.loading == nil {
		l.loading = map[uint64]bool{}
	}
	l.loading[base] = true
}

// Base returns the number of the first message in a message's chunk.
func Base(seq uint64) uint64 { return seq - seq%chunkSlots }

// want asks for the chunk of seq and some of what follows.
func (q *Queue) want(seq uint64, todo *Todo) {
	size := int64(0)
	for base := Base(seq); size < readAheadBytes && base < q.slots.end(); base += chunkSlots {
		c, _ := q.slots.place(base)
		if c == nil || !c.incomplete() {
			if base > seq {
				return
			}
			continue
		}
		size += int64(c.ref.Length)
		if !q.lead.loading[base] {
			q.lead.load(base)
			todo.Load = append(todo.Load, base)
		}
	}
}

// incomplete reports whether messages of the chunk are on disk only.
func (c *chunk) incomplete() bool {
	if c.hot == nil {
		return true
	}
	for i := range c.hot {
		if c.hot[i].live && c.hot[i].raw == nil {
			return true
		}
	}
	return false
}

// coolDown drops from memory what is on disk, but for what consumers get next.
func (q *Queue) coolDown() {
	keepFrom, left := uint64(0), int64(0)
	if q.lead != nil && q.lead.levels == nil {
		keepFrom, left = Base(q.lead.cursor), headBytes
	}
	q.slots.eachChunk(func(base uint64, c *chunk) {
		if base >= keepFrom && left > 0 {
			left -= c.bytes()
			return
		}
		if c.backed > 0 {
			q.slots.cool(c)
		}
	})
}

// bytes returns what a chunk's bodies take.
func (c *chunk) bytes() int64 {
	if c.hot == nil {
		return c.cold.bytes
	}
	n := int64(0)
	for i := range c.hot {
		n += int64(c.hot[i].size)
	}
	return n
}
