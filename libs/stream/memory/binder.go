package memory

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

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
		if !p.Partitioned() {
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
func (b *Binder) BindConsumer(_ context.Context, s stream.Binding, r *stream.Receiver) (stream.Subscription, error) {
	p, q := s.Consumer, s.Consumer.Queue
	group := cmp.Or(s.Group, p.AnonymousGroupPrefix+stream.NewID())
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
	for _, wait := range p.DelayedRetry.Intervals {
		b.broker.declareQueue(retryQueue(name, wait), "", name)
	}
	sub := newSubscription(b.broker, s, name, r)
	if dlq {
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
		m.Delivery = stream.Delivery{Transient: p.binding.Producer.Transient}
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
