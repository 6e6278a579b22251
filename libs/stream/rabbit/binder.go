package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// Binder is the RabbitMQ binder. Make it with New, give it to stream.New.
type Binder struct {
	cfg     Config
	publish *link
	consume *link
	system  stream.System

	mu      sync.Mutex
	running bool
	ctx     context.Context // of everything the binder runs, ended by Stop
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

var _ stream.Binder = (*Binder)(nil)

// New checks the configuration; it does not connect.
func New(cfg Config) (*Binder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	uri, err := amqp.ParseURI(cfg.Addresses[0])
	if err != nil {
		return nil, fmt.Errorf("rabbit: address: %w", err)
	}
	return &Binder{
		cfg:     cfg,
		publish: newLink(cfg, cfg.ConnectionName+"-publish"),
		consume: newLink(cfg, cfg.ConnectionName+"-consume"),
		system:  stream.System{Name: "rabbitmq", Address: uri.Host, Port: uri.Port},
	}, nil
}

// Describe implements [stream.Binder]: the first address stands for all.
func (b *Binder) Describe() stream.System { return b.system }

// Start implements [stream.Binder].
func (b *Binder) Start(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx != nil {
		return errors.New("rabbit: a binder starts once")
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.running = true
	for _, l := range []*link{b.publish, b.consume} {
		b.wg.Go(func() { l.run(b.ctx) })
	}
	return nil
}

// BindProducer implements [stream.Binder].
func (b *Binder) BindProducer(_ context.Context, s stream.Binding) (stream.Publisher, error) {
	topo := producerTopology(s)
	b.customize(s, topo)
	p := &producer{binding: s, exchange: s.Producer.Queue.Prefix + s.Destination, done: make(chan struct{})}
	p.outlet = newOutlet(b.publish, b.cfg, topo, newCondition(s))
	stop, err := b.launch(func(ctx context.Context) {
		defer close(p.done)
		p.run(ctx)
	})
	p.stop = stop
	return p, err
}

// BindConsumer implements [stream.Binder].
func (b *Binder) BindConsumer(_ context.Context, s stream.Binding, r *stream.Receiver) (stream.Subscription, error) {
	group := s.Group
	if group == "" {
		group = anonymousGroup(s.Consumer.AnonymousGroupPrefix)
	}
	topo := consumerTopology(s, group)
	b.customize(s, topo)
	c := newConsumer(s, b.consume, b.cfg, topo, r)
	if s.Group != "" && (s.Consumer.RepublishToDLQ.Or(true) || len(s.Consumer.DelayedRetry.Intervals) > 0) {
		// The consumer declares the queues of failed messages; the outlet only publishes. Its health is the consumer's business.
		o := newOutlet(b.publish, b.cfg, &Topology{}, newCondition(s))
		stop, err := b.launch(o.run)
		if err != nil {
			return nil, err
		}
		c.letters = newFailures(o, s, topo, b.cfg)
		c.letters.stop = stop
	}
	_, err := b.launch(func(context.Context) {
		c.run()
		if c.letters != nil {
			c.letters.stop()
		}
	})
	return c, err
}

// customize lets the configuration's hook change what is declared.
func (b *Binder) customize(s stream.Binding, t *Topology) {
	if b.cfg.Customize != nil {
		b.cfg.Customize(s, t)
	}
}

// launch runs f until the returned function or Stop ends its context.
func (b *Binder) launch(f func(context.Context)) (context.CancelFunc, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running {
		return nil, stream.ErrNotStarted
	}
	ctx, cancel := context.WithCancel(b.ctx)
	b.wg.Go(func() {
		defer cancel()
		f(ctx)
	})
	return cancel, nil
}

// Stop implements [stream.Binder]. It returns an error when goroutines outlive ctx: a handler that ignores its context.
func (b *Binder) Stop(ctx context.Context) error {
	b.mu.Lock()
	wasRunning := b.running
	b.running = false
	b.mu.Unlock()
	if !wasRunning {
		return nil
	}
	b.cancel()
	done := make(chan struct{})
	go func() { // ends with the last of them
		b.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rabbit: stop: %w", ctx.Err())
	}
}
