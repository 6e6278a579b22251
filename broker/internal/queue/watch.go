package queue

// Watcher is told, on the leader, what becomes of messages. It must not change anything.
type Watcher interface {
	// Arrived tells of a message that is in its queue, or that a new leader has found
	// there.
	Arrived(q *Queue, seq uint64, raw []byte)
	// Delivered tells that a consumer, or a get, gets the message.
	Delivered(q *Queue, seq uint64, c *Consumer, redelivered bool)
	// Returned tells that it is back in its place.
	Returned(q *Queue, seq uint64)
	// Ended tells that it was acknowledged, with reason 0, or removed for a reason.
	Ended(q *Queue, seq uint64, why Reason)
}

// Watch sets who is told; nil: nobody, which costs nothing.
func (s *Shard) Watch(w Watcher) { s.watcher = w }

// watchAll tells of what a new leader has found in memory.
func (q *Queue) watchAll() {
	q.slots.eachHot(func(seq uint64, sl *slot) {
		if sl.discard == 0 && sl.raw != nil {
			q.shard.watcher.Arrived(q, seq, sl.raw)
		}
	})
}
