package node

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Consumer is one subscription of a link, or the handle of its gets from a queue.
type Consumer struct {
	Channel uint16
	Tag     string
	Queue   string
	NoAck   bool

	link     *Link
	internal bool                 // for answers: no permission is needed
	gate     atomic.Pointer[gate] // changes when the queue moves
	queueID  uint64
	spec     consumerSpec
	args     message.Table
	timeout  ackTimeout
	over     bool // under gate.mu: no delivery can come any more

	mu   sync.Mutex
	held map[uint64]struct{} // not settled, or not known to be
}

// deliver takes deliveries from the group's leader. Those of an older epoch are
// dropped: the leader was told since that they are not held here.
func (g *gate) deliver(epoch uint32, consumer uint64, ds []queue.Delivery) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.consumers[consumer]
	if epoch != g.epoch || c == nil || c.spec.Ended {
		g.refuseLocked(c, ds)
		return
	}
	batch := make([]Delivery, 0, len(ds))
	traced := c.link.traces()
	for _, d := range ds {
		md, err := fromQueue(d)
		if err != nil {
			g.n.cfg.Logger.Error("delivery dropped", "queue", c.Queue, "seq", d.Seq, "error", err)
			continue
		}
		c.hold(d.Seq)
		if traced {
			c.link.traceOut(c, &md)
		}
		batch = append(batch, md)
	}
	c.link.session.Deliver(c, batch)
}

// hold notes a delivery that must be settled.
func (c *Consumer) hold(seq uint64) {
	if !c.NoAck {
		c.mu.Lock()
		c.held[seq] = struct{}{}
		c.mu.Unlock()
	}
}

// settledNow notes that deliveries are settled for certain.
func (c *Consumer) settledNow(seqs []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range seqs {
		delete(c.held, s)
	}
}

// holds returns what is not settled, sorted.
func (c *Consumer) holds() []uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.held))
}

// refuseLocked gives back what came for a consumer that takes nothing any more. What
// an older epoch brought the leader knows to be free already.
func (g *gate) refuseLocked(c *Consumer, ds []queue.Delivery) {
	if c == nil || c.NoAck || !c.spec.Ended {
		return
	}
	seqs := make([]uint64, 0, len(ds))
	for _, d := range ds {
		seqs = append(seqs, d.Seq)
	}
	bytes := queue.AppendReturn(nil, c.queueID, false, queue.Ranges(seqs))
	g.waiting = append(g.waiting, laneCommand{bytes: bytes})
	g.sendLocked()
}

// Consume subscribes. Session.Deliver may be called before it returns.
func (l *Link) Consume(ctx context.Context, s ConsumeSpec) (*Consumer, error) {
	if !s.Internal {
		if err := l.may(read, aQueue, s.Queue); err != nil {
			return nil, err
		}
	}
	q, err := l.ownQueue(s.Queue)
	if err != nil {
		return nil, err
	}
	g, err := l.n.gateOf(q)
	if err != nil {
		return nil, err
	}
	if s.Shared && q.Type() == metadata.Quorum {
		return nil, fault.New(fault.NotImplemented, "queue '%s' in vhost '%s' does not support global qos", q.Name, q.VHost)
	}
	spec := consumerSpec{
		ID: l.n.consumerID.Add(1), Tag: s.Tag, Prefetch: s.Prefetch, NoAck: s.NoAck, Exclusive: s.Exclusive,
		Since: l.n.now().UnixNano(),
	}
	if f := metadata.CheckConsume(q, s.Args); f != nil {
		return nil, f
	}
	if v, ok := s.Args.Get("x-priority"); ok {
		p, _ := metadata.Integer(v)
		spec.Priority = int32(max(math.MinInt32, min(p, math.MaxInt32)))
	}
	timeout, err := newTimeout(s.Args)
	if err != nil {
		return nil, err
	}
	c := &Consumer{
		timeout: timeout, args: s.Args,
		Channel: s.Channel, Tag: s.Tag, Queue: s.Queue, NoAck: s.NoAck,
		link: l, internal: s.Internal, queueID: q.ID, spec: spec, held: map[uint64]struct{}{},
	}
	c.gate.Store(g)
	g.mu.Lock()
	g.consumers[spec.ID] = c
	g.mu.Unlock()
	if _, err := l.n.ask(ctx, g, request{Queue: q.ID, Op: opConsume, Spec: spec}); err != nil {
		c.end(opDown)
		return nil, err
	}
	l.mu.Lock()
	l.consumers[c] = struct{}{}
	l.mu.Unlock()
	l.n.emit("consumer.created", field("consumer_tag", s.Tag), field("queue", s.Queue), field("vhost", l.vhost), field("connection", l.info.Name),
		field("channel", int32(s.Channel)), field("ack_required", !s.NoAck), field("exclusive", s.Exclusive), field("prefetch_count", int32(s.Prefetch)), field("arguments", s.Args))
	return c, nil
}

