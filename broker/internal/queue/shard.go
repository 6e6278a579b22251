package queue

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// formatVersion is the first byte of every entry and snapshot.
const formatVersion = 2

// Origin names one run of one node: commands come from there in an ordered lane.
type Origin struct {
	Replica     uint64
	Incarnation uint64 // grows with each start of the node
}

// lane is how far the commands of a node have come: each is applied exactly once.
type lane struct {
	incarnation uint64
	last        uint64
	refused     []uint64 // of those that the origin may still wait for, by rising number
}

// Shard is the state of one placement group.
type Shard struct {
	queues map[uint64]*Queue
	lanes  map[uint64]lane // by replica

	acct *account

	leading  bool
	byLeader bool     // the commands being applied are the leader's own
	refused  bool     // the command being applied tells of a refusal
	refusing int      // queues that may refuse a message
	loaded   []loaded // what was read from disk, oldest first
	touched  []*Queue // with something to dispatch
	dead     []DeadLetter
	waited   []int64 // see Waits
	watcher  Watcher // nil: nobody watches
}

// DeadLetter is a message that the leader must publish to the dead-letter exchange of
// its queue, and settle once the copies are confirmed.
type DeadLetter struct {
	Queue *Queue
	Seq   uint64
	Why   Reason
	Raw   []byte
}

// NewShard returns an empty shard.
func NewShard() *Shard {
	return &Shard{queues: map[uint64]*Queue{}, lanes: map[uint64]lane{}, acct: &account{runs: map[uint64]*run{}}}
}

// Queue returns the queue with that id, nil if there is none.
func (s *Shard) Queue(id uint64) *Queue { return s.queues[id] }

// Queues calls fn with each queue, in no order.
func (s *Shard) Queues(fn func(*Queue)) {
	for _, q := range s.queues {
		fn(q)
	}
}

// LaneAt returns the sequence number of the last command applied from o; 0: none.
func (s *Shard) LaneAt(o Origin) uint64 {
	if l := s.lanes[o.Replica]; l.incarnation == o.Incarnation {
		return l.last
	}
	return 0
}

// Refused returns which of o's commands after number after were refused.
func (s *Shard) Refused(o Origin, after uint64) []uint64 {
	l := s.lanes[o.Replica]
	if l.incarnation != o.Incarnation {
		return nil
	}
	i, _ := slices.BinarySearch(l.refused, after+1)
	return l.refused[i:]
}

// An entry is version u8 and blocks:
//
//	lane:   1 | replica u64 | incarnation u64 | base u64 | first u64 | length u32 | commands
//	leader: 2 | length u32 | commands
const (
	blockLane   = 1
	blockLeader = 2

	laneHeadBytes   = 1 + 8 + 8 + 8 + 8 + 4
	leaderHeadBytes = 1 + 4
)

// CutCommands returns commands without the first n.
func CutCommands(commands []byte, n uint64) ([]byte, error) {
	for ; n > 0; n-- {
		_, _, rest, err := cutCommand(commands)
		if err != nil {
			return nil, err
		}
		commands = rest
	}
	return commands, nil
}

// BeginEntry appends the beginning of an entry.
func BeginEntry(b []byte) []byte { return append(b, formatVersion) }

// AppendLane appends commands of o's lane, numbered from first. base is the lowest
// number that o still waits for: it has given up what came before.
func AppendLane(b []byte, o Origin, base, first uint64, commands []byte) []byte {
	b = append(b, blockLane)
	b = binary.LittleEndian.AppendUint64(b, o.Replica)
	b = binary.LittleEndian.AppendUint64(b, o.Incarnation)
	b = binary.LittleEndian.AppendUint64(b, base)
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(commands)))
	return append(b, commands...)
}

// AppendLeader appends commands that the leader makes itself. Applying them twice
// must do no harm.
func AppendLeader(b []byte, commands []byte) []byte {
	b = append(b, blockLeader)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(commands)))
	return append(b, commands...)
}

// Apply applies an entry, which it keeps. An entry that can't be read is a broken
// invariant: entries are only written by this package.
func (s *Shard) Apply(entry []byte) {
	if len(entry) == 0 || entry[0] != formatVersion {
		panic(fmt.Sprintf("queue: entry of format %v, this version reads %d", entry[:min(1, len(entry))], formatVersion))
	}
	b := entry[1:]
	for len(b) > 0 {
		switch {
		case b[0] == blockLane && len(b) >= laneHeadBytes:
			o := Origin{binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:])}
			base, first := binary.LittleEndian.Uint64(b[17:]), binary.LittleEndian.Uint64(b[25:])
			n := int(binary.LittleEndian.Uint32(b[33:]))
			b = b[laneHeadBytes:]
			s.applyLane(o, base, first, b[:n])
			b = b[n:]
		case b[0] == blockLeader && len(b) >= leaderHeadBytes:
			n := int(binary.LittleEndian.Uint32(b[1:]))
			b = b[leaderHeadBytes:]
			s.byLeader = true
			s.applyAll(b[:n])
			s.byLeader = false
			b = b[n:]
		default:
			panic(fmt.Sprintf("queue: block of kind %d with %d bytes", b[0], len(b)))
		}
	}
}

