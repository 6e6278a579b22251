package queue

import (
	"container/heap"
	"slices"
)

// What the leader knows beyond the replicated state: who consumes, who holds what.
// It is not logged. A new leader learns it from the nodes that the consumers are
// connected to (Attach); what nobody claims goes out again as redelivered.
type lead struct {
	q          *Queue
	ready      int   // messages that could be delivered now
	readyBytes int64 // of their bodies
	unacked    int   // messages that consumers hold and must settle
	dead       int   // messages that wait to be dead-lettered
	// What was admitted and has not arrived, in a queue that refuses what is too much.
	coming      int
	comingBytes int64

	ordered
	deadlines deadlines
	expiring  int    // messages with a time to live
	fresh     uint64 // messages up to here may have been delivered by another leader
	marking   uint64 // highest mark proposed
	seen      uint64 // messages before this one had their chance to be delivered at once

	table  []*Consumer // by index; table[0] is nobody
	order  []*Consumer // those that take deliveries, in order of arrival
	active *Consumer   // the one that is served, if only one is at a time
	served uint64      // deliveries so far
	gets   []*Get
	// serving says that the leader has heard what the consumers hold.
	serving bool
	used    int64 // when the queue was last in use, in Unix milliseconds; 0: not known yet

	// Of a sealed queue: the messages before exportAt are on their way, and when all are,
	// exported is set; forwarded counts its kept commands that are.
	exporting bool
	exportAt  uint64
	exported  bool
	forwarded int

	loading map[uint64]bool // chunks that were asked for

	stats Stats
	waits waits
}

// What consumers do not hold and is not ready either.
const (
	holderLeader = ^uint32(0)     // the leader itself is removing it
	holderReturn = ^uint32(0) - 1 // its consumer is gone, the leader is returning it
)

// Limits of what is delivered ahead.
const (
	// WindowMax is how many deliveries of one consumer may be on their way to its
	// socket: a slow reader must not draw the queue into memory.
	WindowMax = 2048
	// WindowBytesMax is how many bytes of bodies, but for the last of them.
	WindowBytesMax = 8 << 20
	// markAheadMax bounds how far ahead of the deliveries the mark is set.
	markAheadMax = 4096
)

// ConsumerKey names a consumer in the cluster.
type ConsumerKey struct {
	Origin Origin
	ID     uint64 // unique in its origin
}

// Consumer is one consumer as the queue's leader sees it.
type Consumer struct {
	Key       ConsumerKey
	Tag       string
	Prefetch  uint32 // 0: unlimited
	NoAck     bool
	Exclusive bool
	Priority  int32
	Since     int64 // when it was added, in Unix nanoseconds of its node's clock

	index     uint32
	held      uint32 // deliveries it must settle
	window    int    // deliveries on their way to the socket
	bytes     int64  // of their bodies
	served    uint64 // when it got its last delivery, in deliveries
	cancelled bool
}

// Ended marks a consumer that takes nothing any more but may still hold something: how
// a node announces it to a new leader.
func (c *Consumer) Ended() { c.cancelled = true }

// Held returns how many deliveries it must settle.
func (c *Consumer) Held() int { return int(c.held) }

// Hungry reports whether it would take a message now.
func (c *Consumer) Hungry() bool { return c.hungry() }

func (c *Consumer) hungry() bool { return c.room() > 0 }

// room returns how many deliveries it would take now.
func (c *Consumer) room() int {
	n := max(WindowMax-c.window, 0)
	if c.cancelled || c.bytes >= WindowBytesMax {
		return 0
	}
	if !c.NoAck && c.Prefetch > 0 {
		n = min(n, max(int(c.Prefetch)-int(c.held), 0))
	}
	return n
}

// Get is one pending basic.get.
type Get struct {
	Consumer *Consumer // holds what it gets, if that must be settled
	ID       uint64
}

// Lead begins or ends this member's leadership. What the leader knew is forgotten.
func (s *Shard) Lead(leading bool) {
	s.leading = leading
	s.touched, s.dead = nil, nil
	for _, q := range s.queues {
		q.lead, q.isTouched, q.slots.warmed = nil, false, nil
		if leading {
			q.lead = newLead(q)
			q.touch()
			if s.watcher != nil {
				q.watchAll()
			}
		}
	}
}

func newLead(q *Queue) *lead {
	l := &lead{q: q, table: []*Consumer{nil}, fresh: min(q.mark, q.next-1), marking: q.mark, seen: q.next}
	q.slots.warmed = l.warmed
	q.slots.eachChunk(func(base uint64, c *chunk) {
		c.hidden = false
		if c.hot == nil {
			l.countCold(base, c)
			return
		}
		for i := range c.hot {
			if sl := &c.hot[i]; sl.live {
				sl.holder, sl.redelivered = 0, false
				l.countHot(base+uint64(i), sl)
			}
		}
	})
	return l
}