// Limit changes a subscription's prefetch count; 0 means unlimited.
func (l *Link) Limit(c *Consumer, prefetch uint16) {
	g := c.gate.Load()
	g.mu.Lock()
	c.spec.Prefetch = prefetch
	spec := c.spec
	g.mu.Unlock()
	l.n.tell(g, request{Queue: c.queueID, Op: opLimit, Spec: spec})
}

// Cancel ends a subscription. What it holds can still be settled.
func (l *Link) Cancel(ctx context.Context, c *Consumer) error {
	l.n.emit("consumer.deleted", field("consumer_tag", c.Tag), field("queue", c.Queue), field("vhost", l.vhost), field("connection", l.info.Name))
	g := c.gate.Load()
	g.mu.Lock()
	c.spec.Ended = true
	g.mu.Unlock()
	a, err := l.n.ask(ctx, g, request{Queue: c.queueID, Op: opCancel, Spec: c.spec})
	// Deliveries that were on their way came before the answer, and went back. Only now
	// none can come that this node would have to give back.
	g.mu.Lock()
	c.over = true
	g.forgetLocked(c)
	g.mu.Unlock()
	if err == nil && a.Deleted { // the client may count on it
		_, err = l.n.propose(ctx, &metadata.Command{QueueDelete: &metadata.QueueDelete{ID: c.queueID}})
	}
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil // the queue went first
	}
	return err
}

// forgetLocked forgets a consumer that takes nothing any more and holds nothing.
func (g *gate) forgetLocked(c *Consumer) {
	if c.over && len(c.holds()) == 0 {
		delete(g.consumers, c.spec.ID)
	}
}

// end ends the consumer for good, as op says, without waiting.
func (c *Consumer) end(op requestOp) {
	g := c.gate.Load()
	g.mu.Lock()
	c.spec.Ended = true
	delete(g.consumers, c.spec.ID)
	g.mu.Unlock()
	c.link.n.tell(g, request{Queue: c.queueID, Op: op, Spec: c.spec})
}

// endNow ends the consumer for good, and waits until all that was settled before is, and
// until its queue is gone if it goes with its last consumer.
func (c *Consumer) endNow(ctx context.Context) {
	n, g := c.link.n, c.gate.Load()
	g.mu.Lock()
	c.spec.Ended = true
	delete(g.consumers, c.spec.ID)
	g.mu.Unlock()
	a, err := n.ask(ctx, g, request{Queue: c.queueID, Op: opDown, Spec: c.spec})
	if err == nil && a.Deleted {
		_, err = n.propose(ctx, &metadata.Command{QueueDelete: &metadata.QueueDelete{ID: c.queueID}})
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		n.cfg.Logger.Warn("consumer not ended yet", "queue", c.Queue, "error", err)
	}
}

// autoDeletes says if a queue goes with its last consumer.
func (n *Node) autoDeletes(id uint64) bool {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	q := n.topology.QueueByID(id)
	return q != nil && q.AutoDelete
}

