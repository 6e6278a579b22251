// Package memory is the binder without a broker, for tests and for one process: the same names, groups, attempts and dead
// letters as stream/rabbit, nothing durable.
package memory

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// queueLengthMax bounds every queue; a publish beyond it is refused like a broker's reject-publish.
const queueLengthMax = 100_000

// Broker holds exchanges and queues. Binders that share one see each other's messages; it needs no closing.
type Broker struct {
	mu        sync.Mutex
	exchanges map[string]*exchange
	queues    map[string]*queue
}

type exchange struct {
	kind     string
	bindings []binding
}

type binding struct{ key, queue string }

// queue holds ready messages in order.
type queue struct {
	name     string
	ready    []stream.Raw
	changed  chan struct{} // closed and replaced when a message comes
	dlx, key string        // where rejected messages go; dlx "" with key "" = nowhere
}

// NewBroker returns an empty broker.
func NewBroker() *Broker {
	return &Broker{exchanges: map[string]*exchange{}, queues: map[string]*queue{}}
}

func (b *Broker) declareExchange(name, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.exchanges[name] == nil {
		b.exchanges[name] = &exchange{kind: kind}
	}
}

func (b *Broker) declareQueue(name, dlx, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues[name] == nil {
		b.queues[name] = &queue{name: name, changed: make(chan struct{}), dlx: dlx, key: key}
	}
}

func (b *Broker) deleteQueue(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queues, name)
}

func (b *Broker) bind(exchange, key, queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.exchanges[exchange]
	if x == nil {
		return
	}
	for _, have := range x.bindings {
		if have == (binding{key, queue}) {
			return
		}
	}
	x.bindings = append(x.bindings, binding{key, queue})
}

// publish routes a copy of m to every queue it reaches. The error is one of stream's.
func (b *Broker) publish(exchange string, m stream.Raw, mandatory bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	targets := map[string]bool{}
	if exchange == "" {
		targets[m.RoutingKey] = true
	} else if x := b.exchanges[exchange]; x != nil {
		for _, bind := range x.bindings {
			if x.kind == "fanout" || x.kind == "topic" && matches(bind.key, m.RoutingKey) || bind.key == m.RoutingKey {
				targets[bind.queue] = true
			}
		}
	}
	reached := false
	for name := range targets {
		q := b.queues[name]
		if q == nil {
			continue
		}
		if len(q.ready) >= queueLengthMax {
			return fmt.Errorf("%w: queue %s is full", stream.ErrNacked, name)
		}
		reached = true
		q.push(arriving(exchange, name, m))
	}
	if !reached && mandatory {
		return fmt.Errorf("%w: exchange %q, key %q: NO_ROUTE", stream.ErrReturned, exchange, m.RoutingKey)
	}
	return nil
}

// arriving is the message as the queue keeps it, sharing nothing with the publisher's.
func arriving(exchange, queue string, m stream.Raw) stream.Raw {
	m.Headers = m.Headers.Clone()
	m.Payload = append([]byte(nil), m.Payload...)
	m.Timestamp = m.Timestamp.Truncate(time.Second) // as AMQP does
	m.Delivery = stream.Delivery{Exchange: exchange, RoutingKey: m.RoutingKey, Queue: queue, Transient: m.Delivery.Transient}
	m.RoutingKey = ""
	return m
}

func (q *queue) push(m stream.Raw) {
	q.ready = append(q.ready, m)
	q.wake()
}

func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// take waits for a message of the queue until ctx ends. A queue that does not exist yet is waited for.
func (b *Broker) take(ctx context.Context, name string) (stream.Raw, bool) {
	for {
		if ctx.Err() != nil {
			return stream.Raw{}, false
		}
		b.mu.Lock()
		q := b.queues[name]
		var changed <-chan struct{}
		if q != nil {
			if len(q.ready) > 0 {
				m := q.ready[0]
				q.ready = q.ready[1:]
				b.mu.Unlock()
				return m, true
			}
			changed = q.changed
		}
		b.mu.Unlock()
		poll := time.NewTimer(missingQueuePoll)
		select {
		case <-changed:
		case <-poll.C:
		case <-ctx.Done():
		}
		poll.Stop()
	}
}

// missingQueuePoll is how often a consumer looks for a queue that is not declared yet.
const missingQueuePoll = 20 * time.Millisecond

// requeue puts m back in front.
func (b *Broker) requeue(name string, m stream.Raw, redelivered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[name]; q != nil {
		m.Delivery.Redelivered = m.Delivery.Redelivered || redelivered
		m.Delivery.Attempt = 0
		q.ready = append([]stream.Raw{m}, q.ready...)
		q.wake()
	}
}

// reject dead-letters m the broker's way.
func (b *Broker) reject(name string, m stream.Raw) {
	b.mu.Lock()
	q := b.queues[name]
	b.mu.Unlock()
	if q == nil || q.key == "" {
		return
	}
	h := m.Headers.Clone()
	h["x-death"] = []any{stream.Headers{
		"reason": "rejected", "queue": name, "exchange": m.Delivery.Exchange,
		"routing-keys": []any{m.Delivery.RoutingKey}, "count": int64(1), "time": time.Now().Truncate(time.Second),
	}}
	m.Headers, m.RoutingKey = h, q.key
	_ = b.publish(q.dlx, m, false) // a broker drops what its dead-letter exchange cannot route
}

// expire dead-letters the oldest message of a retry queue after d. Timers of a broker that nobody uses any more do nothing.
func (b *Broker) expire(name string, d time.Duration) {
	time.AfterFunc(d, func() {
		b.mu.Lock()
		q := b.queues[name]
		if q == nil || len(q.ready) == 0 {
			b.mu.Unlock()
			return
		}
		m := q.ready[0]
		q.ready = q.ready[1:]
		b.mu.Unlock()
		m.RoutingKey = q.key
		_ = b.publish(q.dlx, m, false)
	})
}

// Len returns the number of ready messages in a queue, for tests.
func (b *Broker) Len(queue string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.queues[queue]; q != nil {
		return len(q.ready)
	}
	return 0
}

// matches is AMQP's topic match: * is one word, # any number of them.
func matches(pattern, key string) bool {
	return matchWords(strings.Split(pattern, "."), strings.Split(key, "."))
}

func matchWords(p, k []string) bool {
	switch {
	case len(p) == 0:
		return len(k) == 0
	case p[0] == "#":
		return matchWords(p[1:], k) || len(k) > 0 && matchWords(p, k[1:])
	case len(k) == 0:
		return false
	}
	return (p[0] == "*" || p[0] == k[0]) && matchWords(p[1:], k[1:])
}
