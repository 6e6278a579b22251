package node

import (
	"strconv"
	"time"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// The broker's own spans: of messages that their publisher has sampled, and of nothing
// else. Without a tracer it costs a look at a nil pointer.

// TraceContext names a span.
type TraceContext struct {
	Trace [16]byte
	Span  [8]byte
}

// Tracer takes spans.
type Tracer interface {
	// Sampled returns the span that published a message, if that is sampled.
	Sampled(properties []byte) (TraceContext, bool)
	// Span takes a span that is over, below parent, and returns its name. It never blocks.
	Span(parent TraceContext, s *Span) TraceContext
}

// Span is something that happened to a message.
type Span struct {
	Name       string
	Start, End time.Time
	Exchange   string
	Key        string
	Queue      string
	Outcome    string // ack, requeue, rejected, expired, maxlen, delivery_limit…; "" for none
	Event      string // something that happened at Start; "" for nothing
	Attributes []Attribute
}

// Attribute is a value of a span: a string, an int64 or a bool.
type Attribute struct {
	Key   string
	Value any
}

// publishTrace follows a publish until all its queues have it.
type publishTrace struct {
	n      *Node
	parent TraceContext
	start  time.Time
	m      *message.Message
	queues []*metadata.Queue
	vhost  string
	// Under the fan's mutex, if there is one.
	lanes int
	nack  bool
}

// tracedPublish begins to follow a message, if its publisher has sampled it; else nil.
func (l *Link) tracedPublish(p *Publication) *publishTrace {
	parent, ok := l.n.cfg.Tracer.Sampled(p.Message.Properties)
	if !ok {
		return nil
	}
	qs := make([]*metadata.Queue, len(p.queues))
	copy(qs, p.queues)
	t := &publishTrace{n: l.n, parent: parent, start: l.n.now(), m: p.Message, queues: qs, vhost: l.vhost}
	if len(qs) == 0 {
		t.received("unroutable")
	}
	return t
}

// received tells of the whole publish, and of the way to each group of queues.
func (t *publishTrace) received(outcome string) {
	end := t.n.now()
	exchange := t.m.Exchange
	if exchange == "" {
		exchange = "amq.default"
	}
	ctx := t.n.cfg.Tracer.Span(t.parent, &Span{
		Name: exchange + " receive", Start: t.start, End: end, Exchange: exchange, Key: t.m.RoutingKey, Outcome: outcome,
		Attributes: []Attribute{
			{"messaging.message.body.size", int64(len(t.m.Body))}, {"warren.queues.matched", int64(len(t.queues))}, {"warren.vhost", t.vhost},
		},
	})
	for _, q := range t.queues {
		s := &Span{
			Name: q.Name + " store", Start: t.start, End: end, Exchange: exchange, Key: t.m.RoutingKey, Queue: q.Name,
			Attributes: []Attribute{{"warren.replicated", q.Replicated()}},
		}
		if q.Replicated() {
			status := t.n.traceGroup(q.Group)
			s.Attributes = append(s.Attributes, Attribute{"warren.placement_group", int64(q.Group)}, Attribute{"warren.leader", status.leader},
				Attribute{"warren.members", int64(status.members)})
		}
		sync := t.n.meters.sync.Snapshot()
		s.Attributes = append(s.Attributes, Attribute{"warren.sync.typical_us", int64(sync.Quantile(0.5))})
		t.n.cfg.Tracer.Span(ctx, s)
	}
}

type groupTrace struct {
	leader  string
	members int
}

// traceGroup tells who leads a group, and how many hold it.
func (n *Node) traceGroup(group uint64) (t groupTrace) {
	leader := n.leaderOf(group)
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	if m := n.topology.ByReplica(leader); m != nil {
		t.leader = m.Name
	}
	if g := n.topology.Groups[group]; g != nil {
		t.members = len(g.Members)
	}
	return t
}

// tracedMax bounds how many messages a group follows at once.
const tracedMax = 4096

// tracks follows the messages of one group, on its leader. The group's worker calls it.
type tracks struct {
	n        *Node
	of       map[deadKey]*track
	takeover bool // what arrives now was there before this node led
}

type track struct {
	parent    TraceContext
	since     time.Time // in the queue, or back in it
	delivered time.Time // zero: it waits
	event     string
	exchange  string
	key       string
	tag       string
	again     bool
}

var _ queue.Watcher = (*tracks)(nil)

// Arrived implements queue.Watcher.
func (t *tracks) Arrived(q *queue.Queue, seq uint64, raw []byte) {
	m, err := queue.ParseMessage(raw)
	if err != nil {
		return // it was checked when it came
	}
	parent, ok := t.n.cfg.Tracer.Sampled(m.Properties)
	if !ok || len(t.of) >= tracedMax {
		return
	}
	x := &track{parent: parent, since: t.n.now(), exchange: m.Exchange, key: m.RoutingKey}
	if t.takeover {
		x.event = "fail-over: node " + t.n.cfg.Name + " leads the queue now"
	}
	t.of[deadKey{q.ID, seq}] = x
}

// Delivered implements queue.Watcher.
func (t *tracks) Delivered(q *queue.Queue, seq uint64, c *queue.Consumer, redelivered bool) {
	x := t.of[deadKey{q.ID, seq}]
	if x == nil {
		return
	}
	now := t.n.now()
	x.delivered, x.tag, x.again = now, c.Tag, redelivered
	t.waited(q, x, now, "delivered")
	if c.NoAck {
		delete(t.of, deadKey{q.ID, seq})
	}
}

// waited tells for how long a message was in its queue.
func (t *tracks) waited(q *queue.Queue, x *track, end time.Time, outcome string) {
	ready, unacked, consumers := q.Counts()
	t.n.cfg.Tracer.Span(x.parent, &Span{
		Name: q.Config.Name + " wait", Start: x.since, End: end, Exchange: x.exchange, Key: x.key, Queue: q.Config.Name, Event: x.event, Outcome: outcome,
		Attributes: []Attribute{
			{"warren.redelivered", x.again}, {"warren.queue.ready", int64(ready)}, {"warren.queue.unacknowledged", int64(unacked)}, {"warren.queue.consumers", int64(consumers)},
			{"messaging.consumer.tag", x.tag},
		},
	})
	x.event = ""
}

// Returned implements queue.Watcher.
func (t *tracks) Returned(q *queue.Queue, seq uint64) {
	if x := t.of[deadKey{q.ID, seq}]; x != nil && !x.delivered.IsZero() {
		t.settled(q, x, "requeue")
		x.since, x.delivered = t.n.now(), time.Time{}
	}
}

// Ended implements queue.Watcher.
func (t *tracks) Ended(q *queue.Queue, seq uint64, why queue.Reason) {
	x := t.of[deadKey{q.ID, seq}]
	if x == nil {
		return
	}
	outcome := "ack"
	if why != 0 {
		outcome = why.String()
	}
	if x.delivered.IsZero() {
		t.waited(q, x, t.n.now(), outcome)
	} else {
		t.settled(q, x, outcome)
	}
	delete(t.of, deadKey{q.ID, seq})
}

// settled tells how a consumer ended what it held.
func (t *tracks) settled(q *queue.Queue, x *track, outcome string) {
	t.n.cfg.Tracer.Span(x.parent, &Span{
		Name: q.Config.Name + " settle", Start: x.delivered, End: t.n.now(), Exchange: x.exchange, Key: x.key, Queue: q.Config.Name, Outcome: outcome,
		Attributes: []Attribute{{"messaging.consumer.tag", x.tag}, {"warren.redelivered", x.again}},
	})
}

// resigned tells of what waits that another node leads its queue from now on.
func (t *tracks) resigned(shard *queue.Shard) {
	now := t.n.now()
	for k, x := range t.of {
		if q := shard.Queue(k.queue); q != nil && x.delivered.IsZero() {
			t.waited(q, x, now, "leader changed")
		}
	}
	clear(t.of)
}

// tracedBurial follows a dead letter to its exchange; nil if nobody wants to know.
func (n *Node) tracedBurial(d *queue.DeadLetter, done func(fate)) func(fate) {
	m, err := queue.ParseMessage(d.Raw)
	if err != nil || d.Queue.Config.Delay {
		return done
	}
	parent, ok := n.cfg.Tracer.Sampled(m.Properties)
	if !ok {
		return done
	}
	start, c := n.now(), d.Queue.Config
	return func(f fate) {
		n.cfg.Tracer.Span(parent, &Span{
			Name: c.Name + " dead-letter", Start: start, End: n.now(), Exchange: c.DeadLetterExchange, Key: c.DeadLetterKey, Queue: c.Name,
			Outcome: [...]string{"stored", "nowhere", "refused"}[f], Attributes: []Attribute{{"warren.dead_letter.reason", d.Why.String()}, {"warren.dead_letter.exchange", strconv.Quote(c.DeadLetterExchange)}},
		})
		done(f)
	}
}

// finished notes that one lane has the message; the last of them tells.
func (t *publishTrace) finished(f *fan, nack bool) {
	if f != nil {
		f.mu.Lock()
		t.lanes++
		last := t.lanes == f.lanes
		t.nack = t.nack || nack
		f.mu.Unlock()
		if !last {
			return
		}
	} else {
		t.nack = nack
	}
	outcome := "stored"
	if t.nack {
		outcome = "refused"
	}
	t.received(outcome)
}
