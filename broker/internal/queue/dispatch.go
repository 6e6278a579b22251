package queue

// Delivery is one message for a consumer or a get.
type Delivery struct {
	Seq         uint64
	Redelivered bool
	Returns     uint32 // failed deliveries before, of a queue that counts them
	Acquired    uint32 // all deliveries before
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
	Load    []uint64 // chunks, by their base, to be read from disk
}

// Empty reports whether there is nothing to propose.
func (t *Todo) Empty() bool {
	return t.Mark == 0 && len(t.Settled) == 0 && len(t.Expired) == 0 && len(t.Dropped) == 0 && len(t.Load) == 0
}

// Dispatch gives ready messages to gets and consumers. now is in Unix milliseconds.
// On the leader only.
func (q *Queue) Dispatch(now int64, sink Sink) (todo Todo) {
	l := q.lead
	if l == nil || q.dropped || q.sealed || q.importing {
		return todo
	}
	l.serving = true
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
		if !q.deliverable(seq, sl, todo) {
			return false
		}
		l.served++
		c.served = l.served
		l.deliver(c, seq, sl, todo)
		d := q.delivery(seq, sl)
		q.delivered(seq, &d, now, c, false)
		sink.Deliver(q, c, d)
	}
	return true
}

// deliverable reports whether the message may go out at once, and asks for what it waits
// for: the mark, or the disk.
func (q *Queue) deliverable(seq uint64, sl *slot, todo *Todo) bool {
	if sl.raw == nil {
		q.want(seq, todo)
	}
	if seq > q.mark {
		q.wantMark(seq, todo)
	}
	return sl.raw != nil && seq <= q.mark
}

func (q *Queue) delivery(seq uint64, sl *slot) Delivery {
	d := Delivery{Seq: seq, Redelivered: sl.redelivered || sl.acquired > 0 || seq <= q.lead.fresh, Raw: sl.raw}
	if q.Config.Quorum {
		d.Returns, d.Acquired = sl.returns, sl.acquired
	}
	return d
}

// deliver hands the head to c.
func (l *lead) deliver(c *Consumer, seq uint64, sl *slot, todo *Todo) {
	l.passed(seq, sl)
	if c.NoAck {
		l.remove(sl)
		todo.Settled = append(todo.Settled, seq)
	} else {
		l.take(sl, c)
	}
	c.window++
	c.bytes += int64(sl.size)
}

// answer serves the gets; false if one must wait for a mark.
func (q *Queue) answer(now int64, sink Sink, todo *Todo) bool {
	l := q.lead
	for len(l.gets) > 0 {
		g := l.gets[0]
		seq, sl := q.headAlive(now, todo)
		if sl == nil {
			l.gets = l.gets[1:]
			l.stats.GetEmpty++
			sink.Answer(q, g, Delivery{}, 0, false)
			l.doneWith(g)
			continue
		}
		if !q.deliverable(seq, sl, todo) {
			return false
		}
		l.gets = l.gets[1:]
		l.deliver(g.Consumer, seq, sl, todo)
		g.Consumer.window, g.Consumer.bytes = 0, 0
		d := q.delivery(seq, sl)
		q.delivered(seq, &d, now, g.Consumer, true)
		sink.Answer(q, g, d, l.ready, true)
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
	if l.q.Config.SingleActive {
		if c := l.elect(); c != nil && c.hungry() {
			return c
		}
		return nil
	}
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
		seq, sl := q.lead.head(q)
		if sl == nil || sl.expires == 0 || sl.expires > now || sl.expires == atOnce && seq >= q.lead.seen {
			return seq, sl
		}
		q.lead.passed(seq, sl)
		q.lead.remove(sl)
		todo.Expired = append(todo.Expired, seq)
	}
}

// elect returns the consumer that is served if only one is at a time: it stays the one
// until it goes, but that in a quorum queue one of higher priority takes over as soon as
// it holds nothing. A new leader goes on with the one that does.
func (l *lead) elect() *Consumer {
	better := func(c, than *Consumer) bool {
		return than == nil || c.Priority > than.Priority
	}
	if l.active == nil {
		for _, c := range l.order {
			if c.held > 0 && (l.active == nil || l.active.held == 0) || l.active == nil || l.active.held == 0 && better(c, l.active) {
				l.active = c
			}
		}
		return l.active
	}
	if !l.q.Config.Quorum {
		return l.active
	}
	best := l.active
	for _, c := range l.order {
		if better(c, best) {
			best = c
		}
	}
	switch {
	case best == l.active:
	case l.active.held > 0:
		return nil // what it holds comes to its end first
	default:
		l.active = best
	}
	return l.active
}

// expire removes expired messages, wherever they are.
func (q *Queue) expire(now int64, todo *Todo) {
	l := q.lead
	for {
		d, sl := l.nextDue()
		if sl == nil || d.at > now || d.at == atOnce && d.seq >= l.seen {
			return
		}
		l.remove(sl)
		todo.Expired = append(todo.Expired, d.seq)
	}
}

// Use notes that the queue is in use: it does not expire for a while.
func (q *Queue) Use(now int64) {
	if q.lead != nil {
		q.lead.used = now
	}
}

// Unused reports whether the queue has not been in use for so long that it expires.
func (q *Queue) Unused(now int64) bool {
	at := q.endsAt(now)
	return at > 0 && now >= at
}

// endsAt returns when the queue expires if nobody uses it, 0 if it does not.
func (q *Queue) endsAt(now int64) int64 {
	l := q.lead
	if l == nil || q.Config.Expires < 0 {
		return 0
	}
	if l.used == 0 || len(l.order) > 0 {
		l.used = now
	}
	if len(l.order) > 0 {
		return 0
	}
	return l.used + q.Config.Expires
}

// Wake returns when the clock next has something to do in the queue, in Unix
// milliseconds; 0: never, as far as is known. On the leader only.
func (q *Queue) Wake(now int64) int64 {
	at := q.endsAt(now)
	if q.lead == nil {
		return at
	}
	if d, sl := q.lead.nextDue(); sl != nil && (at == 0 || d.at < at) {
		at = d.at
	}
	return at
}

// limit drops the oldest ready messages over the length limits.
func (q *Queue) limit(todo *Todo) {
	l, c := q.lead, &q.Config
	if c.Overflow != DropHead {
		return // what is too much does not come in
	}
	for l.ready > 0 && (c.MaxLength >= 0 && int64(l.ready) > c.MaxLength ||
		c.MaxLengthBytes >= 0 && l.readyBytes > c.MaxLengthBytes) {
		seq, sl := l.head(q)
		if sl == nil {
			return
		}
		l.passed(seq, sl)
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
	at := l.cursor
	if l.levels != nil {
		at = q.next // any of them may be next
	}
	if ahead := l.ahead(); l.marking < at+ahead/2 {
		l.marking = max(at, 1) + ahead
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
