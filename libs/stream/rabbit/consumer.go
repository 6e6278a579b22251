package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// consumer is one running binding: a goroutine that keeps a session with the broker, and Concurrency workers that handle.
type consumer struct {
	binding stream.Binding
	topo    topology
	link    *link
	cfg     Config
	handle  stream.Handler
	cond    *condition
	dead    *deadLetters // nil when dead letters are left to the broker

	jobs     chan job
	taking   context.Context // ends when no new message shall be taken
	stop     context.CancelFunc
	handling context.Context // of the handlers
	abandon  context.CancelFunc
	done     chan struct{} // closed when run has returned
	sessions atomic.Int64
}

// session is one channel with one consumer on it.
type session struct {
	ch       *amqp.Channel
	tag      string
	gone     chan struct{} // closed when the channel is
	cause    error         // why, readable after gone
	pushed   <-chan amqp.Delivery
	underWay sync.WaitGroup // deliveries in the hands of workers
}

type job struct {
	s *session
	d amqp.Delivery
}

var _ stream.Subscription = (*consumer)(nil)

func newConsumer(b stream.Binding, l *link, cfg Config, topo topology, h stream.Handler) *consumer {
	c := &consumer{
		binding: b, topo: topo, link: l, cfg: cfg, handle: h, cond: newCondition(b),
		jobs: make(chan job), done: make(chan struct{}),
	}
	c.taking, c.stop = context.WithCancel(context.Background())
	c.handling, c.abandon = context.WithCancel(context.Background())
	return c
}

// run consumes until Close, through any number of sessions, and ends when the last handler has.
func (c *consumer) run() {
	defer close(c.done)
	defer c.abandon()
	var workers sync.WaitGroup
	for range c.binding.Consumer.Concurrency {
		workers.Go(c.work)
	}
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
		if last != nil && c.leave(last) {
			last = nil
		}
		b.pause(c.taking)
	}
	if last != nil {
		last.giveBack()
	}
	close(c.jobs)
	workers.Wait()
	if last != nil {
		_ = last.ch.Close()
	}
	c.cond.set(stream.StateStopped, "")
}

// open declares and starts to consume.
func (c *consumer) open() (*session, error) {
	conn, err := c.link.await(c.taking)
	if err != nil {
		return nil, err
	}
	odd, err := declare(c.taking, conn, c.topo, c.cfg.Logger)
	if err != nil {
		return nil, err
	}
	defer impatient(conn)()
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	s := &session{ch: ch, gone: make(chan struct{})}
	s.tag = fmt.Sprintf("%s#%d", c.binding.Name, c.sessions.Add(1))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() { // ends with the channel
		s.cause = errors.New("channel closed")
		if e := <-closed; e != nil {
			s.cause = e
		}
		close(s.gone)
	}()
	p := c.binding.Consumer
	args := amqp.Table{}
	if p.ConsumerPriority != 0 {
		args["x-priority"] = int32(p.ConsumerPriority)
	}
	err = ch.Qos(p.Prefetch*p.Concurrency, 0, false)
	if err == nil {
		s.pushed, err = ch.Consume(c.topo.consume, s.tag, false, p.Exclusive, false, false, args)
	}
	if err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("consume %s: %w", c.topo.consume, err)
	}
	c.cond.set(stream.StateUp, odd)
	return s, nil
}

// feed hands deliveries to the workers until the session or the binding ends.
func (c *consumer) feed(s *session) error {
	for {
		select {
		case d, ok := <-s.pushed:
			if !ok {
				return s.ended()
			}
			s.underWay.Add(1)
			select {
			case c.jobs <- job{s: s, d: d}:
			case <-s.gone:
				s.underWay.Done()
			case <-c.taking.Done():
				s.underWay.Done()
				_ = d.Nack(false, true) // if the channel is gone it comes back anyway
			}
		case <-c.taking.Done():
			return c.taking.Err()
		}
	}
}

// ended says why deliveries stopped: the channel is gone, or it lives and the broker cancelled the consumer as the queue went.
func (s *session) ended() error {
	if s.ch.IsClosed() {
		<-s.gone
		return s.cause
	}
	return errors.New("consumer cancelled by the broker")
}

// giveBack ends the consumer and returns what was pushed and not handled, so that another member gets it now and not only
// when the last of our handlers is done.
func (s *session) giveBack() {
	if s.ch.Cancel(s.tag, false) != nil {
		return // the channel is gone, and with it all that was pushed
	}
	for d := range s.pushed {
		_ = d.Nack(false, true)
	}
}

// leave closes a session that ended while we go on; false when the binding stopped meanwhile. When only the consumer was
// cancelled the channel still lives: running handlers settle on it first, else their messages would come again for nothing.
func (c *consumer) leave(s *session) bool {
	idle := make(chan struct{})
	go func() { // ends with the last handler, which run waits for
		s.underWay.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-s.gone:
	case <-c.taking.Done():
		return false
	}
	_ = s.ch.Close()
	return true
}

func (c *consumer) work() {
	for j := range c.jobs {
		c.process(j)
	}
}

func (c *consumer) process(j job) {
	defer j.s.underWay.Done()
	select {
	case <-j.s.gone:
		return // it comes again on the next session
	default:
	}
	m := received(j.d, c.topo.consume)
	out := c.handle(c.handling, m)
	if err := c.settle(j.d, m, out); err != nil {
		c.cfg.Logger.WarnContext(c.handling, "settle failed, the message will come again",
			"binding", c.binding.Name, "message_id", m.ID, "error", err)
	}
}

// settle performs the outcome.
func (c *consumer) settle(d amqp.Delivery, m stream.Raw, out stream.Outcome) error {
	switch out.Action {
	case stream.ActionAccept:
		return d.Ack(false)
	case stream.ActionRequeue:
		return d.Nack(false, true)
	}
	if c.dead == nil {
		return d.Reject(false)
	}
	err := c.dead.publish(d, out.Err)
	if err == nil {
		return d.Ack(false)
	}
	c.cfg.Logger.ErrorContext(c.handling, "dead letter not confirmed", "binding", c.binding.Name, "message_id", m.ID, "error", err)
	if errors.Is(err, stream.ErrReturned) {
		// The dead-letter queue cannot be reached; the broker would find it no more than we did and drop the message.
		return d.Nack(false, true)
	}
	// The broker then dead-letters the original itself: without the reason, but it is not lost.
	return d.Reject(false)
}

// Health implements [stream.Subscription].
func (c *consumer) Health() stream.Health { return c.cond.get() }

// Close implements [stream.Subscription].
func (c *consumer) Close(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	c.abandon()
	grace := time.NewTimer(handlerGrace)
	defer grace.Stop()
	select {
	case <-c.done:
		return nil
	case <-grace.C:
		return fmt.Errorf("rabbit: handlers of %s still run after their deadline", c.binding.Name)
	}
}