// Get takes one message from a queue; ok is false if none is ready. c is what the
// delivery is settled with.
func (l *Link) Get(ctx context.Context, queueName string, noAck bool) (c *Consumer, d Delivery, remaining uint32, ok bool, err error) {
	if err := l.may(read, aQueue, queueName); err != nil {
		return nil, d, 0, false, err
	}
	q, err := l.ownQueue(queueName)
	if err != nil {
		return nil, d, 0, false, err
	}
	g, err := l.n.gateOf(q)
	if err != nil {
		return nil, d, 0, false, err
	}
	spec := consumerSpec{ID: l.n.consumerID.Add(1), NoAck: noAck, Ended: true}
	c = &Consumer{timeout: ackTimeout{own: -1}, Queue: queueName, NoAck: noAck, link: l, queueID: q.ID, spec: spec, held: map[uint64]struct{}{}, over: true}
	c.gate.Store(g)
	a, err := l.n.ask(ctx, g, request{Queue: q.ID, Op: opGet, Spec: spec})
	if err != nil || !a.Found {
		return nil, d, 0, false, err
	}
	if d, err = fromQueue(a.Delivery); err != nil {
		return nil, d, 0, false, fault.New(fault.Internal, "queue '%s': message %d: %v", queueName, a.Delivery.Seq, err)
	}
	if l.traces() {
		l.traceOut(c, &d)
	}
	if !noAck {
		c.hold(d.Seq)
		g.mu.Lock()
		g.consumers[spec.ID] = c
		g.mu.Unlock()
		l.mu.Lock()
		l.consumers[c] = struct{}{}
		l.mu.Unlock()
	}
	return c, d, uint32(a.Remaining), true, nil
}

// Settle says what became of deliveries. It never blocks.
func (l *Link) Settle(c *Consumer, seqs []uint64, how Outcome) {
	if c.NoAck || len(seqs) == 0 {
		return
	}
	seqs = slices.Clone(seqs)
	rs := queue.Ranges(seqs)
	var b []byte
	switch how {
	case Ack:
		b = queue.AppendSettle(nil, c.queueID, rs)
	case Requeue:
		b = queue.AppendReturn(nil, c.queueID, false, rs)
	case Failed:
		b = queue.AppendReturn(nil, c.queueID, true, rs)
	case Discard:
		b = queue.AppendDiscard(nil, c.queueID, queue.Rejected, rs)
	}
	l.bytes.Add(int64(len(b)))
	c.gate.Load().add(laneCommand{bytes: b, link: l, settled: c, seqs: seqs})
}

// Credit says that n deliveries of c, with bodies of that many bytes, reached the socket.
func (l *Link) Credit(c *Consumer, n int, bytes int64) {
	g := c.gate.Load()
	g.mu.Lock()
	leader := g.leader
	g.mu.Unlock()
	if leader == l.n.id.Replica {
		l.n.host.Post(g.group, creditEvent{c.queueID, queue.ConsumerKey{Origin: l.n.origin(), ID: c.spec.ID}, n, bytes})
		return
	}
	l.n.transport.Send(leader, kindCredit, u64s(nil, g.group, l.n.id.Incarnation, c.queueID, c.spec.ID, uint64(n), uint64(bytes)))
}

// queueGone tells the consumers of a deleted queue.
func (n *Node) queueGone(q *metadata.Queue) {
	for _, g := range n.allGates() {
		var gone []*Consumer
		g.mu.Lock()
		for id, c := range g.consumers {
			if c.queueID == q.ID {
				delete(g.consumers, id)
				if !c.spec.Ended {
					gone = append(gone, c)
				}
				c.spec.Ended = true
			}
		}
		g.mu.Unlock()
		for _, c := range gone {
			c.link.forget(c)
			c.link.session.ConsumerCancelled(c)
		}
	}
}
