package memory

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

const stackBytesMax = 64 << 10

// Binder binds to a Broker.
type Binder struct{ broker *Broker }

var _ stream.Binder = (*Binder)(nil)

// New returns a binder on b. Several services of a test share one broker and have a binder each.
func New(b *Broker) *Binder { return &Binder{broker: b} }

// Start implements [stream.Binder].
func (b *Binder) Start(context.Context) error { return nil }

// Stop implements [stream.Binder].
func (b *Binder) Stop(context.Context) error { return nil }

// Describe implements [stream.Binder].
func (b *Binder) Describe() stream.System { return stream.System{Name: "memory"} }

// BindProducer implements [stream.Binder].
func (b *Binder) BindProducer(_ context.Context, s stream.Binding) (stream.Publisher, error) {
	p, q := s.Producer, s.Producer.Queue
	b.exchange(s.Destination, q)
	for _, g := range p.RequiredGroups {
		base := queueName(s.Destination, g, q)
		if p.PartitionCount <= 1 {
			b.queue(s.Destination, base, base, "", p.AutoBindDLQ, q)
			continue
		}
		for i := range p.PartitionCount {
			part := "-" + strconv.Itoa(i)
			b.queue(s.Destination, base, base+part, part, p.AutoBindDLQ, q)
		}
	}
	return &publisher{broker: b.broker, binding: s, exchange: q.Prefix + s.Destination, since: time.Now()}, nil
}

// BindConsumer implements [stream.Binder].
func (b *Binder) BindConsumer(_ context.Context, s stream.Binding, h stream.Handler) (stream.Subscription, error) {
	p, q := s.Consumer, s.Consumer.Queue
	group := cmp.Or(s.Group, "anonymous."+stream.NewID())
	base := queueName(s.Destination, group, q)
	name, part := base, ""
	if p.Partitioned {
		part = "-" + strconv.Itoa(p.InstanceIndex)
		name += part
	}
	dlq := p.AutoBindDLQ && s.Group != ""
	b.exchange(s.Destination, q)
	if q.BindQueue.Or(true) {
		b.queue(s.Destination, base, name, part, dlq, q)
	}
	sub := &subscription{broker: b.broker, binding: s, queue: name, handle: h, since: time.Now()}
	if dlq && p.RepublishToDLQ.Or(true) {
		sub.dlx, sub.dlqKey = deadLetterTo(name, q)
	}
	sub.start()
	return sub, nil
}

func (b *Binder) exchange(destination string, q stream.QueueProperties) {
	if q.DeclareExchange.Or(true) {
		b.broker.declareExchange(q.Prefix+destination, cmp.Or(q.ExchangeType, "topic"))
	}
}

// queue declares a group's queue and what dead-lettering needs.
func (b *Binder) queue(destination, base, name, part string, dlq bool, q stream.QueueProperties) {
	dlx, key := "", ""
	if dlq {
		dlx, key = deadLetterTo(name, q)
		dead := cmp.Or(q.DeadLetterQueueName, base+".dlq")
		b.broker.declareQueue(dead, "", "")
		if dlx != "" {
			b.broker.declareExchange(dlx, "direct")
			b.broker.bind(dlx, key, dead)
		}
	}
	b.broker.declareQueue(name, dlx, key)
	keys := q.BindingRoutingKeys
	if len(keys) == 0 {
		keys = []string{"#"}
		if part != "" {
			keys = []string{destination}
		}
	}
	for _, k := range keys {
		b.broker.bind(q.Prefix+destination, k+part, name)
	}
}

func deadLetterTo(queue string, q stream.QueueProperties) (exchange, key string) {
	exchange = q.Prefix + "DLX"
	if q.DeadLetterExchange != nil {
		exchange = *q.DeadLetterExchange
	}
	return exchange, cmp.Or(q.DeadLetterRoutingKey, queue)
}

func queueName(destination, group string, q stream.QueueProperties) string {
	if q.QueueNameGroupOnly {
		return q.Prefix + group
	}
	return q.Prefix + destination + "." + group
}

type publisher struct {
	broker   *Broker
	binding  stream.Binding
	exchange string
	since    time.Time
}

// PublishBatch implements [stream.Publisher].
func (p *publisher) PublishBatch(ctx context.Context, ms []stream.Raw) []error {
	errs := make([]error, len(ms))
	for i, m := range ms {
		if err := ctx.Err(); err != nil {
			errs[i] = fmt.Errorf("%w: %w", stream.ErrUnavailable, err)
			continue
		}
		errs[i] = p.broker.publish(p.exchange, m, p.binding.Producer.Mandatory.Or(true))
	}
	return errs
}

// Health implements [stream.Publisher].
func (p *publisher) Health() stream.Health {
	return stream.Health{Binding: p.binding.Name, Destination: p.binding.Destination, State: stream.StateUp, Since: p.since}
}

// Close implements [stream.Publisher].
func (p *publisher) Close(context.Context) error { return nil }

type subscription struct {
	broker      *Broker
	binding     stream.Binding
	queue       string
	handle      stream.Handler
	dlx, dlqKey string // dlqKey "" = dead letters are left to the broker
	since       time.Time

	stop, abandon context.CancelFunc
	workers       sync.WaitGroup
}

func (s *subscription) start() {
	taking, stop := context.WithCancel(context.Background())
	handling, abandon := context.WithCancel(context.Background())
	s.stop, s.abandon = stop, abandon
	for range s.binding.Consumer.Concurrency {
		s.workers.Go(func() {
			for {
				m, ok := s.broker.take(taking, s.queue)
				if !ok {
					return
				}
				s.settle(m, s.handle(handling, m))
			}
		})
	}
}

func (s *subscription) settle(m stream.Raw, out stream.Outcome) {
	switch {
	case out.Action == stream.ActionAccept:
	case out.Action == stream.ActionRequeue:
		s.broker.requeue(s.queue, m)
	case s.dlqKey == "":
		s.broker.reject(s.queue, m)
	default:
		h := m.Headers.Clone()
		for k, v := range stream.DeadLetterHeaders(m.Delivery, out.Err, stackBytesMax) {
			h[k] = v
		}
		dead := m
		dead.Headers, dead.RoutingKey = h, s.dlqKey
		if s.broker.publish(s.dlx, dead, true) != nil {
			s.broker.reject(s.queue, m)
		}
	}
}

// Health implements [stream.Subscription].
func (s *subscription) Health() stream.Health {
	return stream.Health{Binding: s.binding.Name, Destination: s.binding.Destination, Group: s.binding.Group, State: stream.StateUp, Since: s.since}
}

// handlerGrace is how long handlers may take to notice that their context ended.
const handlerGrace = 2 * time.Second

// Close implements [stream.Subscription].
func (s *subscription) Close(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() { // ends with the last handler
		s.workers.Wait()
		if s.binding.Group == "" {
			s.broker.deleteQueue(s.queue)
		}
		close(done)
	}()
	select {
	case <-done:
		s.abandon()
		return nil
	case <-ctx.Done():
	}
	s.abandon()
	grace := time.NewTimer(handlerGrace)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
		return fmt.Errorf("memory: handlers of %s still run after their deadline", s.binding.Name)
	}
}
