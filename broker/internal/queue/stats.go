package queue

// Stats counts what happened in a queue since its leader began to lead.
type Stats struct {
	Published, Acked               uint64
	Delivered, DeliveredNoAck      uint64
	Got, GotNoAck, GetEmpty        uint64
	Redelivered                    uint64 // of those
	Rejected, Expired, Over, Limit uint64 // removed without an acknowledgement, by why
}

// waitsEvery is how often a message is followed on its way through the queue, waitsMax
// how many are at once.
const (
	waitsEvery = 16
	waitsMax   = 32
)

// waits follows a few messages, to tell how long they wait. Of a backlog those at its
// end come to their turn late: what is told are the waits of those delivered now.
type waits struct {
	followed []followed // by rising number
	last     uint64     // the last one followed
}

type followed struct {
	seq uint64
	at  int64 // Unix milliseconds
}

func (w *waits) arrived(seq uint64, now int64) {
	if len(w.followed) < waitsMax && (len(w.followed) == 0 || seq >= w.last+waitsEvery) {
		w.followed = append(w.followed, followed{seq, now})
		w.last = seq
	}
}

// left returns how long the message has waited in milliseconds, if it is followed.
func (w *waits) left(seq uint64, now int64) (ms int64, known bool) {
	for len(w.followed) > 0 && w.followed[0].seq <= seq {
		f := w.followed[0]
		w.followed = append(w.followed[:0], w.followed[1:]...)
		if f.seq == seq {
			return max(now-f.at, 0), true
		}
	}
	return 0, false
}

// Stats returns the queue's counters; all are 0 but on the leader.
func (q *Queue) Stats() Stats {
	if q.lead == nil {
		return Stats{}
	}
	return q.lead.stats
}

// ReadyBytes returns the bytes of the bodies of the messages that are ready. On the leader.
func (q *Queue) ReadyBytes() int64 {
	if q.lead == nil {
		return q.slots.bytes
	}
	return q.lead.readyBytes
}

// Active returns the one consumer that is served, if only one is at a time; nil: none, or
// all are.
func (q *Queue) Active() *Consumer {
	if q.lead == nil {
		return nil
	}
	return q.lead.active
}

// Waits returns how long messages waited for their delivery, in milliseconds: of some
// that were delivered since the last call. On the leader.
func (s *Shard) Waits() []int64 {
	w := s.waited
	s.waited = s.waited[:0]
	return w
}

// delivered counts a delivery to a consumer or a get.
func (q *Queue) delivered(seq uint64, d *Delivery, now int64, c *Consumer, get bool) {
	if w := q.shard.watcher; w != nil {
		w.Delivered(q, seq, c, d.Redelivered)
	}
	noAck, s := c.NoAck, &q.lead.stats
	switch {
	case get && noAck:
		s.GotNoAck++
	case get:
		s.Got++
	case noAck:
		s.DeliveredNoAck++
	default:
		s.Delivered++
	}
	if d.Redelivered {
		s.Redelivered++
		return // it has waited before
	}
	if ms, known := q.lead.waits.left(seq, now); known && len(q.shard.waited) < waitsMax {
		q.shard.waited = append(q.shard.waited, ms)
	}
}

// removed counts a message that ends without an acknowledgement.
func (l *lead) removed(why Reason) {
	switch why {
	case Rejected:
		l.stats.Rejected++
	case Expired:
		l.stats.Expired++
	case MaxLen:
		l.stats.Over++
	case DeliveryLimit:
		l.stats.Limit++
	}
}
