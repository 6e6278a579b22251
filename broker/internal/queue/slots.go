package queue

import (
	"math/bits"
	"slices"
)

// slot is one message's place in a queue.
type slot struct {
	// raw is the message, encoded; nil if it is on disk only: see Ref.
	raw      []byte
	expires  int64  // Unix milliseconds; 0: never
	size     uint32 // bytes of the body, which is what a queue's length in bytes counts
	returns  uint32 // failed deliveries
	acquired uint32 // deliveries that ended with the message back in its place, those included
	holder   uint32 // the leader's own: index of the consumer that holds it; 0: nobody
	discard  Reason // why it waits to be dead-lettered; 0: it does not
	level    uint8  // its priority
	live     bool   // there is a message

	redelivered bool // the leader's own
}

// newSlot returns the slot of an encoded message.
func newSlot(raw []byte) slot {
	return slot{raw: raw, size: uint32(max(bodyLength(raw), 0)), live: true}
}

// atOnce is when a message without any time to live expires: unless it is delivered as
// soon as it is there.
const atOnce = 1

const chunkSlots = 128

// chunk holds the messages of chunkSlots numbers that follow one another. It is hot, or
// it is cold: then there is nothing in memory but what must be known without the disk.
type chunk struct {
	live int
	hot  *[chunkSlots]slot
	cold *cold // if hot is nil
	// hidden says of a cold chunk that the leader is removing all of it.
	hidden bool
	filled uint8 // places that were ever taken
	ref    Ref   // where the messages of the first backed places are on disk
	backed uint8
}

// slots holds a queue's messages by sequence number. Memory is given back by the
// chunk; a requeued message is where it was by construction.
type slots struct {
	acct   *account
	base   uint64 // sequence number of chunks[0]'s first place
	chunks []*chunk
	live   int
	bytes  int64 // of the bodies
	// warmed is called when a chunk was cold and is hot.
	warmed func(base uint64, c *chunk)
}

// place returns a number's chunk and its place in there; nil if there is none.
func (s *slots) place(seq uint64) (*chunk, int) {
	if seq < s.base {
		return nil, 0
	}
	i := (seq - s.base) / chunkSlots
	if i >= uint64(len(s.chunks)) {
		return nil, 0
	}
	return s.chunks[i], int(seq % chunkSlots)
}

// at returns the message with that number, nil if it is gone.
func (s *slots) at(seq uint64) *slot {
	c, i := s.place(seq)
	if c == nil || c.hot == nil && !c.cold.has(i) {
		return nil
	}
	s.warm(seq-uint64(i), c)
	if sl := &c.hot[i]; sl.live {
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
		c = &chunk{hot: new([chunkSlots]slot)}
		s.chunks[i] = c
	}
	s.warm(seq-seq%chunkSlots, c)
	sl := &c.hot[seq%chunkSlots]
	*sl = v
	c.live++
	c.filled = uint8(seq%chunkSlots) + 1
	s.live++
	s.bytes += int64(v.size)
	s.acct.resident += int64(len(v.raw))
	s.acct.unbacked += int64(len(v.raw))
	return sl
}

