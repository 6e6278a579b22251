package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// fakeBroker is a broker in memory, as far as the front end can tell: exchanges, queues,
// prefetch, requeue. It calls sessions from within its own calls.
type fakeBroker struct {
	mu        sync.Mutex
	exchanges map[string]routing.Matcher
	queues    map[string]*fakeQueue
	ids       []string // destination ids of bindings
	links     []*fakeLink
	password  string
	vhosts    []string
	names     int
	// For Reauthorize.
	unreadable []string // queues
	refused    error

	// Hooks of single tests; nil for none.
	onPublish func(l *fakeLink, channel uint16, number uint64, m *message.Message) (routed bool, err error)
	onGet     func() error
	onReady   func() bool
	onWait    func(ctx context.Context) error
	onDeclare func(ctx context.Context) error
	onConnect func(ctx context.Context) error

	settles int // calls
	credits map[string]int
	closes  int
}

type fakeQueue struct {
	name      string
	seq       uint64
	ready     []node.Delivery
	consumers []*fakeConsumer
	next      int
}

type fakeConsumer struct {
	handle   *node.Consumer
	link     *fakeLink
	queue    *fakeQueue
	prefetch int
	unacked  map[uint64]node.Delivery
}

type fakeLink struct {
	b         *fakeBroker
	s         node.Session
	info      node.ClientInfo
	consumers map[*node.Consumer]*fakeConsumer
}

func newFake() *fakeBroker {
	b := &fakeBroker{
		exchanges: map[string]routing.Matcher{}, queues: map[string]*fakeQueue{},
		password: "guest", vhosts: []string{"/"}, credits: map[string]int{},
	}
	for _, x := range []string{"direct", "fanout", "topic", "headers"} {
		b.exchanges["amq."+x], _ = routing.New(x, nil)
	}
	return b
}

func (b *fakeBroker) Authenticate(_, password string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if password != b.password {
		return fault.New(fault.AccessRefused, "wrong password")
	}
	return nil
}

func (b *fakeBroker) Identify(user string) error {
	if user != "guest" {
		return fault.New(fault.AccessRefused, "no user")
	}
	return nil
}

func (l *fakeLink) OpenChannel(context.Context, uint16, *node.ChannelState) error { return nil }

func (l *fakeLink) CloseChannel(uint16) {}

func (l *fakeLink) Reauthorize() ([]*node.Consumer, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	var lost []*node.Consumer
	for c := range l.consumers {
		if slices.Contains(l.b.unreadable, c.Queue) {
			lost = append(lost, c)
		}
	}
	return lost, l.b.refused
}

func (b *fakeBroker) Connect(
	ctx context.Context, vhost, _ string, info node.ClientInfo, s node.Session,
) (*fakeLink, error) {
	if b.onConnect != nil {
		if err := b.onConnect(ctx); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.vhosts, vhost) {
		return nil, fault.Hard(fault.NotAllowed, "vhost %s not found", vhost)
	}
	l := &fakeLink{b: b, s: s, info: info, consumers: map[*node.Consumer]*fakeConsumer{}}
	b.links = append(b.links, l)
	return l, nil
}

func (l *fakeLink) Close() {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.closes++
	for c := range l.consumers {
		l.drop(c)
	}
}

// drop ends a consumer and requeues what it holds.
func (l *fakeLink) drop(c *node.Consumer) {
	f := l.consumers[c]
	delete(l.consumers, c)
	f.queue.consumers = slices.DeleteFunc(f.queue.consumers, func(o *fakeConsumer) bool { return o == f })
	for _, d := range f.unacked {
		f.queue.requeue(d)
	}
	f.queue.pump()
}

func (l *fakeLink) ExchangeDeclare(_ context.Context, x node.ExchangeSpec, passive bool) error {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if l.b.exchanges[x.Name] != nil {
		return nil
	}
	if passive {
		return fault.New(fault.NotFound, "no exchange '%s' in vhost '/'", x.Name)
	}
	m, ok := routing.New(x.Type, x.Args)
	if !ok {
		return fault.New(fault.PreconditionFailed, "unknown exchange type '%s'", x.Type)
	}
	l.b.exchanges[x.Name] = m
	return nil
}

