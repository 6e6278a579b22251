package queue

import (
	"encoding/binary"
	"slices"
)

// refuses reports whether the queue may refuse a message.
func (c *Config) refuses() bool {
	return c.Overflow != DropHead && (c.MaxLength >= 0 || c.MaxLengthBytes >= 0)
}

// Strangers returns the queues that messages go to in a lane's commands and that the shard
// does not have.
func (s *Shard) Strangers(commands []byte) (ids []uint64) {
	for rest := commands; len(rest) > 0; {
		op, content, next, err := cutCommand(rest)
		if err != nil {
			return ids // as its Apply will say
		}
		rest = next
		if op != OpEnqueue {
			continue
		}
		n := int(binary.LittleEndian.Uint16(content))
		for b := content[2 : 2+8*n]; len(b) > 0; b = b[8:] {
			if id := binary.LittleEndian.Uint64(b); s.queues[id] == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// Admit returns a lane's commands as the leader proposes them: where a queue is full and
// refuses more, the enqueue becomes one that says so. Only the leader can tell, since it
// alone knows what is ready; what it decides is logged, so that the origin hears of it
// from any later leader.
func (s *Shard) Admit(commands []byte) []byte {
	if s.refusing == 0 {
		return commands
	}
	var changed []byte // nil as long as nothing was refused
	for rest := commands; len(rest) > 0; {
		op, content, next, err := cutCommand(rest)
		if err != nil {
			return commands // as its Apply will say
		}
		if op == OpEnqueue {
			if refusal := s.admit(content); refusal != nil {
				if changed == nil {
					changed = slices.Clone(commands[:len(commands)-len(rest)])
				}
				changed = append(changed, refusal...)
				rest = next
				continue
			}
		}
		if changed != nil {
			changed = append(changed, rest[:len(rest)-len(next)]...)
		}
		rest = next
	}
	if changed != nil {
		return changed
	}
	return commands
}

// admit checks one enqueue; nil means that all its queues take the message.
func (s *Shard) admit(b []byte) []byte {
	n := int(binary.LittleEndian.Uint16(b))
	ids, tail := b[2:2+8*n], b[2+8*n:]
	bytes := int64(max(bodyLength(tail[16:]), 0))
	var stored, dead []byte
	refused := false
	for ; len(ids) > 0; ids = ids[8:] {
		q := s.queues[binary.LittleEndian.Uint64(ids)]
		switch {
		case q == nil || q.sealed || q.lead == nil || q.admits(bytes):
			stored = append(stored, ids[:8]...)
		default:
			refused = true
			if q.Config.Overflow == RejectDead {
				dead = append(dead, ids[:8]...)
			}
		}
	}
	if !refused {
		return nil
	}
	c, at := beginCommand(nil, OpRefuse)
	c = binary.LittleEndian.AppendUint16(c, uint16(len(stored)/8))
	c = binary.LittleEndian.AppendUint16(c, uint16(len(dead)/8))
	c = append(append(c, stored...), dead...)
	if len(stored)+len(dead) > 0 {
		c = append(c, tail...)
	}
	return endCommand(c, at)
}

// admits reports whether the queue takes one more message, and notes that it is coming.
func (q *Queue) admits(bytes int64) bool {
	c, l := &q.Config, q.lead
	if !c.refuses() {
		return true
	}
	count, size := l.ready+l.coming, l.readyBytes+l.comingBytes
	if c.AtLeastOnce {
		count += l.dead
	}
	full := c.MaxLength >= 0 && int64(count)+1 > c.MaxLength ||
		c.MaxLengthBytes >= 0 && size+bytes > c.MaxLengthBytes
	if full && !l.takes(count+1) {
		return false
	}
	l.coming++
	l.comingBytes += bytes
	return true
}

// takes reports whether the consumers have room for that many messages at once.
func (l *lead) takes(n int) bool {
	if l.q.Config.SingleActive {
		c := l.elect()
		return c != nil && c.room() >= n
	}
	for _, c := range l.order {
		if n -= c.room(); n <= 0 {
			return true
		}
	}
	return false
}

// refuse applies an enqueue that was refused by at least one queue.
func (s *Shard) refuse(b []byte) {
	s.refused = true
	stored, dead := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	if stored+dead == 0 {
		return
	}
	ids, tail := b[4:4+8*(stored+dead)], b[4+8*(stored+dead):]
	s.enqueueTo(ids[:8*stored], tail)
	for ids = ids[8*stored:]; len(ids) > 0; ids = ids[8:] {
		if q := s.queues[binary.LittleEndian.Uint64(ids)]; q != nil && !q.sealed {
			q.enqueueDead(tail[16:])
		}
	}
}