// remove drops the message with that number, which must be there.
func (s *slots) remove(seq uint64) {
	c, at := s.place(seq)
	s.warm(seq-uint64(at), c)
	sl := &c.hot[at]
	s.bytes -= int64(sl.size)
	s.acct.resident -= int64(len(sl.raw))
	if at < int(c.backed) {
		s.acct.release(c.ref, 1)
	} else {
		s.acct.unbacked -= int64(len(sl.raw))
	}
	*sl = slot{}
	c.live--
	s.live--
	if c.live > 0 {
		return
	}
	s.chunks[(seq-s.base)/chunkSlots] = nil
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

// clear drops all messages.
func (s *slots) clear() {
	s.eachChunk(func(_ uint64, c *chunk) { s.forgetChunk(c) })
	s.base, s.chunks, s.live, s.bytes = 0, nil, 0, 0
}

// forgetChunk takes a chunk out of the accounts.
func (s *slots) forgetChunk(c *chunk) {
	if c.hot == nil {
		s.acct.release(c.ref, c.live)
		return
	}
	for i := range c.hot {
		if sl := &c.hot[i]; sl.live {
			s.acct.resident -= int64(len(sl.raw))
			if i < int(c.backed) {
				s.acct.release(c.ref, 1)
			} else {
				s.acct.unbacked -= int64(len(sl.raw))
			}
		}
	}
}

// next returns the first message with a number of at least from; nil if none.
func (s *slots) next(from uint64) (uint64, *slot) {
	seq := max(from, s.base)
	for {
		c, i := s.place(seq)
		base := seq - seq%chunkSlots
		if c == nil {
			if seq >= s.base+uint64(len(s.chunks))*chunkSlots {
				return 0, nil
			}
			seq = base + chunkSlots
			continue
		}
		if c.hot == nil {
			if c.hidden || !c.cold.hasFrom(i) {
				seq = base + chunkSlots
				continue
			}
			s.warm(base, c)
		}
		for ; i < chunkSlots; i++ {
			if c.hot[i].live {
				return base + uint64(i), &c.hot[i]
			}
		}
		seq = base + chunkSlots
	}
}

// each calls fn with the messages numbered from to to, in order; fn may remove the
// one it is given.
func (s *slots) each(r Range, fn func(seq uint64, sl *slot)) {
	for seq := max(r.From, s.base); seq <= r.To; {
		c, i := s.place(seq)
		base := seq - seq%chunkSlots
		switch {
		case c == nil && seq >= s.base+uint64(len(s.chunks))*chunkSlots:
			return
		case c == nil || c.hot == nil && !c.cold.hasFrom(i):
		default:
			s.warm(base, c)
			hot := c.hot // fn may remove the last and with it the chunk
			for ; i < chunkSlots && base+uint64(i) <= r.To; i++ {
				if hot[i].live {
					fn(base+uint64(i), &hot[i])
				}
			}
		}
		seq = max(base+chunkSlots, s.base)
	}
}

// eachHot calls fn with the messages of the chunks that are hot: whoever holds a message
// holds it there.
func (s *slots) eachHot(fn func(seq uint64, sl *slot)) {
	s.eachChunk(func(base uint64, c *chunk) {
		if c.hot == nil {
			return
		}
		for i := range c.hot {
			if c.hot[i].live {
				fn(base+uint64(i), &c.hot[i])
			}
		}
	})
}

// eachDead calls fn with the messages that wait to be dead-lettered; fn may remove the
// one it is given.
func (s *slots) eachDead(fn func(seq uint64)) {
	var dead []uint64
	s.eachChunk(func(base uint64, c *chunk) {
		if c.hot == nil {
			for _, i := range c.cold.dead() {
				dead = append(dead, base+uint64(i))
			}
			return
		}
		for i := range c.hot {
			if c.hot[i].live && c.hot[i].discard != 0 {
				dead = append(dead, base+uint64(i))
			}
		}
	})
	for _, seq := range dead {
		fn(seq)
	}
}

// eachChunk calls fn with each chunk, in order; fn removes no message.
func (s *slots) eachChunk(fn func(base uint64, c *chunk)) {
	for i, c := range s.chunks {
		if c != nil {
			fn(s.base+uint64(i)*chunkSlots, c)
		}
	}
}

// warm makes a chunk hot. What is on disk stays there.
func (s *slots) warm(base uint64, c *chunk) {
	if c.hot != nil {
		return
	}
	c.hot = c.cold.thaw()
	c.cold = nil
	if c.hidden {
		for i := range c.hot {
			if c.hot[i].live {
				c.hot[i].holder = holderLeader
			}
		}
		c.hidden = false
	}
	if s.warmed != nil {
		s.warmed(base, c)
	}
}

// cool drops what of a chunk is on disk from memory, and makes the chunk cold if nothing
// of it is in use.
func (s *slots) cool(c *chunk) {
	if c.hot == nil {
		return
	}
	idle := c.backed >= c.filled
	for i := range c.hot {
		sl := &c.hot[i]
		if !sl.live {
			continue
		}
		if i < int(c.backed) && sl.raw != nil {
			s.acct.resident -= int64(len(sl.raw))
			sl.raw = nil
		}
		idle = idle && sl.holder == 0 && !sl.redelivered && sl.discard == 0
	}
	if idle {
		c.cold = freeze(c.hot)
		c.hot = nil
	}
}

// backUp says that the messages in a chunk's first n places are at ref.
func (s *slots) backUp(c *chunk, ref Ref, n uint8) {
	had, have := 0, 0
	if c.hot == nil {
		had, have = c.live, c.live // a cold chunk was backed whole
	} else {
		for i := range c.hot {
			sl := &c.hot[i]
			switch {
			case !sl.live:
				continue
			case i < int(c.backed):
				had++
			case i < int(n):
				s.acct.unbacked -= int64(len(sl.raw))
			}
			if i < int(n) {
				have++
			}
		}
	}
	s.acct.release(c.ref, had)
	s.acct.hold(ref, have)
	c.ref, c.backed = ref, n
}

// cold is what is known of a cold chunk's messages. It never changes.
type cold struct {
	bits    [chunkSlots / 64]uint64 // which places have a message
	size    uint32                  // of each body, if all are of one size
	sizes   *[chunkSlots]uint32     // else
	expires *[chunkSlots]int64      // nil: none expires
	level   uint8                   // of each, if all have one priority
	levels  *[chunkSlots]uint8      // else
	more    map[uint8]more          // by place, of those that have a history
	bytes   int64                   // of all bodies
}

// more is what few messages have.
type more struct {
	returns, acquired uint32
	discard           Reason
}

func (c *cold) has(i int) bool { return c.bits[i/64]>>(i%64)&1 != 0 }

// hasFrom reports whether there is a message at place i or behind.
func (c *cold) hasFrom(i int) bool {
	if i < 64 {
		return c.bits[0]>>i != 0 || c.bits[1] != 0
	}
	return c.bits[1]>>(i-64) != 0
}

func (c *cold) count() int { return bits.OnesCount64(c.bits[0]) + bits.OnesCount64(c.bits[1]) }

// freeze returns what must be known of a chunk's messages.
func freeze(hot *[chunkSlots]slot) *cold {
	c := &cold{}
	first := true
	for i := range hot {
		sl := &hot[i]
		if !sl.live {
			continue
		}
		c.bits[i/64] |= 1 << (i % 64)
		c.bytes += int64(sl.size)
		if first {
			c.size, c.level, first = sl.size, sl.level, false
		}
		if sl.size != c.size && c.sizes == nil {
			c.sizes = new([chunkSlots]uint32)
		}
		if sl.level != c.level && c.levels == nil {
			c.levels = new([chunkSlots]uint8)
		}
		if sl.expires != 0 && c.expires == nil {
			c.expires = new([chunkSlots]int64)
		}
		if sl.returns != 0 || sl.acquired != 0 || sl.discard != 0 {
			if c.more == nil {
				c.more = map[uint8]more{}
			}
			c.more[uint8(i)] = more{sl.returns, sl.acquired, sl.discard}
		}
	}
	for i := range hot {
		sl := &hot[i]
		if c.sizes != nil {
			c.sizes[i] = sl.size
		}
		if c.levels != nil {
			c.levels[i] = sl.level
		}
		if c.expires != nil {
			c.expires[i] = sl.expires
		}
	}
	return c
}

// thaw returns the slots again, without the messages.
func (c *cold) thaw() *[chunkSlots]slot {
	hot := new([chunkSlots]slot)
	for i := range hot {
		if c.has(i) {
			hot[i] = c.slot(i)
		}
	}
	return hot
}

func (c *cold) slot(i int) slot {
	m := c.more[uint8(i)]
	sl := slot{
		live: true, size: c.size, level: c.level, returns: m.returns, acquired: m.acquired, discard: m.discard,
	}
	if c.sizes != nil {
		sl.size = c.sizes[i]
	}
	if c.levels != nil {
		sl.level = c.levels[i]
	}
	if c.expires != nil {
		sl.expires = c.expires[i]
	}
	return sl
}

// dead returns the places of the messages that wait to be dead-lettered.
func (c *cold) dead() []int {
	var dead []int
	for i, m := range c.more {
		if m.discard != 0 {
			dead = append(dead, int(i))
		}
	}
	slices.Sort(dead)
	return dead
}