// applyLane applies the commands that continue o's lane; what was applied before is
// skipped, and behind a gap nothing is applied: the origin sends it again.
func (s *Shard) applyLane(o Origin, base, first uint64, commands []byte) {
	l := s.lanes[o.Replica]
	if o.Incarnation < l.incarnation {
		return
	}
	if o.Incarnation > l.incarnation {
		l = lane{incarnation: o.Incarnation}
	}
	l.last = max(l.last, max(base, 1)-1)
	if i, _ := slices.BinarySearch(l.refused, base); i > 0 {
		l.refused = slices.Clone(l.refused[i:]) // a snapshot may share the old ones
	}
	for seq := first; len(commands) > 0; seq++ {
		op, content, rest, err := cutCommand(commands)
		if err != nil {
			panic(fmt.Sprintf("queue: lane of %x: %v", o.Replica, err))
		}
		commands = rest
		if seq <= l.last {
			continue
		}
		if seq != l.last+1 {
			break
		}
		l.last = seq
		s.apply(op, content)
		if s.refused {
			s.refused = false
			l.refused = append(l.refused[:len(l.refused):len(l.refused)], seq)
		}
	}
	s.lanes[o.Replica] = l
}

func (s *Shard) applyAll(commands []byte) {
	for len(commands) > 0 {
		op, content, rest, err := cutCommand(commands)
		if err != nil {
			panic(fmt.Sprintf("queue: leader's commands: %v", err))
		}
		commands = rest
		s.apply(op, content)
	}
}

func (s *Shard) apply(op Op, b []byte) {
	switch op {
	case OpEnqueue:
		s.enqueue(b)
		return
	case OpRefuse:
		s.refuse(b)
		return
	}
	if len(b) < 8 {
		panic(fmt.Sprintf("queue: command %d: %v", op, errCommand))
	}
	id := binary.LittleEndian.Uint64(b)
	q := s.queues[id]
	if op == OpSet {
		s.set(id, q, b[8:])
		return
	}
	if op == OpImport {
		s.importChunk(id, b[8:])
		return
	}
	if q == nil {
		return // deleted in the meantime: nothing left to do
	}
	if q.sealed && op != OpDrop && op != OpForwarded && op != OpSeal && op != OpEmpty {
		q.keep(op, b)
		return
	}
	switch op {
	case OpSeal:
		q.sealed = true
	case OpEmpty:
		if q.sealed {
			q.empty()
		}
	case OpForwarded:
		q.forwardedUpTo(int(binary.LittleEndian.Uint32(b[8:])))
	case OpSettle:
		s.ranges(b[8:], q.settle)
	case OpReturn:
		counted := b[8] == 1
		s.ranges(b[9:], func(r Range) { q.giveBack(r, counted) })
	case OpDiscard:
		why := Reason(b[8])
		s.ranges(b[9:], func(r Range) { q.discard(r, why) })
	case OpMark:
		q.mark = max(q.mark, binary.LittleEndian.Uint64(b[8:]))
	case OpDrop:
		s.drop(q)
		return
	default:
		panic(fmt.Sprintf("queue: command %d, which this version does not know", op))
	}
	q.touch()
}

func (s *Shard) ranges(b []byte, fn func(Range)) {
	rs, err := parseRanges(b)
	if err != nil {
		panic("queue: " + err.Error())
	}
	for _, r := range rs {
		fn(r)
	}
}

func (s *Shard) newQueue(id uint64, a *account) *Queue {
	return &Queue{ID: id, shard: s, slots: slots{acct: a}}
}

func (s *Shard) set(id uint64, q *Queue, b []byte) {
	c, _, err := parseConfig(b)
	if err != nil {
		panic("queue: configuration: " + err.Error())
	}
	if q == nil {
		q = s.newQueue(id, s.acct)
		q.next = 1
		s.queues[id] = q
		if s.leading {
			q.lead = newLead(q)
		}
	}
	if q.Config.DeadLetter && !c.DeadLetter {
		q.forgetDead()
	}
	q.configure(c)
	q.touch()
}

// configure changes the configuration.
func (q *Queue) configure(c Config) {
	if q.Config.refuses() {
		q.shard.refusing--
	}
	if c.refuses() {
		q.shard.refusing++
	}
	q.Config = c
}

// forgetDead drops the messages that wait to be dead-lettered: there is nowhere to go
// any more.
func (q *Queue) forgetDead() {
	q.slots.eachDead(func(seq uint64) { q.slots.remove(seq) })
	if q.lead != nil {
		q.lead.dead = 0
	}
	q.shard.dead = slices.DeleteFunc(q.shard.dead, func(d DeadLetter) bool { return d.Queue == q })
}

func (s *Shard) drop(q *Queue) {
	delete(s.queues, q.ID)
	q.slots.clear()
	if q.Config.refuses() {
		s.refusing--
	}
	q.dropped = true
	q.touch()
}

func (s *Shard) enqueue(b []byte) {
	n := int(binary.LittleEndian.Uint16(b))
	s.enqueueTo(b[2:2+8*n], b[2+8*n:])
}

func (s *Shard) enqueueTo(ids, b []byte) {
	now, ttl := int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
	raw := b[16:]
	for ; len(ids) > 0; ids = ids[8:] {
		switch q := s.queues[binary.LittleEndian.Uint64(ids)]; {
		case q == nil: // deleted in the meantime
		case q.sealed:
			q.keepEnqueue(now, ttl, raw)
		default:
			q.enqueue(raw, now, ttl)
		}
	}
}

// Touched returns the queues with something to dispatch since the last call. On the
// leader only.
func (s *Shard) Touched() []*Queue {
	qs := s.touched
	s.touched = nil
	for _, q := range qs {
		q.isTouched = false
	}
	return qs
}

// DeadLetters returns the messages to be dead-lettered since the last call.
func (s *Shard) DeadLetters() []DeadLetter {
	d := s.dead
	s.dead = nil
	return d
}
