package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// loopback is about the least that a binder can be: what is published goes to every consumer of its destination at once, without
// queues and without a broker. A real one passes stream/streamtest.
type loopback struct {
	mu        sync.Mutex
	receivers map[string][]*stream.Receiver // by destination
}

var _ stream.Binder = (*loopback)(nil)

func (l *loopback) Start(context.Context) error { return nil }

func (l *loopback) Stop(context.Context) error { return nil }

func (l *loopback) Describe() stream.System { return stream.System{Name: "loopback"} }

func (l *loopback) BindProducer(_ context.Context, b stream.Binding) (stream.Publisher, error) {
	return &loopbackPublisher{loopback: l, binding: b}, nil
}

func (l *loopback) BindConsumer(_ context.Context, b stream.Binding, r *stream.Receiver) (stream.Subscription, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receivers[b.Destination] = append(l.receivers[b.Destination], r)
	return &loopbackSubscription{binding: b}, nil
}

type loopbackPublisher struct {
	*loopback
	binding stream.Binding
}

func (p *loopbackPublisher) PublishBatch(_ context.Context, ms []stream.Raw) []error {
	errs := make([]error, len(ms))
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range ms {
		for key := range m.Headers {
			if stream.BrokerOwned(key) { // what an earlier broker counted by is not the message's
				delete(m.Headers, key)
			}
		}
		m.Delivery = stream.Delivery{Exchange: p.binding.Destination, RoutingKey: m.RoutingKey}
		errs[i] = stream.ErrReturned
		for _, r := range p.receivers[p.binding.Destination] {
			if r.Take(stream.Delivered{Message: stream.Returned(m), Settler: loopbackSettler{p}}, nil) {
				errs[i] = nil
			}
		}
	}
	return errs
}

func (p *loopbackPublisher) Health() stream.Health {
	return stream.Health{Binding: p.binding.Name, Destination: p.binding.Destination, State: stream.StateUp}
}

func (p *loopbackPublisher) Close(context.Context) error { return nil }

type loopbackSubscription struct{ binding stream.Binding }

func (s *loopbackSubscription) Health() stream.Health {
	return stream.Health{Binding: s.binding.Name, Destination: s.binding.Destination, State: stream.StateUp}
}

func (s *loopbackSubscription) Pause() {}

func (s *loopbackSubscription) Resume() {}

func (s *loopbackSubscription) Close(context.Context) error { return nil }

// loopbackSettler has nothing to settle, and nowhere to keep a message that failed: it says what another binder would publish.
type loopbackSettler struct{ publisher *loopbackPublisher }

var _ stream.Settler = loopbackSettler{}

func (loopbackSettler) Ack() error { return nil }

func (loopbackSettler) Requeue() error { return errors.New("there is no queue") }

func (loopbackSettler) Reject() error { return nil }

func (loopbackSettler) DeadLetter(m stream.Raw, reason error) error {
	fmt.Println("dead letter:", stream.DeadLetterHeaders(m.Delivery, reason, 1000)[stream.HeaderExceptionMessage])
	return nil
}

func (loopbackSettler) Retry(m stream.Raw, _, pause time.Duration) error {
	fmt.Println("again in", pause, "retry number", stream.RetryHeaders(m)[stream.HeaderRetryCount])
	return nil
}

func ExampleBinder() {
	app, done := stream.New(&loopback{receivers: map[string][]*stream.Receiver{}}), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "d", Group: "g", Consumer: stream.ConsumerProperties{
		MaxAttempts: 1, DelayedRetry: stream.DelayedRetry{Intervals: []time.Duration{time.Minute}},
	}}
	stream.Consume(app, in, func(_ context.Context, m stream.Message[string]) error {
		switch m.Payload {
		case "fails":
			return errors.New("not now")
		case "bad":
			return stream.Reject(errors.New("never"))
		}
		fmt.Println(m.Payload)
		close(done)
		return nil
	})
	serve(app, "d", done, "fails", "bad", "good")
	// Output:
	// again in 1m0s retry number 1
	// dead letter: never
	// good
}
