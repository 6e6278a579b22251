package rabbit

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// session is one channel with one consumer on it, or none while the binding is paused.
type session struct {
	ch       *amqp.Channel
	receiver *stream.Receiver
	letters  *failures
	binding  stream.Binding
	queue    string

	acks     *acks
	odd      string // what was found declared otherwise
	tag      string
	pushed   <-chan amqp.Delivery // nil without a consumer
	gone     chan struct{}        // closed when the channel is
	cause    error                // why, readable after gone
	underWay sync.WaitGroup       // deliveries that were taken and are not settled
	all      *sync.WaitGroup      // the same, of all sessions of the consumer
}

func newSession(conn *amqp.Connection, c *consumer) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	s := &session{
		ch: ch, receiver: c.receiver, letters: c.letters, binding: c.binding, queue: c.topo.consume,
		gone: make(chan struct{}), all: &c.underWay,
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	go func() { // ends with the channel
		s.cause = errors.New("channel closed")
		if e := <-closed; e != nil {
			s.cause = e
		}
		close(s.gone)
	}()
	p := s.binding.Consumer
	// A batch handler needs a whole batch, or it would wait for a message that the broker holds back.
	unsettled := p.Prefetch * p.Concurrency
	if s.receiver.Batches() {
		unsettled = max(unsettled, min(p.BatchSize*p.Concurrency, prefetchMax))
	}
	if err := ch.Qos(unsettled, 0, false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	s.acks = newAcks(ch)
	return s, nil
}

// close ends the channel, when every delivery is settled or the channel is gone.
func (s *session) close() {
	s.acks.close()
	_ = s.ch.Close()
}

// consume starts the consumer.
func (s *session) consume(tag string) error {
	p := s.binding.Consumer
	args := amqp.Table{}
	if p.ConsumerPriority != 0 {
		args["x-priority"] = int32(p.ConsumerPriority)
	}
	pushed, err := s.ch.Consume(s.queue, tag, p.Acknowledge == stream.AckNone, p.Exclusive, false, false, args)
	if err == nil {
		s.tag, s.pushed = tag, pushed
	}
	return err
}

// take offers a delivery to the Receiver, and gives it back when that does not take it.
func (s *session) take(d amqp.Delivery, quit <-chan struct{}) {
	s.underWay.Add(1)
	s.all.Add(1)
	in := &delivery{s: s, d: d, noAck: s.binding.Consumer.Acknowledge == stream.AckNone}
	if !in.noAck {
		s.acks.add(&in.place, d.DeliveryTag)
	}
	if !s.receiver.Take(stream.Delivered{Message: received(&in.d, s.queue, s.binding), Settler: in, Gone: s.gone}, quit) {
		_ = in.Requeue() // if the channel is gone it comes back anyway
	}
}

func (s *session) done() {
	s.underWay.Done()
	s.all.Done()
}

// ended says why deliveries stopped: the channel is gone, or it lives and the broker cancelled the consumer as the queue went.
func (s *session) ended() error {
	if s.ch.IsClosed() {
		<-s.gone
		return s.cause
	}
	return errors.New("consumer cancelled by the broker")
}

// giveBack ends the consumer and returns what was pushed and not taken, so that another member gets it now and not only when
// the last of our handlers is done.
func (s *session) giveBack() {
	if s.pushed == nil {
		return
	}
	pushed := s.pushed
	s.pushed = nil
	if s.ch.Cancel(s.tag, false) != nil {
		return // the channel is gone, and with it all that was pushed
	}
	for d := range pushed {
		if s.binding.Consumer.Acknowledge != stream.AckNone { // what the broker has forgotten cannot go back
			_ = d.Nack(false, true)
		}
	}
}

// leave closes a session that ended while we go on; false when the binding stopped meanwhile. When only the consumer was
// cancelled the channel still lives: running handlers settle on it first, else their messages would come again for nothing.
func (s *session) leave(taking context.Context) bool {
	idle := make(chan struct{})
	go func() { // ends with the last delivery, which Close waits for
		s.underWay.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-s.gone:
	case <-taking.Done():
		return false
	}
	s.close()
	return true
}

// delivery settles one delivery.
type delivery struct {
	s     *session
	d     amqp.Delivery
	place unsettled
	noAck bool // the broker has forgotten it already
}

var _ stream.Settler = (*delivery)(nil)

// Ack implements [stream.Settler].
func (d *delivery) Ack() error {
	defer d.s.done()
	switch {
	case d.noAck:
	case d.s.ch.IsClosed():
		return amqp.ErrClosed
	default:
		d.s.acks.ack(&d.place)
	}
	return nil
}

// Requeue implements [stream.Settler].
func (d *delivery) Requeue() error { return d.refuse(func() error { return d.d.Nack(false, true) }) }

// Reject implements [stream.Settler].
func (d *delivery) Reject() error { return d.refuse(func() error { return d.d.Reject(false) }) }

func (d *delivery) refuse(f func() error) error {
	defer d.s.done()
	if d.noAck {
		return nil
	}
	err := f()
	d.s.acks.other(&d.place)
	return err
}

// DeadLetter implements [stream.Settler].
func (d *delivery) DeadLetter(m stream.Raw, reason error) error {
	if d.s.letters == nil {
		return stream.ErrNoDeadLetters
	}
	return d.s.letters.deadLetter(m, reason)
}

// Retry implements [stream.Settler].
func (d *delivery) Retry(m stream.Raw, wait, pause time.Duration) error {
	return d.s.letters.retry(m, d.s.queue, wait, pause)
}
