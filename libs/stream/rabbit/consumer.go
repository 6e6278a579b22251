package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// consumer is one running subscription: a goroutine that keeps a session with the broker and hands deliveries to the Receiver.
type consumer struct {
	binding  stream.Binding
	topo     *Topology
	link     *link
	cfg      Config
	receiver *stream.Receiver
	cond     *condition
	letters  *failures // how failed messages are published; nil when they are not
	done     chan struct{}
	sessions atomic.Int64
	underWay sync.WaitGroup // deliveries that were taken and are not settled

	mu      sync.Mutex
	stop    context.CancelFunc
	taking  context.Context // ends with Close
	paused  bool
	changed chan struct{} // closed and replaced when paused changes
}

var _ stream.Subscription = (*consumer)(nil)

func newConsumer(b stream.Binding, l *link, cfg Config, topo *Topology, r *stream.Receiver) *consumer {
	c := &consumer{
		binding: b, topo: topo, link: l, cfg: cfg, receiver: r, cond: newCondition(b),
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	c.taking, c.stop = context.WithCancel(context.Background())
	return c
}

// run consumes until Close, through any number of sessions, and ends when every delivery that was taken is settled.
func (c *consumer) run() {
	defer close(c.done)
	b := newBackoff(c.cfg)
	var last *session
	for c.taking.Err() == nil {
		s, err := c.open()
		if err == nil {
			b.reset()
			last = s
			err = c.feed(s)
		}
		if c.taking.Err() != nil {
			break
		}
		c.cond.set(stream.StateDown, err.Error())
		c.cfg.Logger.WarnContext(c.taking, "consumer interrupted", "binding", c.binding.Name, "error", err)
		if c.binding.Consumer.MissingQueuesFatal && isNotFound(err) {
			break
		}
		if last != nil && last.leave(c.taking) {
			last = nil
		}
		b.pause(c.taking)
	}
	if last != nil {
		last.giveBack()
	}
	c.underWay.Wait()
	if last != nil {
		last.close()
	}
	c.cond.set(stream.StateStopped, c.cond.get().Detail)
}

// open declares and starts to consume.
func (c *consumer) open() (*session, error) {
	l, err := c.link.await(c.taking)
	if err != nil {
		return nil, err
	}
	conn := l.conn
	odd, err := declare(c.taking, conn, c.topo, c.cfg.Logger)
	if err != nil {
		return nil, err
	}
	if c.letters != nil {
		if err := c.letters.find(conn); err != nil {
			return nil, err
		}
	}
	defer impatient(conn)()
	s, err := newSession(conn, c)
	if err != nil {
		return nil, err
	}
	s.odd = odd
	return s, nil
}

// feed hands deliveries to the Receiver until the session or the binding ends, with or without pauses between.
func (c *consumer) feed(s *session) error {
	for {
		paused, changed := c.gate()
		if paused {
			s.giveBack()
			c.cond.set(stream.StatePaused, "")
			select {
			case <-changed:
			case <-s.gone:
				return s.cause
			case <-c.taking.Done():
				return c.taking.Err()
			}
			continue
		}
		if s.pushed == nil {
			if err := s.consume(c.tag()); err != nil {
				return fmt.Errorf("consume %s: %w", c.topo.consume, err)
			}
			c.cond.set(stream.StateUp, s.odd)
		}
		select {
		case d, ok := <-s.pushed:
			if !ok {
				return s.ended()
			}
			s.take(d, changed)
		case <-changed:
		case <-c.taking.Done():
			return c.taking.Err()
		}
	}
}

func (c *consumer) tag() string {
	prefix := c.binding.Consumer.ConsumerTagPrefix
	if prefix == "" {
		prefix = c.binding.Name
	}
	return fmt.Sprintf("%s#%d", prefix, c.sessions.Add(1))
}

// isNotFound says that the broker has no such object.
func isNotFound(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.NotFound
}

// gate tells whether the binding is paused, and returns a channel that closes when that changes.
func (c *consumer) gate() (bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused, c.changed
}

func (c *consumer) setPaused(p bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused != p {
		c.paused = p
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// Pause implements [stream.Subscription]: the consumer is cancelled, its channel stays, and with it what handlers have in hand.
func (c *consumer) Pause() { c.setPaused(true) }

// Resume implements [stream.Subscription].
func (c *consumer) Resume() { c.setPaused(false) }

// Health implements [stream.Subscription].
func (c *consumer) Health() stream.Health { return c.cond.get() }

// Close implements [stream.Subscription].
func (c *consumer) Close(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rabbit: handlers of %s still run after their deadline", c.binding.Name)
	}
}
