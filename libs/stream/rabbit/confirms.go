package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// errUnsettled says the channel died before the broker answered.
var errUnsettled = errors.New("rabbit: channel lost before the confirm")

// letter is one message on its way, and afterwards its fate.
type letter struct {
	exchange, key string
	mandatory     bool
	msg           amqp.Publishing

	returned *amqp.Return  // set before settled by the reader of returns
	settled  chan struct{} // closed when err is final
	err      error
}

func newLetter(exchange, key string, mandatory bool, msg amqp.Publishing) *letter {
	return &letter{exchange: exchange, key: key, mandatory: mandatory, msg: msg, settled: make(chan struct{})}
}

func (l *letter) settle(err error) {
	l.err = err
	close(l.settled)
}

// confirms is one channel in confirm mode. One goroutine writes, another reads the broker's answers; many callers share both,
// so that their confirms travel together.
type confirms struct {
	ch      *amqp.Channel
	letters chan *letter  // to the writer
	window  chan struct{} // a slot for every unconfirmed letter
	dead    chan struct{} // closed when the channel is gone and every written letter is settled
	cause   error         // why, readable after dead
	wg      sync.WaitGroup

	mu      sync.Mutex
	pending map[uint64]*letter
}

// openConfirms opens the channel on conn. It lives until the channel dies or close is called.
func openConfirms(conn *amqp.Connection, inFlightMax int) (*confirms, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	c := &confirms{
		ch: ch, letters: make(chan *letter), window: make(chan struct{}, inFlightMax),
		dead: make(chan struct{}), pending: map[uint64]*letter{},
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	returns := ch.NotifyReturn(make(chan amqp.Return, inFlightMax))
	acks := ch.NotifyPublish(make(chan amqp.Confirmation, inFlightMax))
	gone := make(chan struct{})
	c.wg.Go(func() { c.write(gone) })
	c.wg.Go(func() {
		c.read(acks, returns)
		close(gone)
		c.bury(closed)
	})
	return c, nil
}

// write numbers and sends the letters, one after another: delivery tags count what is written.
func (c *confirms) write(gone <-chan struct{}) {
	for tag := uint64(1); ; tag++ {
		select {
		case c.window <- struct{}{}:
		case <-gone:
			return
		}
		select {
		case l := <-c.letters:
			if !c.register(tag, l) {
				return
			}
			if err := c.ch.Publish(l.exchange, l.key, l.mandatory, false, l.msg); err != nil {
				// The socket or the channel is gone; the reader notices too and settles the letter.
				_ = c.ch.Close()
				return
			}
		case <-gone:
			return
		}
	}
}

// register expects a confirm for the letter; false when the channel is gone already.
func (c *confirms) register(tag uint64, l *letter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		l.settle(errUnsettled)
		return false
	}
	c.pending[tag] = l
	return true
}

// read settles letters until the client closes both streams, which it does when the channel ends. The broker sends a return
// before the confirm of the same message, so all returns that came are looked at before a confirm counts.
func (c *confirms) read(acks <-chan amqp.Confirmation, returns chan amqp.Return) {
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			c.match(r)
		case a, ok := <-acks:
			if !ok {
				return
			}
			c.matchAll(returns)
			c.confirmed(a)
		}
	}
}

func (c *confirms) matchAll(returns <-chan amqp.Return) {
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				return
			}
			c.match(r)
		default:
			return
		}
	}
}

// match finds the oldest letter that the return can be about.
func (c *confirms) match(r amqp.Return) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var oldest uint64
	for tag, l := range c.pending {
		if l.returned == nil && l.msg.MessageId == r.MessageId && l.exchange == r.Exchange && l.key == r.RoutingKey && (oldest == 0 || tag < oldest) {
			oldest = tag
		}
	}
	if oldest != 0 {
		c.pending[oldest].returned = &r
	}
}

func (c *confirms) confirmed(a amqp.Confirmation) {
	c.mu.Lock()
	l := c.pending[a.DeliveryTag]
	delete(c.pending, a.DeliveryTag)
	c.mu.Unlock()
	if l == nil {
		return
	}
	<-c.window
	switch {
	case !a.Ack:
		l.settle(stream.ErrNacked)
	case l.returned != nil:
		l.settle(fmt.Errorf("%w: exchange %q, key %q: %s", stream.ErrReturned, l.exchange, l.key, l.returned.ReplyText))
	default:
		l.settle(nil)
	}
}

// bury settles what the channel's end leaves open.
func (c *confirms) bury(closed <-chan *amqp.Error) {
	c.cause = errors.New("rabbit: channel closed")
	if e := <-closed; e != nil {
		c.cause = e
	}
	_ = c.ch.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.pending {
		l.settle(errUnsettled)
	}
	c.pending = nil
	close(c.dead)
}

// send hands a letter to the writer. An error means it was not written.
func (c *confirms) send(ctx context.Context, l *letter) error {
	select {
	case c.letters <- l:
		return nil
	case <-c.dead:
		return errUnsettled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the channel and waits for both goroutines.
func (c *confirms) close() {
	_ = c.ch.Close()
	c.wg.Wait()
}
