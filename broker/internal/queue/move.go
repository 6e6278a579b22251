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

// Exported reports whether this leader has exported the queue.
func (q *Queue) Exported() bool { return q.lead != nil && q.lead.exported }

// Exporting reports whether this leader has begun to export the queue.
func (q *Queue) Exporting() bool { return q.lead != nil && q.lead.exporting }

// Export returns the next commands that make up the queue elsewhere, each of about
// bytesMax: all up to a chunk that must be loaded first, which it asks for. A leader that
// restarts before the move is complete begins anew.
func (q *Queue) Export(bytesMax int) (commands [][]byte, load []uint64) {
	l := q.lead
	// The leader knows better than the mark what was delivered.
	mark := max(l.fresh, max(l.cursor, 1)-1)
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
	var first byte
	if !l.exporting {
		l.exporting, first = true, importFirst
	}
	begin(first)
	for seq, sl := q.slots.next(l.exportAt); sl != nil; seq, sl = q.slots.next(l.exportAt) {
		if sl.raw == nil {
			if count > 0 || first != 0 {
				end()
			}
			if q.Want(seq) {
				load = []uint64{Base(seq)}
			}
			return commands, load
		}
		if len(b) > bytesMax {
			end()
			begin(0)
		}
		b = appendSlot(b, seq, sl)
		count++
		l.exportAt = seq + 1
	}
	end()
	begin(importLast)
	end()
	l.exported = true
	return commands, nil
}

// A message in an import: seq u64 | expires i64 | returns u32 | acquired u32 | discard u8 |
// length u32 | message.
const slotFixedBytes = 8 + 8 + 4 + 4 + 1 + 4

func appendSlot(b []byte, seq uint64, sl *slot) []byte {
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(sl.expires))
	b = binary.LittleEndian.AppendUint32(b, sl.returns)
	b = binary.LittleEndian.AppendUint32(b, sl.acquired)
	b = append(b, byte(sl.discard))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sl.raw)))
	return append(b, sl.raw...)
}

// putSlots reads a count and that many messages into the queue.
func (q *Queue) putSlots(b []byte) error {
	if len(b) < 4 {
		return errCommand
	}
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	for range n {
		if len(b) < slotFixedBytes {
			return errCommand
		}
		size := int(binary.LittleEndian.Uint32(b[25:]))
		if size > len(b)-slotFixedBytes {
			return errCommand
		}
		end := slotFixedBytes + size
		seq, raw := binary.LittleEndian.Uint64(b), b[slotFixedBytes:end:end]
		if bodyLength(raw) < 0 || seq >= q.next {
			return errCommand
		}
		v := newSlot(raw)
		v.expires, v.returns = int64(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[16:])
		v.acquired, v.discard = binary.LittleEndian.Uint32(b[20:]), Reason(b[24])
		v.level = q.Config.priority(raw)
		q.slots.put(seq, v)
		b = b[end:]
	}
	return nil
}

// Forwarded reports whether nothing is left to be forwarded from a queue that has moved.
func (q *Queue) Forwarded() bool { return q.sealed && len(q.kept) == 0 }

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
	q.slots.clear()
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
		if q != nil {
			q.slots.clear()
		}
		q = s.newQueue(id, s.acct)
		q.importing = true
		s.queues[id] = q
	}
	q.configure(c)
	q.next, q.mark = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if err := q.putSlots(b[16:]); err != nil {
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
