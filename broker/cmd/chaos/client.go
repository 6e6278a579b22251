package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	clientDial  = 2 * time.Second
	clientRetry = 100 * time.Millisecond
	clientBeat  = time.Second // the client gives a silent connection up after three
	// confirmPatience is how long a publish may wait on a living connection. A fault lasts
	// seconds; what waits longer waits for ever.
	confirmPatience = 30 * time.Second
	requeueShare    = 0.01 // of fresh deliveries
)

// clients are the publishers and consumers of a run.
type clients struct {
	cfg    *runCmd
	url    string
	route  func(worker, attempt int) string // nil: everybody to url
	ledger *ledger

	publishers, consumers sync.WaitGroup
	connections           struct {
		sync.Mutex
		count int // made so far, for their names
	}
}

var (
	errLost  = errors.New("channel lost")
	errStuck = fmt.Errorf("no confirm within %s on a living connection", confirmPatience)
)

func queueName(i int) string { return "chaos-" + strconv.Itoa(i+1) }

func (c *clients) dial(url, kind string) (*amqp.Connection, error) {
	c.connections.Lock()
	c.connections.count++
	name := fmt.Sprintf("%s-%d", kind, c.connections.count)
	c.connections.Unlock()
	return amqp.DialConfig(url, amqp.Config{
		Heartbeat: clientBeat, Dial: amqp.DefaultDial(clientDial), Properties: amqp.Table{"connection_name": name},
	})
}

// declare makes the queues.
func (c *clients) declare() error {
	conn, err := c.dial(c.url, "declare")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	for i := range c.cfg.Queues {
		// Without a limit, or what comes again and again would be dropped.
		args := amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(-1)}
		if _, err := ch.QueueDeclare(queueName(i), true, false, false, false, args); err != nil {
			return err
		}
	}
	return nil
}

// start runs publishers until publishing ends and consumers until consuming does.
func (c *clients) start(publishing, consuming context.Context) {
	for q := range c.cfg.Queues {
		for i := range c.cfg.Consumers {
			id := q*c.cfg.Consumers + i
			c.consumers.Go(func() {
				c.repeat(consuming, "consumer", id, func(conn *amqp.Connection, _ int) error { return c.consume(consuming, conn, id, q) })
			})
		}
		for i := range c.cfg.Publishers {
			p := &publisher{clients: c, id: q*c.cfg.Publishers + i, queue: q}
			c.publishers.Go(func() {
				c.repeat(publishing, "publisher", p.id, func(conn *amqp.Connection, attempt int) error {
					return p.session(publishing, conn, uint32(attempt))
				})
			})
		}
	}
}

// repeat gives work a new connection until ctx ends.
func (c *clients) repeat(ctx context.Context, kind string, worker int, work func(conn *amqp.Connection, attempt int) error) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		url := c.url
		if c.route != nil {
			url = c.route(worker, attempt)
		}
		conn, err := c.dial(url, kind)
		if err == nil {
			err = work(conn, attempt)
			_ = conn.CloseDeadline(time.Now().Add(clientDial)) // an error here would be the one that work has seen
		}
		if err == nil {
			return
		}
		c.ledger.lost()
		if errors.Is(err, errStuck) {
			c.ledger.note(kind + ": " + err.Error())
		}
		select {
		case <-time.After(clientRetry):
		case <-ctx.Done():
		}
	}
}

// consume takes deliveries until ctx ends, and now and then gives one back.
func (c *clients) consume(ctx context.Context, conn *amqp.Connection, id, queue int) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(c.cfg.Prefetch, 0, false); err != nil {
		return err
	}
	in, err := ch.Consume(queueName(queue), "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	t := c.ledger.begin(queue, id)
	for {
		var d amqp.Delivery
		var ok bool
		select {
		case d, ok = <-in:
		case <-ctx.Done():
			return nil
		}
		if !ok {
			return errLost
		}
		entry, ok := c.ledger.take(t, d.Body, d.Redelivered)
		if ok && !d.Redelivered && rand.Float64() < requeueShare {
			err = d.Nack(false, true)
		} else {
			if ok {
				c.ledger.settling(t, entry)
			}
			err = d.Ack(false)
		}
		if err != nil {
			return err
		}
	}
}

// publisher publishes to one queue, each message once: what no confirm tells of may have
// arrived or not.
type publisher struct {
	*clients
	id, queue int
}

// flight is a publish that awaits its confirm.
type flight struct {
	seq  uint64
	sent time.Time
}

// flights are those of one channel, by delivery tag.
type flights struct {
	mu   sync.Mutex
	open map[uint64]flight
	free chan struct{}
}

func (f *flights) add(tag uint64, x flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[tag] = x
}

func (f *flights) land(tag uint64) (flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.open[tag]
	delete(f.open, tag)
	return x, ok
}

// oldest is how long the oldest has been waiting.
func (f *flights) oldest() (d time.Duration, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.open {
		d = max(d, time.Since(x.sent))
	}
	return d, len(f.open)
}

// session publishes on one channel until ctx ends, then waits for the last confirms.
func (p *publisher) session(ctx context.Context, conn *amqp.Connection, session uint32) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	var listeners sync.WaitGroup
	defer listeners.Wait()
	defer func() { _ = conn.CloseDeadline(time.Now().Add(clientDial)) }() // ends the listeners
	closes, lost := ch.NotifyClose(make(chan *amqp.Error, 1)), make(chan struct{})
	listeners.Go(func() {
		defer close(lost)
		for range closes { // one or none, then it is closed
		}
	})
	returns := ch.NotifyReturn(make(chan amqp.Return, p.cfg.Window))
	listeners.Go(func() {
		for r := range returns {
			if s, ok := readStamp(r.Body); ok {
				p.ledger.returned(p.id, s.seq)
			}
		}
	})
	f := &flights{open: map[uint64]flight{}, free: make(chan struct{}, p.cfg.Window)}
	for range p.cfg.Window {
		f.free <- struct{}{}
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, p.cfg.Window))
	listeners.Go(func() {
		for c := range confirms {
			if x, ok := f.land(c.DeliveryTag); ok {
				p.ledger.confirm(p.id, x.seq, c.Ack)
				f.free <- struct{}{}
			}
		}
	})
	if err := p.publish(ctx, ch, f, session, lost); err != nil {
		return err
	}
	return settle(f, lost)
}

func (p *publisher) publish(ctx context.Context, ch *amqp.Channel, f *flights, session uint32, lost <-chan struct{}) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / p.cfg.Rate))
	defer tick.Stop()
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for tag := uint64(1); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			return errLost
		case <-check.C:
			if d, _ := f.oldest(); d > confirmPatience {
				return errStuck
			}
			continue
		case <-tick.C:
		}
		select {
		case <-f.free:
		default:
			continue // the window is full
		}
		s := p.ledger.publish(p.id, p.queue, session)
		f.add(tag, flight{s.seq, time.Now()})
		size := stampBytes + rand.IntN(p.cfg.Size-stampBytes+1)
		err := ch.PublishWithContext(ctx, "", queueName(p.queue), true, false, amqp.Publishing{Body: s.body(size), DeliveryMode: amqp.Persistent})
		if err != nil {
			return err
		}
		tag++
	}
}

// settle waits for the last confirms.
func settle(f *flights, lost <-chan struct{}) error {
	timeout := time.After(confirmPatience)
	for range cap(f.free) {
		select {
		case <-f.free:
		case <-lost:
			return errLost
		case <-timeout:
			return errStuck
		}
	}
	return nil
}
