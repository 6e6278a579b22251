package queue

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// A snapshot, little-endian:
//
//	version u8 | lanes u32 |
//	(replica u64 | incarnation u64 | last u64 | refused u32 | number u64…)… |
//	queues u32 | queue…
//	queue: id u64 | configuration | next u64 | mark u64 | flags u8 (1 sealed, 2 importing) |
//	kept u32 | (length u32 | command)… | messages u32 | message…
//	message: seq u64 | expires i64 | returns u32 | acquired u32 | discard u8 | length u32 | raw

// Capture takes the state as of now, encoded the same on every member that applied the
// same. The returned function encodes it; it may run
// later, beside further Applies.
func (s *Shard) Capture() func() []byte {
	type queueCopy struct {
		id         uint64
		config     Config
		next, mark uint64
		flags      byte
		kept       [][]byte
		seqs       []uint64
		slots      []slot
	}
	lanes := maps.Clone(s.lanes)
	queues := make([]queueCopy, 0, len(s.queues))
	for _, id := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[id]
		c := queueCopy{id: q.ID, config: q.Config, next: q.next, mark: q.mark, kept: q.kept[:len(q.kept):len(q.kept)]}
		if q.sealed {
			c.flags |= flagSealed
		}
		if q.importing {
			c.flags |= flagImporting
		}
		c.seqs = make([]uint64, 0, q.slots.live)
		c.slots = make([]slot, 0, q.slots.live)
		q.slots.each(Range{0, ^uint64(0)}, func(seq uint64, sl *slot) {
			c.seqs = append(c.seqs, seq)
			c.slots = append(c.slots, *sl)
		})
		queues = append(queues, c)
	}
	return func() []byte {
		b := []byte{formatVersion}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(lanes)))
		for _, replica := range slices.Sorted(maps.Keys(lanes)) {
			l := lanes[replica]
			b = binary.LittleEndian.AppendUint64(b, replica)
			b = binary.LittleEndian.AppendUint64(b, l.incarnation)
			b = binary.LittleEndian.AppendUint64(b, l.last)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(l.refused)))
			for _, n := range l.refused {
				b = binary.LittleEndian.AppendUint64(b, n)
			}
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(queues)))
		for _, q := range queues {
			b = binary.LittleEndian.AppendUint64(b, q.id)
			b = q.config.append(b)
			b = binary.LittleEndian.AppendUint64(b, q.next)
			b = binary.LittleEndian.AppendUint64(b, q.mark)
			b = append(b, q.flags)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(q.kept)))
			for _, k := range q.kept {
				b = binary.LittleEndian.AppendUint32(b, uint32(len(k)))
				b = append(b, k...)
			}
			b = binary.LittleEndian.AppendUint32(b, uint32(len(q.slots)))
			for i := range q.slots {
				b = appendSlot(b, q.seqs[i], &q.slots[i])
			}
		}
		return b
	}
}

func appendSlot(b []byte, seq uint64, sl *slot) []byte {
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(sl.expires))
	b = binary.LittleEndian.AppendUint32(b, sl.returns)
	b = binary.LittleEndian.AppendUint32(b, sl.acquired)
	b = append(b, byte(sl.discard))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sl.raw)))
	return append(b, sl.raw...)
}

// Restore replaces the state by a snapshot, which it keeps. Leadership ends.
func (s *Shard) Restore(b []byte) error {
	if len(b) < 5 || b[0] != formatVersion {
		return fmt.Errorf("snapshot of format %v, this version reads %d", b[:min(1, len(b))], formatVersion)
	}
	fresh := NewShard()
	n := int(binary.LittleEndian.Uint32(b[1:]))
	b = b[5:]
	for ; n > 0; n-- {
		rest, err := fresh.restoreLane(b)
		if err != nil {
			return err
		}
		b = rest
	}
	if len(b) < 4 {
		return errCommand
	}
	n = int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	for range n {
		rest, err := fresh.restoreQueue(s, b)
		if err != nil {
			return err
		}
		b = rest
	}
	for _, q := range s.queues {
		if fresh.queues[q.ID] == nil {
			q.dropped = true
		}
	}
	*s = *fresh
	return nil
}

// laneFixedBytes is a lane without its refused numbers.
const laneFixedBytes = 8 + 8 + 8 + 4

func (s *Shard) restoreLane(b []byte) ([]byte, error) {
	if len(b) < laneFixedBytes {
		return nil, errCommand
	}
	l := lane{incarnation: binary.LittleEndian.Uint64(b[8:]), last: binary.LittleEndian.Uint64(b[16:])}
	n := int(binary.LittleEndian.Uint32(b[24:]))
	replica := binary.LittleEndian.Uint64(b)
	b = b[laneFixedBytes:]
	if n > len(b)/8 {
		return nil, errCommand
	}
	for ; n > 0; n, b = n-1, b[8:] {
		l.refused = append(l.refused, binary.LittleEndian.Uint64(b))
	}
	s.lanes[replica] = l
	return b, nil
}

func (s *Shard) restoreQueue(owner *Shard, b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, errCommand
	}
	q := &Queue{ID: binary.LittleEndian.Uint64(b), shard: owner}
	var err error
	if q.Config, b, err = parseConfig(b[8:]); err != nil || len(b) < 21 {
		return nil, errCommand
	}
	if q.Config.refuses() {
		s.refusing++
	}
	q.next, q.mark = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	q.sealed, q.importing = b[16]&flagSealed != 0, b[16]&flagImporting != 0
	kept := int(binary.LittleEndian.Uint32(b[17:]))
	b = b[21:]
	for range kept {
		if len(b) < 4 || int(binary.LittleEndian.Uint32(b)) > len(b)-4 {
			return nil, errCommand
		}
		end := 4 + int(binary.LittleEndian.Uint32(b))
		q.kept = append(q.kept, b[4:end:end])
		b = b[end:]
	}
	if b, err = q.putSlots(b); err != nil {
		return nil, err
	}
	s.queues[q.ID] = q
	return b, nil
}

// The flags of a queue in a snapshot.
const (
	flagSealed    = 1
	flagImporting = 2
)

// slotFixedBytes is a message without its raw bytes.
const slotFixedBytes = 8 + 8 + 4 + 4 + 1 + 4

// putSlots reads a count and that many messages into the queue.
func (q *Queue) putSlots(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errCommand
	}
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	last := q.slots.base
	for range n {
		if len(b) < slotFixedBytes {
			return nil, errCommand
		}
		size := int(binary.LittleEndian.Uint32(b[25:]))
		if size > len(b)-slotFixedBytes {
			return nil, errCommand
		}
		end := slotFixedBytes + size
		seq, raw := binary.LittleEndian.Uint64(b), b[slotFixedBytes:end:end]
		if bodyLength(raw) < 0 || seq < last || seq >= q.next {
			return nil, errCommand
		}
		last = seq + 1
		q.slots.put(seq, slot{
			expires: int64(binary.LittleEndian.Uint64(b[8:])), returns: binary.LittleEndian.Uint32(b[16:]),
			acquired: binary.LittleEndian.Uint32(b[20:]), discard: Reason(b[24]), raw: raw,
			level: q.Config.priority(raw),
		})
		b = b[end:]
	}
	return b, nil
}