func (l *fakeLink) ExchangeDelete(_ context.Context, name string, _ bool) error {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	delete(l.b.exchanges, name)
	return nil
}

func (b *fakeBroker) binding(s node.BindingSpec) (routing.Matcher, routing.Binding, error) {
	x := b.exchanges[s.Source]
	if x == nil {
		return nil, routing.Binding{}, fault.New(fault.NotFound, "no exchange '%s' in vhost '/'", s.Source)
	}
	dest := s.Destination
	if s.ToExchange {
		dest = "x:" + dest
	}
	i := slices.Index(b.ids, dest)
	if i < 0 {
		i = len(b.ids)
		b.ids = append(b.ids, dest)
	}
	return x, routing.Binding{Key: s.Key, Args: s.Args, Dest: uint64(i)}, nil
}

func (l *fakeLink) Bind(_ context.Context, s node.BindingSpec) error {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	x, b, err := l.b.binding(s)
	if err == nil {
		x.Add(b)
	}
	return err
}

func (l *fakeLink) Unbind(_ context.Context, s node.BindingSpec) error {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	x, b, err := l.b.binding(s)
	if err == nil {
		x.Remove(b)
	}
	return err
}

func (b *fakeBroker) queue(name string) (*fakeQueue, error) {
	q := b.queues[name]
	if q == nil {
		return nil, fault.New(fault.NotFound, "no queue '%s' in vhost '/'", name)
	}
	return q, nil
}

