package node

import (
	"slices"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// buryDead publishes discarded messages to their dead-letter exchanges. A message
// stays in its queue until the copies are confirmed: a leader that dies in between
// loses nothing.
func (m *shardMachine) buryDead() {
	for _, d := range m.shard.DeadLetters() {
		key := deadKey{d.Queue.ID, d.Seq}
		if m.dying[key] {
			continue
		}
		m.dying[key] = true
		done := func(lost bool) { m.n.host.Post(m.g.ID, buriedEvent{key, lost}) }
		if !m.n.bury(d, done) {
			done(false)
		}
	}
}

// bury routes one dead letter; false if it goes nowhere. done is called once all
// copies are stored.
func (n *Node) bury(d queue.DeadLetter, done func(lost bool)) bool {
	original, err := queue.ParseMessage(d.Raw)
	if err != nil {
		n.cfg.Logger.Error("dead letter dropped", "queue", d.Queue.Config.Name, "seq", d.Seq, "error", err)
		return false
	}
	m, history, err := deadLetter(original, &d.Queue.Config, d.Why, n.now().Unix())
	if err != nil {
		n.cfg.Logger.Error("dead letter dropped", "queue", d.Queue.Config.Name, "seq", d.Seq, "error", err)
		return false
	}
	qs, err := n.routeMessage(d.Queue.Config.VHost, m, nil)
	if err != nil {
		return false // no such exchange: dropped, as documented
	}
	qs = slices.DeleteFunc(qs, func(q *metadata.Queue) bool { return cycles(history, q.Name) })
	targets := n.targets(qs, nil)
	if len(targets) == 0 {
		return false
	}
	f := &fan{left: len(targets)}
	n.enqueue(targets, m, -1, laneCommand{done: func(lost bool) {
		if last, nack := f.finished(lost); last {
			done(nack)
		}
	}})
	return true
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
	deaths, _ := p.Headers.Get("x-death")
	list, _ := deaths.([]any)
	list = remember(list, entry, c.Name, why.String())
	h := p.Headers.Without("BCC").Set("x-death", list)
	for _, w := range [...]string{"first", "last"} {
		if _, ok := h.Get("x-first-death-queue"); ok && w == "first" {
			continue
		}
		h = h.Set("x-"+w+"-death-queue", c.Name).Set("x-"+w+"-death-reason", why.String()).Set("x-"+w+"-death-exchange", m.Exchange)
	}
	key := m.RoutingKey
	if c.DeadLetterKeySet {
		key, h = c.DeadLetterKey, h.Without("CC")
	}
	p.Headers = h
	p.Flags |= message.HasHeaders
	history := message.Table{{Key: "x-death", Value: list}}
	return &message.Message{
		Exchange: c.DeadLetterExchange, RoutingKey: key, Properties: p.Append(nil), Body: m.Body,
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
