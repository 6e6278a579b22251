package memory

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

const stackBytesMax = 64 << 10

// subscription takes messages of a queue, as many as prefetch allows, and hands them to the Receiver.
type subscription struct {
	broker      *Broker
	binding     stream.Binding
	queue       string
	receiver    *stream.Receiver
	dlx, dlqKey string // dlqKey "" = dead letters are left to the broker
	since       time.Time

	taking   context.Context
	stop     context.CancelFunc
	done     chan struct{}
	underWay sync.WaitGroup
	unacked  chan struct{} // a slot for every unsettled message

	mu      sync.Mutex
	paused  bool          // asked to be
	idle    bool          // is
	changed chan struct{} // closed and replaced when paused changes
}

var _ stream.Subscription = (*subscription)(nil)

func newSubscription(b *Broker, s stream.Binding, queue string, r *stream.Receiver) *subscription {
	p := s.Consumer
	unacked := p.Prefetch * p.Concurrency
	if r.Batches() {
		unacked = max(unacked, p.BatchSize*p.Concurrency)
	}
	sub := &subscription{
		broker: b, binding: s, queue: queue, receiver: r, since: time.Now(), done: make(chan struct{}),
		unacked: make(chan struct{}, unacked), changed: make(chan struct{}),
	}
	sub.taking, sub.stop = context.WithCancel(context.Background())
	return sub
}

func (s *subscription) start() {
	go func() { // ends when Close says so and everything taken is settled
		defer close(s.done)
		for s.taking.Err() == nil {
			s.feed()
		}
		s.underWay.Wait()
		if s.binding.Group == "" {
			s.broker.deleteQueue(s.queue)
		}
	}()
}

// feed hands messages over until the binding is paused or stops.
func (s *subscription) feed() {
	paused, changed := s.gate()
	if paused {
		s.setIdle(true)
		defer s.setIdle(false)
		select {
		case <-changed:
		case <-s.taking.Done():
		}
		return
	}
	ctx, cancel := context.WithCancel(s.taking)
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case s.unacked <- struct{}{}:
		case <-ctx.Done():
			return
		}
		m, ok := s.broker.take(ctx, s.queue)
		if !ok {
			<-s.unacked
			return
		}
		s.underWay.Add(1)
		if s.binding.Consumer.Partitioned {
			m.Delivery.Partition = s.binding.Consumer.InstanceIndex
		}
		m = stream.Returned(m)
		d := &delivery{s: s, m: m}
		if !s.receiver.Take(stream.Delivered{Message: m, Settler: d}, changed) {
			d.giveBack(false)
		}
	}
}

func (s *subscription) gate() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused, s.changed
}

func (s *subscription) setIdle(idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
}

func (s *subscription) setPaused(p bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused != p {
		s.paused = p
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// Pause implements [stream.Subscription].
func (s *subscription) Pause() { s.setPaused(true) }

// Resume implements [stream.Subscription].
func (s *subscription) Resume() { s.setPaused(false) }

// Health implements [stream.Subscription].
func (s *subscription) Health() stream.Health {
	h := stream.Health{Binding: s.binding.Name, Destination: s.binding.Destination, Group: s.binding.Group, State: stream.StateUp, Since: s.since}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle {
		h.State = stream.StatePaused
	}
	return h
}

// Close implements [stream.Subscription].
func (s *subscription) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("memory: handlers of %s still run after their deadline", s.binding.Name)
	}
}

// delivery settles one message.
type delivery struct {
	s *subscription
	m stream.Raw
}

var _ stream.Settler = (*delivery)(nil)

func (d *delivery) done() {
	<-d.s.unacked
	d.s.underWay.Done()
}

// Ack implements [stream.Settler].
func (d *delivery) Ack() error {
	d.done()
	return nil
}

// Requeue implements [stream.Settler].
func (d *delivery) Requeue() error {
	d.giveBack(true)
	return nil
}

func (d *delivery) giveBack(redelivered bool) {
	d.s.broker.requeue(d.s.queue, d.m, redelivered)
	d.done()
}

// Reject implements [stream.Settler].
func (d *delivery) Reject() error {
	d.s.broker.reject(d.s.queue, d.m)
	d.done()
	return nil
}

// DeadLetter implements [stream.Settler].
func (d *delivery) DeadLetter(m stream.Raw, reason error) error {
	if d.s.dlqKey == "" {
		return stream.ErrNoDeadLetters
	}
	m = with(m, d.s.dlqKey, stream.DeadLetterHeaders(m.Delivery, reason, stackBytesMax))
	m.Delivery.Transient = d.s.binding.Consumer.RepublishTransient
	return d.s.broker.publish(d.s.dlx, m, true)
}

// Retry implements [stream.Settler].
func (d *delivery) Retry(m stream.Raw, wait, pause time.Duration) error {
	name := retryQueue(d.s.queue, wait)
	if err := d.s.broker.publish("", with(m, name, stream.RetryHeaders(m)), true); err != nil {
		return err
	}
	d.s.broker.expire(name, pause)
	return nil
}

func with(m stream.Raw, key string, more stream.Headers) stream.Raw {
	h := make(stream.Headers, len(m.Headers)+len(more))
	for k, v := range m.Headers {
		if !stream.BrokerOwned(k) {
			h[k] = v
		}
	}
	for k, v := range more {
		h[k] = v
	}
	m.Headers, m.RoutingKey, m.TTL, m.Delay = h, key, 0, 0
	return m
}

func retryQueue(queue string, wait time.Duration) string {
	return queue + ".retry." + strconv.FormatInt(wait.Milliseconds(), 10)
}
