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

// errUnsettled says the channel died before the broker answered.
var errUnsettled = errors.New("rabbit: channel lost before the confirm")

// letter is one message on its way, and afterwards its fate.
type letter struct {
	exchange, key string
	mandatory     bool
	msg           amqp.Publishing

	group    *group       // that waits for it
	returned *amqp.Return // set before it is settled by the reader of returns
	settled  atomic.Bool  // err is final
	err      error
}

func newLetter(exchange, key string, mandatory bool, msg amqp.Publishing) *letter {
	return &letter{exchange: exchange, key: key, mandatory: mandatory, msg: msg}
}

// again is the letter for another attempt: the old one may yet be settled by its old channel.
func (l *letter) again() *letter { return newLetter(l.exchange, l.key, l.mandatory, l.msg) }

func (l *letter) settle(err error) {
	l.err = err
	l.settled.Store(true)
	l.group.less()
}

// group is letters that are waited for together.
type group struct {
	left atomic.Int64
	done chan struct{} // closed when none is left
}

// newGroup is held by its maker until less is called once.
func newGroup() *group {
	g := &group{done: make(chan struct{})}
	g.left.Store(1)
	return g
}

func (g *group) less() {
	if g.left.Add(-1) == 0 {
		close(g.done)
	}
}

// confirms is one channel in confirm mode. Many callers write, one goroutine reads the broker's answers.
type confirms struct {
	ch     *amqp.Channel
	out    *coalescer
	window chan struct{} // a slot for every unconfirmed letter
	gone   chan struct{} // closed when the broker's answers have ended
	dead   chan struct{} // closed when the channel is gone and every written letter is settled
	cause  error         // why, readable after dead
	wg     sync.WaitGroup

	writing sync.Mutex // one publish after another: delivery tags count what is written. Taken before mu
	tag     uint64     // of the last letter

	mu      sync.Mutex
	pending []*letter // by tag modulo its length, which is the window's: the client reports confirms in the order of tags
	buried  bool
}

// openConfirms opens the channel on l. It lives until the channel dies or close is called.
func openConfirms(l live, inFlightMax int) (*confirms, error) {
	ch, err := l.conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	c := &confirms{
		ch: ch, out: l.out, window: make(chan struct{}, inFlightMax), gone: make(chan struct{}), dead: make(chan struct{}),
		pending: make([]*letter, inFlightMax),
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	returns := ch.NotifyReturn(make(chan amqp.Return, inFlightMax))
	acks := ch.NotifyPublish(make(chan amqp.Confirmation, inFlightMax))
	c.wg.Go(func() {
		c.read(acks, returns)
		close(c.gone)
		c.bury(closed)
	})
	return c, nil
}

// send writes a letter. An error means it was not written.
func (c *confirms) send(ctx context.Context, l *letter) error {
	select {
	case c.window <- struct{}{}:
	default:
		select {
		case c.window <- struct{}{}:
		case <-c.gone:
			return errUnsettled
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := c.room(ctx); err != nil {
		<-c.window
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.register(l) {
		<-c.window
		return errUnsettled
	}
	if err := c.ch.Publish(l.exchange, l.key, l.mandatory, false, l.msg); err != nil {
		// The socket or the channel is gone; the reader notices too and settles the letter.
		_ = c.ch.Close()
	}
	return nil
}

// room waits until the socket takes more.
func (c *confirms) room(ctx context.Context) error {
	for {
		full, flushed := c.out.full()
		if !full {
			return nil
		}
		select {
		case <-flushed:
		case <-c.gone:
			return errUnsettled
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// register expects a confirm for the letter; false when the channel is gone already. The caller holds writing.
func (c *confirms) register(l *letter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buried {
		return false
	}
	c.tag++
	l.group.left.Add(1)
	c.pending[c.tag%uint64(len(c.pending))] = l
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
	n := uint64(len(c.pending))
	for tag := c.tag + 1; tag <= c.tag+n; tag++ { // the ring, from its oldest slot
		l := c.pending[tag%n]
		if l != nil && l.returned == nil && l.msg.MessageId == r.MessageId && l.exchange == r.Exchange && l.key == r.RoutingKey {
			l.returned = &r
			return
		}
	}
}

func (c *confirms) confirmed(a amqp.Confirmation) {
	c.mu.Lock()
	slot := &c.pending[a.DeliveryTag%uint64(len(c.pending))]
	l := *slot
	*slot = nil
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
	c.buried = true
	for _, l := range c.pending {
		if l != nil {
			l.settle(errUnsettled)
		}
	}
	close(c.dead)
}

// close ends the channel and waits for its reader.
func (c *confirms) close() {
	_ = c.ch.Close()
	c.wg.Wait()
}
