package queue

import "container/heap"

// ordered is the order in which a queue's ready messages go out: the highest priority
// first, and of equals the oldest. As long as all that are ready have the same priority,
// the slots are in that order already: a cursor moves over them, and what comes back
// behind it waits in a heap. Else each priority has a heap of its own.
//
// What lies in a heap may have been taken meanwhile: the slot decides.
type ordered struct {
	cursor   uint64  // messages from here on were not looked at
	returned seqHeap // messages before cursor that are ready again, perhaps
	level    uint8   // the priority of all that is ready
	levels   []seqHeap
}

// add takes in a message behind all others; ready is how many there are besides.
func (o *ordered) add(q *Queue, ready int, seq uint64, level uint8) {
	if o.sorts(q, ready, seq, level) {
		o.push(seq, level)
	}
}

// back takes in a message that was ready before.
func (o *ordered) back(q *Queue, ready int, seq uint64, sl *slot) {
	switch {
	case o.sorts(q, ready, seq, sl.level):
		o.push(seq, sl.level)
	case seq < o.cursor:
		heap.Push(&o.returned, seq)
	}
}

// sorts reports whether the priorities are told apart, with seq among the ready ones.
func (o *ordered) sorts(q *Queue, ready int, seq uint64, level uint8) bool {
	switch {
	case ready == 0:
		if o.levels != nil {
			o.levels, o.returned = nil, nil
		}
		o.level = level
	case o.levels == nil && level != o.level:
		o.levels, o.returned = make([]seqHeap, max(level, o.level)+1), nil
		q.slots.eachChunk(func(base uint64, c *chunk) { o.sortChunk(base, c, seq) })
		o.cursor = q.next
	}
	return o.levels != nil
}

// sortChunk takes in what is ready of a chunk, but not the message except.
func (o *ordered) sortChunk(base uint64, c *chunk, except uint64) {
	for i := range chunkSlots {
		seq := base + uint64(i)
		switch {
		case seq == except || c.hidden:
		case c.hot == nil:
			if sl := c.cold.slot(i); c.cold.has(i) && sl.discard == 0 {
				o.push(seq, sl.level)
			}
		case c.hot[i].live && c.hot[i].holder == 0 && c.hot[i].discard == 0:
			o.push(seq, c.hot[i].level)
		}
	}
}

func (o *ordered) push(seq uint64, level uint8) {
	for int(level) >= len(o.levels) {
		o.levels = append(o.levels, nil)
	}
	heap.Push(&o.levels[level], seq)
}

// head returns the first ready message without taking it.
func (o *ordered) head(q *Queue) (uint64, *slot) {
	for i := len(o.levels) - 1; i >= 0; i-- {
		if seq, sl := first(q, &o.levels[i]); sl != nil {
			return seq, sl
		}
	}
	if o.levels != nil {
		return 0, nil
	}
	if seq, sl := first(q, &o.returned); sl != nil {
		return seq, sl
	}
	for {
		seq, sl := q.slots.next(o.cursor)
		if sl == nil {
			o.cursor = max(o.cursor, q.next)
			return 0, nil
		}
		o.cursor = seq
		if sl.holder == 0 && sl.discard == 0 {
			return seq, sl
		}
		o.cursor++
	}
}

// first returns the first of a heap that is ready indeed, and drops those before it.
func first(q *Queue, h *seqHeap) (uint64, *slot) {
	for len(*h) > 0 {
		seq := (*h)[0]
		if sl := q.slots.at(seq); sl != nil && sl.holder == 0 && sl.discard == 0 {
			return seq, sl
		}
		heap.Pop(h)
	}
	return 0, nil
}

// passed notes that the message at the head was taken.
func (o *ordered) passed(seq uint64, sl *slot) {
	h := &o.returned
	if o.levels != nil {
		h = &o.levels[sl.level]
	}
	if len(*h) > 0 && (*h)[0] == seq {
		heap.Pop(h)
	}
	if seq == o.cursor || o.levels != nil {
		o.cursor = max(o.cursor, seq+1)
	}
}

// seqHeap is a min-heap of sequence numbers.
type seqHeap []uint64

func (h seqHeap) Len() int           { return len(h) }
func (h seqHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h seqHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *seqHeap) Push(x any)        { *h = append(*h, x.(uint64)) }

// Pop removes the last element, for container/heap.
func (h *seqHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// deadline is when a message expires.
type deadline struct {
	at  int64 // Unix milliseconds, or atOnce
	seq uint64
}

// deadlines is a min-heap of when messages expire, wherever they are in the queue. What
// is gone meanwhile stays until its time, or until there is too much of it.
type deadlines []deadline

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].seq < d[j].seq
}
func (d deadlines) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)   { *d = append(*d, x.(deadline)) }

// Pop removes the last element, for container/heap.
func (d *deadlines) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

// staleMax is how many deadlines of messages that are gone may be kept beside as many
// as there are messages.
const staleMax = 1024

// due notes when a message expires.
func (l *lead) due(seq uint64, sl *slot) {
	if len(l.deadlines) > 2*l.expiring+staleMax {
		kept := l.deadlines[:0]
		for _, d := range l.deadlines {
			if l.expires(d) != nil {
				kept = append(kept, d)
			}
		}
		l.deadlines = kept
		heap.Init(&l.deadlines)
	}
	heap.Push(&l.deadlines, deadline{sl.expires, seq})
}

// expires returns the ready message whose deadline d is, nil if there is none any more.
func (l *lead) expires(d deadline) *slot {
	sl := l.q.slots.at(d.seq)
	if sl == nil || sl.expires != d.at || sl.holder != 0 || sl.discard != 0 {
		return nil
	}
	return sl
}

// nextDue returns the first deadline of a ready message, and that message.
func (l *lead) nextDue() (deadline, *slot) {
	for len(l.deadlines) > 0 {
		d := l.deadlines[0]
		if sl := l.expires(d); sl != nil {
			return d, sl
		}
		heap.Pop(&l.deadlines)
	}
	return deadline{}, nil
}
