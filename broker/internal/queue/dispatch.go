package queue

// Delivery is one message for a consumer or a get.
type Delivery struct {
	Seq         uint64
	Redelivered bool
	Returns     uint32 // failed deliveries before
	Raw         []byte // the message; ParseMessage reads it
}

// Sink takes what Dispatch decides.
type Sink interface {
	Deliver(q *Queue, c *Consumer, d Delivery)
	// Answer ends a get: nothing was ready if ok is false. remaining is what is ready
	// besides.
	Answer(q *Queue, g *Get, d Delivery, remaining int, ok bool)
}

// Todo is what the leader must propose after a Dispatch.
type Todo struct {
	Mark    uint64   // if not 0
	Settled []uint64 // delivered to consumers that do not settle
	Expired []uint64
	Dropped []uint64 // over the length limit
}

// Empty reports whether there is nothing to propose.
func (t *Todo) Empty() bool {
	return t.Mark == 0 && len(t.Settled) == 0 && len(t.Expired) == 0 && len(t.Dropped) == 0
}

// Dispatch gives ready messages to gets and consumers. now is in Unix milliseconds.
// On the leader only.
func (q *Queue) Dispatch(now int64, sink Sink) (todo Todo) {
	l := q.lead
	if l == nil || q.dropped || q.sealed || q.importing {
		return todo
	}
	q.expire(now, &todo)
	if !q.answer(now, sink, &todo) || !q.serve(now, sink, &todo) {
		return todo
	}
	l.seen = q.next
	q.expire(now, &todo)
	q.limit(&todo)
	q.markAhead(&todo)
	return todo
}

// serve gives ready messages to consumers; false if one must wait for a mark.
func (q *Queue) serve(now int64, sink Sink, todo *Todo) bool {
	l := q.lead
	for l.ready > 0 {
		c := l.next()
		if c == nil {
			break
		}
		seq, sl := q.headAlive(now, todo)
		if sl == nil {
			break
		}
		if seq > q.mark {
			q.wantMark(seq, todo)
			return false
		}
		l.served++
		c.served = l.served
		l.deliver(c, seq, sl, todo)
		sink.Deliver(q, c, q.delivery(seq, sl))
	}
	return true
}

func (q *Queue) delivery(seq uint64, sl *slot) Delivery {
	return Delivery{Seq: seq, Redelivered: sl.redelivered || sl.returns > 0 || seq <= q.lead.fresh, Returns: sl.returns, Raw: sl.raw}
}

// deliver hands the head to c.
func (l *lead) deliver(c *Consumer, seq uint64, sl *slot, todo *Todo) {
	l.passed(seq)
	if c.NoAck {
		l.remove(sl)
		todo.Settled = append(todo.Settled, seq)
	} else {
		l.take(sl, c)
	}
	c.window++
}

// answer serves the gets; false if one must wait for a mark.
func (q *Queue) answer(now int64, sink Sink, todo *Todo) bool {
	l := q.lead
	for len(l.gets) > 0 {
		g := l.gets[0]
		seq, sl := q.headAlive(now, todo)
		if sl == nil {
			l.gets = l.gets[1:]
			sink.Answer(q, g, Delivery{}, 0, false)
			l.doneWith(g)
			continue
		}
		if seq > q.mark {
			q.wantMark(seq, todo)
			return false
		}
		l.gets = l.gets[1:]
		l.deliver(g.Consumer, seq, sl, todo)
		g.Consumer.window--
		sink.Answer(q, g, q.delivery(seq, sl), l.ready, true)
		l.doneWith(g)
	}
	return true
}

// doneWith lets the consumer behind a get go once it holds nothing.
func (l *lead) doneWith(g *Get) {
	g.Consumer.cancelled = true
	l.release(g.Consumer)
}

// next returns whose turn it is: of the hungry of highest priority, who was served
// longest ago.
func (l *lead) next() *Consumer {
	var best *Consumer
	for _, c := range l.order {
		if c.hungry() && (best == nil || c.Priority > best.Priority ||
			c.Priority == best.Priority && c.served < best.served) {
			best = c
		}
	}
	return best
}

// headAlive returns the first ready message that has not expired.
func (q *Queue) headAlive(now int64, todo *Todo) (uint64, *slot) {
	for {
		seq, sl := q.lead.head()
		if sl == nil || sl.expires == 0 || sl.expires > now || sl.expires == atOnce && seq >= q.lead.seen {
			return seq, sl
		}
		q.lead.passed(seq)
		q.lead.remove(sl)
		todo.Expired = append(todo.Expired, seq)
	}
}

// expire removes expired messages from the head.
func (q *Queue) expire(now int64, todo *Todo) {
	if q.lead.expiring > 0 {
		q.headAlive(now, todo)
	}
}

// Expiring reports whether the queue holds messages with a time to live.
func (q *Queue) Expiring() bool { return q.lead != nil && q.lead.expiring > 0 }

// limit drops the oldest ready messages over the length limits.
func (q *Queue) limit(todo *Todo) {
	l, c := q.lead, &q.Config
	for l.ready > 0 && (c.MaxLength >= 0 && int64(l.ready) > c.MaxLength ||
		c.MaxLengthBytes >= 0 && l.readyBytes > c.MaxLengthBytes) {
		seq, sl := l.head()
		if sl == nil {
			return
		}
		l.passed(seq)
		l.remove(sl)
		todo.Dropped = append(todo.Dropped, seq)
	}
}

// wantMark asks for a mark that covers seq and what may follow soon.
func (q *Queue) wantMark(seq uint64, todo *Todo) {
	if q.lead.marking < seq {
		q.lead.marking = seq + q.lead.ahead()
		todo.Mark = q.lead.marking
	}
}

// markAhead renews the mark in time, so that a delivery seldom waits for one.
func (q *Queue) markAhead(todo *Todo) {
	l := q.lead
	if len(l.order) == 0 {
		return
	}
	if ahead := l.ahead(); l.marking < l.cursor+ahead/2 {
		l.marking = max(l.cursor, 1) + ahead
		todo.Mark = l.marking
	}
}

// ahead is how many deliveries the consumers would take soon, within bounds.
func (l *lead) ahead() uint64 {
	n := uint64(0)
	for _, c := range l.order {
		if c.NoAck || c.Prefetch == 0 {
			return markAheadMax
		}
		n += uint64(c.Prefetch)
	}
	return min(n, markAheadMax)
}
