package queue

import "encoding/binary"

// A queue moves to another shard in four steps, each a command: the source seals it,
// exports it as imports for the target, and from then on forwards what still arrives
// for it. Messages keep their numbers, so consumers keep what they hold.

// AppendSeal appends the command that stops queue here: what comes for it is kept to
// be forwarded.
func AppendSeal(b []byte, queue uint64) []byte {
	b, at := beginCommand(b, OpSeal)
	return endCommand(binary.LittleEndian.AppendUint64(b, queue), at)
}

// AppendForwarded appends the command that forgets the first n commands that were
// kept for forwarding.
func AppendForwarded(b []byte, queue uint64, n uint32) []byte {
	b, at := beginCommand(b, OpForwarded)
	b = binary.LittleEndian.AppendUint64(b, queue)
	return endCommand(binary.LittleEndian.AppendUint32(b, n), at)
}

// AppendEmpty appends the command that lets go of the messages of a queue that has
// moved.
func AppendEmpty(b []byte, queue uint64) []byte {
	b, at := beginCommand(b, OpEmpty)
	return endCommand(binary.LittleEndian.AppendUint64(b, queue), at)
}

// The flags of an import.
const (
	importFirst = 1 // begins anew, whatever an earlier attempt brought
	importLast  = 2 // the queue is whole
)

// Sealed reports whether the queue moves away, or has moved.
func (q *Queue) Sealed() bool { return q.sealed }

// Exported reports whether this leader has exported the queue; Export sets it.
func (q *Queue) Exported() bool { return q.lead != nil && q.lead.exported }

// Export returns the commands that make up the queue elsewhere, each of about
// bytesMax, and lets go of the messages: they come back if the leader restarts before
// the move is complete.
func (q *Queue) Export(bytesMax int) [][]byte {
	q.lead.exported = true
	// The leader knows better than the mark what was delivered.
	mark := max(q.lead.fresh, max(q.lead.cursor, 1)-1)
	var commands [][]byte
	var b []byte
	var at, count, countAt int
	begin := func(flags byte) {
		b, at = beginCommand(nil, OpImport)
		b = binary.LittleEndian.AppendUint64(b, q.ID)
		b = append(b, flags)
		b = q.Config.append(b)
		b = binary.LittleEndian.AppendUint64(b, q.next)
		b = binary.LittleEndian.AppendUint64(b, mark)
		count, countAt = 0, len(b)
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	end := func() {
		binary.LittleEndian.PutUint32(b[countAt:], uint32(count))
		commands = append(commands, endCommand(b, at))
	}
	begin(importFirst)
	q.slots.each(Range{0, ^uint64(0)}, func(seq uint64, sl *slot) {
		if len(b) > bytesMax {
			end()
			begin(0)
		}
		b = appendSlot(b, seq, sl)
		count++
	})
	end()
	begin(importLast)
	end()
	return commands
}

// TakeKept returns the commands kept for forwarding since the last call.
func (q *Queue) TakeKept() [][]byte {
	if q.lead == nil || q.lead.forwarded >= len(q.kept) {
		return nil
	}
	fresh := q.kept[q.lead.forwarded:]
	q.lead.forwarded = len(q.kept)
	return fresh
}

// keep keeps a command for a queue that is sealed.
func (q *Queue) keep(op Op, content []byte) {
	if op == OpMark {
		return
	}
	b, at := beginCommand(make([]byte, 0, commandHeadBytes+len(content)), op)
	q.kept = append(q.kept, endCommand(append(b, content...), at))
	q.touch()
}

// keepEnqueue keeps a message for a queue that is sealed.
func (q *Queue) keepEnqueue(now, ttl int64, raw []byte) {
	b, at := beginCommand(nil, OpEnqueue)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint64(b, q.ID)
	b = binary.LittleEndian.AppendUint64(b, uint64(now))
	b = binary.LittleEndian.AppendUint64(b, uint64(ttl))
	q.kept = append(q.kept, endCommand(append(b, raw...), at))
	q.touch()
}

// empty lets go of the messages: they are where the queue has moved to.
func (q *Queue) empty() {
	q.slots = slots{}
	if q.lead != nil {
		exported, forwarded := q.lead.exported, q.lead.forwarded
		q.lead = newLead(q)
		q.lead.exported, q.lead.forwarded = exported, forwarded
	}
}

func (q *Queue) forwardedUpTo(n int) {
	n = min(n, len(q.kept))
	q.kept = append([][]byte(nil), q.kept[n:]...)
	if q.lead != nil {
		q.lead.forwarded -= n
	}
}

// importChunk takes in a part of a queue that moves here.
func (s *Shard) importChunk(id uint64, b []byte) {
	flags := b[0]
	c, b, err := parseConfig(b[1:])
	if err != nil || len(b) < 20 {
		panic("queue: import: " + errCommand.Error())
	}
	q := s.queues[id]
	if q != nil && !q.importing {
		return // it came whole before
	}
	if q == nil || flags&importFirst != 0 {
		if q != nil && q.Config.refuses() {
			s.refusing--
		}
		q = &Queue{ID: id, shard: s, importing: true}
		s.queues[id] = q
	}
	q.configure(c)
	q.next, q.mark = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if _, err := q.putSlots(b[16:]); err != nil {
		panic("queue: import: " + err.Error())
	}
	if flags&importLast == 0 {
		return
	}
	q.importing = false
	if s.leading {
		q.lead = newLead(q)
		q.touch()
	}
}