func (l *lead) countHot(seq uint64, sl *slot) {
	if sl.discard != 0 {
		l.dead++
		l.q.shard.dead = append(l.q.shard.dead, DeadLetter{l.q, seq, sl.discard, sl.raw})
		return
	}
	l.count(seq, sl)
}

// countCold takes in a chunk that is cold, which it leaves so.
func (l *lead) countCold(base uint64, c *chunk) {
	k := c.cold
	if k.levels != nil || len(k.more) > 0 || l.levels != nil || l.ready > 0 && k.level != l.level {
		for i := range chunkSlots {
			if sl := k.slot(i); k.has(i) {
				l.countHot(base+uint64(i), &sl)
			}
		}
		return
	}
	if l.ready == 0 {
		l.level = k.level
	}
	l.ready += c.live
	l.readyBytes += k.bytes
	if k.expires == nil {
		return
	}
	// Its first deadline stands for all: they become known when that one comes.
	first := deadline{}
	for i, at := range k.expires {
		if k.has(i) && at != 0 {
			l.expiring++
			if d := (deadline{at, base + uint64(i)}); first.at == 0 || d.at < first.at {
				first = d
			}
		}
	}
	if first.at != 0 {
		heap.Push(&l.deadlines, first)
	}
}

// warmed notes what a chunk's being cold has hidden.
func (l *lead) warmed(base uint64, c *chunk) {
	for i := range c.hot {
		if sl := &c.hot[i]; sl.live && sl.expires != 0 {
			l.due(base+uint64(i), sl)
		}
	}
}

// arrived takes in a new message.
func (l *lead) arrived(seq uint64, sl *slot) {
	if l.coming > 0 {
		l.coming--
		l.comingBytes = max(l.comingBytes-int64(sl.size), 0)
		if l.coming == 0 {
			l.comingBytes = 0 // what was under way before the queue could refuse was not counted
		}
	}
	l.count(seq, sl)
}

// count takes in a message that is ready.
func (l *lead) count(seq uint64, sl *slot) {
	l.add(l.q, l.ready, seq, sl.level)
	l.ready++
	l.readyBytes += int64(sl.size)
	if sl.expires != 0 {
		l.expiring++
		l.due(seq, sl)
	}
}

// Counts returns the messages ready and unacked, and the consumers. On the leader.
func (q *Queue) Counts() (ready, unacked, consumers int) {
	if q.lead == nil {
		return q.slots.live, 0, 0
	}
	return q.lead.ready, q.lead.unacked, len(q.lead.order)
}

// Consumers calls fn with each consumer that takes deliveries.
func (q *Queue) Consumers(fn func(*Consumer)) {
	if q.lead != nil {
		for _, c := range q.lead.order {
			fn(c)
		}
	}
}

// Known returns all consumers the leader knows, those included that only hold
// something still.
func (q *Queue) Known() []*Consumer {
	if q.lead == nil {
		return nil
	}
	var cs []*Consumer
	for _, c := range q.lead.table[1:] {
		if c != nil {
			cs = append(cs, c)
		}
	}
	return cs
}

// Touch makes the next Touched name the queue.
func (q *Queue) Touch() { q.touch() }

// Find returns the consumer with that key, nil if the queue does not know it.
func (q *Queue) Find(key ConsumerKey) *Consumer {
	if q.lead != nil {
		for _, c := range q.lead.table[1:] {
			if c != nil && c.Key == key {
				return c
			}
		}
	}
	return nil
}

// Attach adds c, or replaces what the leader knew of it: held is what it holds now.
func (q *Queue) Attach(c *Consumer, held []Range) {
	l := q.lead
	if l == nil {
		return
	}
	if old := q.Find(c.Key); old != nil {
		q.Cancel(old)
		c.index, c.held = old.index, 0
		q.slots.eachHot(func(seq uint64, sl *slot) {
			if sl.holder == old.index {
				old.held--
				l.unackedAdd(old, -1)
				l.free(seq, sl)
			}
		})
		l.table[c.index] = c
	} else {
		c.index = l.slotFor(c)
	}
	for _, r := range held {
		q.slots.each(r, func(_ uint64, sl *slot) {
			if sl.holder == 0 && sl.discard == 0 {
				l.take(sl, c)
			}
		})
	}
	if !c.cancelled {
		i := len(l.order)
		for i > 0 && l.order[i-1].Since > c.Since {
			i--
		}
		l.order = slices.Insert(l.order, i, c)
		if l.serving && q.Config.SingleActive {
			l.elect() // who comes first to a living queue is the one
		}
	}
	l.release(c)
	q.touch()
}

func (l *lead) slotFor(c *Consumer) uint32 {
	for i := 1; i < len(l.table); i++ {
		if l.table[i] == nil {
			l.table[i] = c
			return uint32(i)
		}
	}
	l.table = append(l.table, c)
	return uint32(len(l.table) - 1)
}

