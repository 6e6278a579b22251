package queue

// slot is one message's place in a queue.
type slot struct {
	raw     []byte // the message, encoded; nil: the place is empty
	expires int64  // Unix milliseconds; 0: never
	returns uint32 // failed deliveries
	// acquired counts the deliveries that ended with the message back in its place, the
	// failed ones included.
	acquired uint32
	discard  Reason // why it waits to be dead-lettered; 0: it does not
	level    uint8  // its priority

	// The leader's own, not replicated.
	holder      uint32 // index of the consumer that holds it; 0: nobody
	redelivered bool
}

// atOnce is when a message without any time to live expires: unless it is delivered as
// soon as it is there.
const atOnce = 1

// bodyBytes returns the length of the message's body, which is what a queue's length
// in bytes counts.
func (sl *slot) bodyBytes() int64 { return int64(max(bodyLength(sl.raw), 0)) }

const chunkSlots = 128

type chunk struct {
	live  int
	slots [chunkSlots]slot
}

// slots holds a queue's messages by sequence number. Memory is given back by the
// chunk; a requeued message is where it was by construction.
type slots struct {
	base   uint64 // sequence number of chunks[0].slots[0]
	chunks []*chunk
	live   int
	bytes  int64
}

// at returns the message with that number, nil if it is gone.
func (s *slots) at(seq uint64) *slot {
	if seq < s.base {
		return nil
	}
	i := (seq - s.base) / chunkSlots
	if i >= uint64(len(s.chunks)) || s.chunks[i] == nil {
		return nil
	}
	if sl := &s.chunks[i].slots[seq%chunkSlots]; sl.raw != nil {
		return sl
	}
	return nil
}

// put adds a message behind all others: numbers only grow.
func (s *slots) put(seq uint64, v slot) *slot {
	if len(s.chunks) == 0 {
		s.base = seq - seq%chunkSlots
	}
	i := (seq - s.base) / chunkSlots
	for uint64(len(s.chunks)) <= i {
		s.chunks = append(s.chunks, nil)
	}
	c := s.chunks[i]
	if c == nil {
		c = &chunk{}
		s.chunks[i] = c
	}
	sl := &c.slots[seq%chunkSlots]
	*sl = v
	c.live++
	s.live++
	s.bytes += int64(len(v.raw))
	return sl
}

// remove drops the message with that number, which must be there.
func (s *slots) remove(seq uint64) {
	i := (seq - s.base) / chunkSlots
	c := s.chunks[i]
	sl := &c.slots[seq%chunkSlots]
	s.bytes -= int64(len(sl.raw))
	*sl = slot{}
	c.live--
	s.live--
	if c.live > 0 {
		return
	}
	s.chunks[i] = nil
	n := 0
	for n < len(s.chunks) && s.chunks[n] == nil {
		n++
	}
	s.chunks = s.chunks[n:]
	s.base += uint64(n) * chunkSlots
	if len(s.chunks) == 0 {
		s.chunks = nil
	}
}

// next returns the first message with a number of at least from; nil if none.
func (s *slots) next(from uint64) (uint64, *slot) {
	seq := max(from, s.base)
	for {
		i := (seq - s.base) / chunkSlots
		if i >= uint64(len(s.chunks)) {
			return 0, nil
		}
		c := s.chunks[i]
		if c == nil {
			seq = s.base + (i+1)*chunkSlots
			continue
		}
		for j := seq % chunkSlots; j < chunkSlots; j++ {
			if c.slots[j].raw != nil {
				return s.base + i*chunkSlots + j, &c.slots[j]
			}
		}
		seq = s.base + (i+1)*chunkSlots
	}
}

// each calls fn with the messages numbered from to to, in order; fn may remove the
// one it is given.
func (s *slots) each(r Range, fn func(seq uint64, sl *slot)) {
	for seq, sl := s.next(r.From); sl != nil && seq <= r.To; seq, sl = s.next(seq + 1) {
		fn(seq, sl)
	}
}
