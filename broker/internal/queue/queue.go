package queue

// Queue is one queue's replicated state.
type Queue struct {
	ID     uint64
	Config Config
	shard  *Shard
	slots  slots
	next   uint64 // number of the next message
	mark   uint64 // messages up to here may have been delivered

	sealed    bool     // it moves, or has moved, to another shard
	kept      [][]byte // commands to be forwarded there
	importing bool     // it is coming from another shard

	lead      *lead // on the leader
	isTouched bool
	dropped   bool
}

// Dropped reports whether the queue has ended.
func (q *Queue) Dropped() bool { return q.dropped }

// Len returns the number of messages in the queue, ready or not.
func (q *Queue) Len() int { return q.slots.live }

// Bytes returns the bytes of the messages' bodies.
func (q *Queue) Bytes() int64 { return q.slots.bytes }

// touch notes, on the leader, that the queue may have something to dispatch.
func (q *Queue) touch() {
	if q.lead != nil && !q.isTouched {
		q.isTouched = true
		q.shard.touched = append(q.shard.touched, q)
	}
}

// enqueue adds a message; the lower of the two times to live counts.
func (q *Queue) enqueue(raw []byte, now, ttl int64) {
	if q.Config.Delay {
		ttl = delay(raw)
	} else if q.Config.TTL >= 0 && (ttl < 0 || q.Config.TTL < ttl) {
		ttl = q.Config.TTL
	}
	expires := int64(0)
	if ttl >= 0 {
		expires = max(now+ttl, atOnce)
	}
	if ttl == 0 {
		expires = atOnce
	}
	seq := q.next
	q.next++
	v := newSlot(raw)
	v.expires, v.level = expires, q.Config.priority(raw)
	sl := q.slots.put(seq, v)
	if q.lead != nil {
		q.lead.arrived(seq, sl)
		q.lead.stats.Published++
		q.lead.waits.arrived(seq, now)
		if w := q.shard.watcher; w != nil {
			w.Arrived(q, seq, raw)
		}
	}
	q.touch()
}

// enqueueDead adds a message that the full queue refuses to its dead letters.
func (q *Queue) enqueueDead(raw []byte) {
	if !q.Config.DeadLetter {
		return
	}
	seq := q.next
	q.next++
	v := newSlot(raw)
	v.discard = MaxLen
	q.slots.put(seq, v)
	if q.lead != nil {
		q.lead.dead++
		q.shard.dead = append(q.shard.dead, DeadLetter{q, seq, MaxLen, raw})
	}
}

// settle removes messages.
func (q *Queue) settle(r Range) {
	q.slots.each(r, func(seq uint64, sl *slot) {
		if q.lead != nil {
			if sl.discard != 0 {
				q.lead.dead--
			} else if sl.holder != 0 && sl.holder < holderReturn {
				q.lead.stats.Acked++
				if w := q.shard.watcher; w != nil {
					w.Ended(q, seq, 0)
				}
			}
			q.lead.forget(sl)
		}
		q.slots.remove(seq)
	})
}

// giveBack puts messages back to their places.
func (q *Queue) giveBack(r Range, counted bool) {
	q.slots.each(r, func(seq uint64, sl *slot) {
		if sl.discard != 0 {
			return
		}
		sl.acquired++
		if counted {
			sl.returns++
		}
		if limit := q.Config.DeliveryLimit; limit >= 0 && int64(sl.returns) > limit {
			q.discardOne(seq, sl, DeliveryLimit)
			return
		}
		if q.lead != nil {
			q.lead.makeReady(seq, sl)
			if w := q.shard.watcher; w != nil {
				w.Returned(q, seq)
			}
		}
	})
}

func (q *Queue) discard(r Range, why Reason) {
	q.slots.each(r, func(seq uint64, sl *slot) {
		if sl.discard == 0 {
			q.discardOne(seq, sl, why)
		}
	})
}

// discardOne removes a message, or, if it has somewhere to go, keeps it until the
// dead-lettered copies are confirmed: a leader that dies in between loses nothing.
func (q *Queue) discardOne(seq uint64, sl *slot, why Reason) {
	if q.lead != nil {
		q.lead.forget(sl)
		q.lead.removed(why)
		if w := q.shard.watcher; w != nil {
			w.Ended(q, seq, why)
		}
	}
	if !q.Config.DeadLetter {
		q.slots.remove(seq)
		return
	}
	sl.discard, sl.holder = why, 0
	if q.lead != nil {
		q.lead.dead++
		q.shard.dead = append(q.shard.dead, DeadLetter{q, seq, why, sl.raw})
	}
}