// Cancel ends deliveries to c; what it holds it may still settle.
func (q *Queue) Cancel(c *Consumer) {
	c.cancelled = true
	l := q.lead
	if l == nil {
		return
	}
	for i, o := range l.order {
		if o == c {
			l.order = append(l.order[:i:i], l.order[i+1:]...)
			break
		}
	}
	if l.active == c {
		l.active = nil
	}
	l.gets = slices.DeleteFunc(l.gets, func(g *Get) bool { return g.Consumer == c })
	l.release(c)
	q.touch()
}

// Down ends c and takes from it what it held: the leader proposes the return of it. Until
// then a late word of c may settle it, but not give it back a second time.
func (q *Queue) Down(c *Consumer) []Range {
	var seqs []uint64
	if l := q.lead; l != nil && c.held > 0 {
		q.slots.eachHot(func(seq uint64, sl *slot) {
			if sl.holder == c.index {
				sl.holder = holderReturn
				c.held--
				l.unackedAdd(c, -1)
				seqs = append(seqs, seq)
			}
		})
	}
	q.Cancel(c)
	return Ranges(seqs)
}

// Forward says that n deliveries of c with bodies of that many bytes reached its socket.
func (q *Queue) Forward(c *Consumer, n int, bytes int64) {
	c.window = max(c.window-n, 0)
	c.bytes = max(c.bytes-bytes, 0)
	q.touch()
}

// AddGet queues a basic.get.
func (q *Queue) AddGet(g *Get) {
	if q.lead != nil {
		if !g.Consumer.NoAck && g.Consumer.index == 0 {
			g.Consumer.index = q.lead.slotFor(g.Consumer)
		}
		q.lead.gets = append(q.lead.gets, g)
		q.touch()
	}
}

// Idle reports whether the queue has no consumers (auto-delete asks).
func (q *Queue) Idle() bool { return q.lead == nil || len(q.lead.order) == 0 }

// Purge takes all ready messages: the leader proposes that they are settled.
func (q *Queue) Purge() []Range {
	var seqs []uint64
	l := q.lead
	if l == nil {
		return nil
	}
	q.slots.eachChunk(func(base uint64, c *chunk) {
		if c.hidden {
			return
		}
		if c.hot == nil && len(c.cold.more) == 0 {
			c.hidden = true
			l.ready -= c.live
			l.readyBytes -= c.cold.bytes
			for i := range chunkSlots {
				if c.cold.has(i) {
					seqs = append(seqs, base+uint64(i))
				}
			}
			return
		}
		q.slots.warm(base, c)
		for i := range c.hot {
			if sl := &c.hot[i]; sl.live && sl.holder == 0 && sl.discard == 0 {
				l.remove(sl)
				seqs = append(seqs, base+uint64(i))
			}
		}
	})
	return Ranges(seqs)
}

// release gives c's index back once it neither takes nor holds anything.
func (l *lead) release(c *Consumer) {
	if c.cancelled && c.held == 0 && c.index != 0 && l.table[c.index] == c {
		l.table[c.index] = nil
	}
}

func (l *lead) unackedAdd(c *Consumer, n int) {
	if !c.NoAck {
		l.unacked += n
	}
}

// take makes c the holder of a ready message.
func (l *lead) take(sl *slot, c *Consumer) {
	sl.holder = c.index
	c.held++
	l.unackedAdd(c, 1)
	l.ready--
	l.readyBytes -= int64(sl.size)
}

// remove takes a ready message for the leader, which proposes its end.
func (l *lead) remove(sl *slot) {
	sl.holder = holderLeader
	l.ready--
	l.readyBytes -= int64(sl.size)
}

// forget takes a message out of the counts, before it is removed or discarded.
func (l *lead) forget(sl *slot) {
	if sl.discard != 0 {
		return // it was taken out when it was discarded
	}
	switch sl.holder {
	case holderLeader, holderReturn:
	case 0:
		l.ready--
		l.readyBytes -= int64(sl.size)
	default:
		c := l.table[sl.holder]
		c.held--
		l.unackedAdd(c, -1)
		l.release(c)
	}
	if sl.expires != 0 {
		l.expiring--
	}
}

// makeReady puts a message back to its place: at a consumer's word one that a consumer
// holds, at the leader's one whose consumer is gone.
func (l *lead) makeReady(seq uint64, sl *slot) {
	switch {
	case sl.holder == holderReturn && l.q.shard.byLeader:
		l.free(seq, sl)
	case sl.holder == 0 || sl.holder >= holderReturn || l.q.shard.byLeader:
	default:
		c := l.table[sl.holder]
		c.held--
		l.unackedAdd(c, -1)
		l.free(seq, sl)
		l.release(c)
	}
}

func (l *lead) free(seq uint64, sl *slot) {
	sl.holder, sl.redelivered = 0, true
	l.back(l.q, l.ready, seq, sl)
	l.ready++
	l.readyBytes += int64(sl.size)
	if sl.expires != 0 {
		l.due(seq, sl)
	}
}
