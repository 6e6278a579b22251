package node

import (
	"slices"
	"time"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// burial is a discarded message on its way to a dead-letter exchange.
type burial struct {
	queue.DeadLetter
	again time.Time // when to try again; zero while it is on its way
}

// fate is what became of a burial.
type fate uint8

const (
	stored  fate = iota // all copies are
	nowhere             // there is no exchange, or no queue behind it
	refused             // a queue is full, or gone with its node
)

// buryRetry is after what time a message is tried again that must not be dropped.
const buryRetry = time.Second

// burialsMax is how many messages of a group are on their way at once.
const burialsMax = 1024

// buryDead publishes discarded messages to their dead-letter exchanges. A message
// stays in its queue until the copies are confirmed: a leader that dies in between
// loses nothing.
func (m *shardMachine) buryDead() {
	m.toBury = append(m.toBury, m.shard.DeadLetters()...)
	for len(m.toBury) > 0 && len(m.dying) < burialsMax {
		d := m.toBury[0]
		key := deadKey{d.Queue.ID, d.Seq}
		if m.dying[key] == nil && d.Queue.Dead(d.Seq) {
			if d.Raw = d.Queue.Raw(d.Seq); d.Raw == nil {
				if d.Queue.Want(d.Seq) {
					m.load(d.Queue, []uint64{queue.Base(d.Seq)})
				}
				return
			}
			m.bury(key, &burial{DeadLetter: d})
		}
		m.toBury = m.toBury[1:]
	}
	if len(m.toBury) == 0 {
		m.toBury = nil
	}
}

func (m *shardMachine) bury(key deadKey, b *burial) {
	b.again = time.Time{}
	m.dying[key] = b
	done := func(f fate) { m.n.host.Post(m.g.ID, buriedEvent{key, f}) }
	if m.n.cfg.Tracer != nil {
		done = m.n.tracedBurial(&b.DeadLetter, done)
	}
	if !m.n.bury(b.DeadLetter, done) {
		done(nowhere)
	}
}

// buried ends a burial: the message may go, unless its queue keeps what found no place.
func (m *shardMachine) buried(e buriedEvent) {
	b, q := m.dying[e.key], m.shard.Queue(e.key.queue)
	if b == nil || q == nil {
		delete(m.dying, e.key)
		return
	}
	if e.fate == stored && !q.Config.Delay {
		m.n.meters.dead[b.Why-1].Add(1)
	}
	keeps := q.Config.AtLeastOnce && (e.fate == refused || e.fate == nowhere && !q.Config.Delay)
	if keeps {
		b.again = m.n.now().Add(buryRetry)
		return
	}
	delete(m.dying, e.key)
	m.own = queue.AppendSettle(m.own, q.ID, []queue.Range{{From: e.key.seq, To: e.key.seq}})
}

// buryAgain tries those again whose time has come.
func (m *shardMachine) buryAgain(now time.Time) {
	for key, b := range m.dying {
		if !b.again.IsZero() && now.After(b.again) {
			m.bury(key, b)
		}
	}
}

// bury routes one dead letter; false if it goes nowhere. done is called once it is known
// what became of all copies.
func (n *Node) bury(d queue.DeadLetter, done func(fate)) bool {
	c := &d.Queue.Config
	m, cyclic, err := successor(d, n.now().Unix())
	if err != nil {
		n.cfg.Logger.Error("dead letter dropped", "queue", c.Name, "seq", d.Seq, "error", err)
		return false
	}
	ttl, err := expiration(m)
	if err != nil {
		ttl = -1 // it was checked when the message came
	}
	qs, err := n.routeMessage(c.VHost, m, nil)
	if err != nil {
		return false // no such exchange
	}
	qs = slices.DeleteFunc(qs, func(q *metadata.Queue) bool {
		if cyclic != nil && cyclic(q.Name) {
			n.cfg.Logger.Warn("dead letter dropped: it goes round without being rejected",
				"vhost", c.VHost, "queue", c.Name, "back_to", q.Name)
			return true
		}
		return false
	})
	sent := n.send(qs, nil, m, ttl, func(lanes int) laneCommand {
		f := &fan{left: lanes}
		return laneCommand{done: func(lost bool) {
			if last, nack := f.finished(lost); last && nack {
				done(refused)
			} else if last {
				done(stored)
			}
		}}
	})
	return len(sent) > 0
}

// successor makes the message that takes the place of a discarded one. cyclic tells the
// queues that it must not come back to; nil if there is none.
func successor(d queue.DeadLetter, now int64) (m *message.Message, cyclic func(queue string) bool, err error) {
	original, err := queue.ParseMessage(d.Raw)
	if err != nil {
		return nil, nil, err
	}
	if d.Queue.Config.Delay {
		m, err = overdue(original)
		return m, nil, err
	}
	m, history, err := deadLetter(original, &d.Queue.Config, d.Why, now)
	return m, func(name string) bool { return cycles(history, name) }, err
}

// overdue makes the message that an exchange hands on when its delay is over: the header
// is negated, so no exchange delays it again.
func overdue(m *message.Message) (*message.Message, error) {
	p, err := message.ParseProperties(m.Properties)
	if err != nil {
		return nil, err
	}
	v, _ := p.Headers.Get(message.DelayHeader)
	ms, _ := message.Integer(v)
	negated := any(-ms)
	switch v.(type) { // the type that the client used, where it can hold it
	case int8:
		negated = int8(-ms)
	case int16:
		negated = int16(-ms)
	case int32:
		negated = int32(-ms)
	}
	p.Headers = p.Headers.Set(message.DelayHeader, negated)
	due := *m
	due.Properties = p.Append(nil)
	return &due, nil
}

// deathHeaders are the headers that tell of a message's deaths.
var deathHeaders = [...]string{
	"x-death", "x-first-death-queue", "x-first-death-reason", "x-first-death-exchange",
	"x-last-death-queue", "x-last-death-reason", "x-last-death-exchange",
}

// deadLetter makes the message that goes to the dead-letter exchange, with its
// history in header x-death: one entry for each queue and reason, the latest first.
func deadLetter(m *message.Message, c *queue.Config, why queue.Reason, now int64) (*message.Message, message.Table, error) {
	p, err := message.ParseProperties(m.Properties)
	if err != nil {
		return nil, nil, err
	}
	keys := []any{m.RoutingKey}
	if cc, ok := p.Headers.Get("CC"); ok {
		if list, isList := cc.([]any); isList {
			keys = append(keys, list...)
		}
	}
	entry := message.Table{}
	if p.Has(message.HasExpiration) {
		entry = entry.Set("original-expiration", p.Expiration)
		p.Flags &^= message.HasExpiration
		p.Expiration = ""
	}
	entry = entry.Set("count", int64(1)).Set("reason", why.String()).Set("queue", c.Name).
		Set("time", message.Timestamp(now)).Set("exchange", m.Exchange).Set("routing-keys", keys)
	if !m.Died { // a client's own account is not believed
		for _, h := range deathHeaders {
			p.Headers = p.Headers.Without(h)
		}
	}
	deaths, _ := p.Headers.Get("x-death")
	list, _ := deaths.([]any)
	list = remember(list, entry, c.Name, why.String())
	h := p.Headers.Set("x-death", list)
	for _, w := range [...]string{"first", "last"} {
		if _, ok := h.Get("x-first-death-queue"); ok && w == "first" {
			continue
		}
		h = h.Set("x-"+w+"-death-exchange", m.Exchange).Set("x-"+w+"-death-queue", c.Name).Set("x-"+w+"-death-reason", why.String())
	}
	key := m.RoutingKey
	if c.DeadLetterKeySet {
		key, h = c.DeadLetterKey, h.Without("CC").Without("BCC") // else they still say where it goes
	}
	p.Headers = h
	p.Flags |= message.HasHeaders
	history := message.Table{{Key: "x-death", Value: list}}
	return &message.Message{
		Exchange: c.DeadLetterExchange, RoutingKey: key, Properties: p.Append(nil), Body: m.Body, Died: true,
	}, history, nil
}

// remember puts a death in front of the list, or counts it there if the queue and the
// reason have been seen.
func remember(list []any, entry message.Table, queueName, why string) []any {
	for i, v := range list {
		t, ok := v.(message.Table)
		if !ok {
			continue
		}
		q, _ := t.Get("queue")
		r, _ := t.Get("reason")
		if q != queueName || r != why {
			continue
		}
		count, _ := t.Get("count")
		n, _ := metadata.Integer(count)
		rest := slices.Concat(list[:i], list[i+1:])
		return append([]any{t.Set("count", n+1)}, rest...)
	}
	return append([]any{entry}, list...)
}

// cycles reports whether a message that comes back to a queue went round without any
// client rejecting it: then it would go round for ever.
func cycles(history message.Table, queueName string) bool {
	deaths, _ := history.Get("x-death")
	list, _ := deaths.([]any)
	for _, v := range list {
		t, ok := v.(message.Table)
		if !ok {
			return false
		}
		if r, _ := t.Get("reason"); r == queue.Rejected.String() {
			return false
		}
		if q, _ := t.Get("queue"); q == queueName {
			return true
		}
	}
	return false
}