func (l *fakeLink) QueueDeclare(ctx context.Context, s node.QueueSpec, passive bool) (node.QueueInfo, error) {
	if l.b.onDeclare != nil {
		if err := l.b.onDeclare(ctx); err != nil {
			return node.QueueInfo{}, err
		}
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if s.Name == "" {
		l.b.names++
		s.Name = fmt.Sprintf("amq.gen-%d", l.b.names)
	}
	q, err := l.b.queue(s.Name)
	if err != nil {
		if passive {
			return node.QueueInfo{}, err
		}
		q = &fakeQueue{name: s.Name}
		l.b.queues[s.Name] = q
	}
	return node.QueueInfo{Name: s.Name, Ready: uint32(len(q.ready)), Consumers: uint32(len(q.consumers))}, nil
}

func (l *fakeLink) QueueDelete(_ context.Context, name string, _, _ bool) (uint32, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	q, err := l.b.queue(name)
	if err != nil {
		return 0, nil
	}
	delete(l.b.queues, name)
	for _, c := range q.consumers {
		c.link.s.ConsumerCancelled(c.handle)
	}
	return uint32(len(q.ready)), nil
}

func (l *fakeLink) QueuePurge(_ context.Context, name string) (uint32, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	q, err := l.b.queue(name)
	if err != nil {
		return 0, err
	}
	n := len(q.ready)
	q.ready = nil
	return uint32(n), nil
}

func (l *fakeLink) Ready() bool { return l.b.onReady == nil || l.b.onReady() }

func (l *fakeLink) Wait(ctx context.Context) error {
	if l.b.onWait == nil {
		return nil
	}
	return l.b.onWait(ctx)
}

func (l *fakeLink) Publish(channel uint16, number uint64, m *message.Message) (bool, error) {
	if l.b.onPublish != nil {
		return l.b.onPublish(l, channel, number, m)
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	var to []string
	if m.Exchange == "" {
		to = append(to, m.RoutingKey)
	} else {
		x := l.b.exchanges[m.Exchange]
		if x == nil {
			return false, fault.New(fault.NotFound, "no exchange '%s' in vhost '/'", m.Exchange)
		}
		headers := func() message.Table {
			t, _, _ := message.ParseTable(message.PeekHeaders(m.Properties))
			return t
		}
		x.Match(routing.Message{Key: m.RoutingKey, Headers: headers}, func(d uint64) { to = append(to, l.b.ids[d]) })
	}
	routed := false
	for _, name := range to {
		if q := l.b.queues[name]; q != nil {
			routed = true
			q.seq++
			q.ready = append(q.ready, node.Delivery{Seq: q.seq, Message: m})
			q.pump()
		}
	}
	if routed && number > 0 {
		l.s.Confirm([]node.Confirmation{{Channel: channel, Number: number, Nack: strings.HasPrefix(string(m.Body), "nack")}})
	}
	return routed, nil
}

func (l *fakeLink) Prepare(m *message.Message) (*node.Publication, error) {
	return &node.Publication{Message: m}, nil
}

func (l *fakeLink) Send(channel uint16, number uint64, p *node.Publication) bool {
	routed, _ := l.Publish(channel, number, p.Message)
	return routed
}

func (l *fakeLink) Limit(h *node.Consumer, prefetch uint16) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	c := l.consumers[h]
	c.prefetch = int(prefetch)
	c.queue.pump()
}

func (q *fakeQueue) requeue(d node.Delivery) {
	d.Redelivered = true
	d.DeliveryCount++
	d.AcquiredCount++
	i, _ := slices.BinarySearchFunc(q.ready, d, func(a, b node.Delivery) int { return int(a.Seq) - int(b.Seq) })
	q.ready = slices.Insert(q.ready, i, d)
}

// pump gives messages to consumers in turn.
func (q *fakeQueue) pump() {
	for len(q.ready) > 0 {
		var to *fakeConsumer
		for range q.consumers {
			c := q.consumers[q.next%len(q.consumers)]
			q.next++
			if c.prefetch == 0 || len(c.unacked) < c.prefetch {
				to = c
				break
			}
		}
		if to == nil {
			return
		}
		d := q.ready[0]
		q.ready = q.ready[1:]
		if !to.handle.NoAck {
			to.unacked[d.Seq] = d
		}
		to.link.s.Deliver(to.handle, []node.Delivery{d})
	}
}

func (l *fakeLink) Consume(_ context.Context, s node.ConsumeSpec) (*node.Consumer, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	q, err := l.b.queue(s.Queue)
	if err != nil {
		return nil, err
	}
	h := &node.Consumer{Channel: s.Channel, Tag: s.Tag, Queue: s.Queue, NoAck: s.NoAck}
	c := &fakeConsumer{handle: h, link: l, queue: q, prefetch: int(s.Prefetch), unacked: map[uint64]node.Delivery{}}
	l.consumers[h] = c
	q.consumers = append(q.consumers, c)
	q.pump()
	return h, nil
}

func (l *fakeLink) Cancel(_ context.Context, h *node.Consumer) error {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	c := l.consumers[h]
	c.queue.consumers = slices.DeleteFunc(c.queue.consumers, func(o *fakeConsumer) bool { return o == c })
	return nil
}

func (l *fakeLink) Get(
	_ context.Context, queue string, noAck bool,
) (*node.Consumer, node.Delivery, uint32, bool, error) {
	if l.b.onGet != nil {
		if err := l.b.onGet(); err != nil {
			return nil, node.Delivery{}, 0, false, err
		}
	}
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	q, err := l.b.queue(queue)
	if err != nil || len(q.ready) == 0 {
		return nil, node.Delivery{}, 0, false, err
	}
	var c *fakeConsumer
	for h, o := range l.consumers {
		if h.Tag == "" && o.queue == q {
			c = o
		}
	}
	if c == nil {
		h := &node.Consumer{Queue: queue}
		c = &fakeConsumer{handle: h, link: l, queue: q, unacked: map[uint64]node.Delivery{}}
		l.consumers[h] = c
	}
	d := q.ready[0]
	q.ready = q.ready[1:]
	if !noAck {
		c.unacked[d.Seq] = d
	}
	return c.handle, d, uint32(len(q.ready)), true, nil
}

func (l *fakeLink) Settle(h *node.Consumer, seqs []uint64, how node.Outcome) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.settles++
	c := l.consumers[h]
	for _, seq := range seqs {
		d, ok := c.unacked[seq]
		if !ok {
			panic(fmt.Sprintf("settle of %d, which %s does not hold", seq, h.Tag))
		}
		delete(c.unacked, seq)
		if how == node.Requeue || how == node.Failed {
			c.queue.requeue(d)
		}
	}
	c.queue.pump()
}

func (l *fakeLink) Credit(h *node.Consumer, n int, _ int64) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.credits[h.Tag] += n
}
