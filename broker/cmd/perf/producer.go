package main

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// window keeps a producer's publishes that await their confirm.
type window struct {
	free chan struct{} // one for each publish that may be on its way
	mu   sync.Mutex
	open map[uint64]flight // by delivery tag
}

type flight struct {
	seq  uint64
	sent time.Time
}

func (w *window) add(tag uint64, f flight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[tag] = f
}

func (w *window) take(tag uint64) (flight, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, ok := w.open[tag]
	delete(w.open, tag)
	return f, ok
}

// produce publishes until the count is reached or ctx ends; done says that no other
// attempt is needed.
func (b *bench) produce(ctx context.Context, conn *amqp.Connection, worker int) (done bool, err error) {
	ch, err := conn.Channel()
	if err != nil {
		return false, err
	}
	a := b.ledger.accounts[worker]
	var listeners sync.WaitGroup
	defer listeners.Wait()
	defer func() { _ = ch.Close() }() // ends the listeners
	closes, lost := ch.NotifyClose(make(chan *amqp.Error, 1)), make(chan struct{})
	listeners.Go(func() {
		defer close(lost)
		for range closes { // one or none, then it is closed
		}
	})
	returns := ch.NotifyReturn(make(chan amqp.Return, 64))
	listeners.Go(func() {
		for r := range returns {
			if s, ok := readStamp(r.Body, r.MessageId); ok && s.run == b.id {
				a.returnedToSender(s.seq)
			}
		}
	})
	var w *window
	if n := b.cfg.Confirm; n > 0 {
		w = &window{free: make(chan struct{}, n), open: map[uint64]flight{}}
		for range n {
			w.free <- struct{}{}
		}
		if err := ch.Confirm(false); err != nil {
			return false, err
		}
		confirms := ch.NotifyPublish(make(chan amqp.Confirmation, n))
		listeners.Go(func() { b.listen(a, w, confirms) })
	}
	done, err = b.publishAll(ctx, ch, worker, w, lost)
	if w != nil && err == nil {
		w.settle(lost)
	}
	return done, err
}

// listen enters confirms into the ledger.
func (b *bench) listen(a *account, w *window, confirms <-chan amqp.Confirmation) {
	for c := range confirms {
		f, ok := w.take(c.DeliveryTag)
		if !ok {
			continue
		}
		a.confirm(f.seq, c.Ack)
		b.confirmed.Add(1)
		b.confirming.record(time.Since(f.sent))
		w.free <- struct{}{}
	}
}

// settle waits for the last confirms.
func (w *window) settle(lost <-chan struct{}) {
	timeout := time.After(confirmTimeout)
	for range cap(w.free) {
		select {
		case <-w.free:
		case <-lost:
			return
		case <-timeout:
			return
		}
	}
}

// errLost says that the channel or its connection is gone.
var errLost = errors.New("channel lost")

func (b *bench) publishAll(ctx context.Context, ch *amqp.Channel, worker int, w *window, lost <-chan struct{}) (done bool, err error) {
	a := b.ledger.accounts[worker]
	queue := b.cfg.queueName(worker)
	msg := amqp.Publishing{Body: make([]byte, b.cfg.Size), DeliveryMode: amqp.Persistent}
	if b.cfg.Transient {
		msg.DeliveryMode = amqp.Transient
	}
	id := make([]byte, stampBytes)
	begin, pacer := time.Now(), newPacer(b.cfg.Rate, b.cfg.rates)
	for n := uint64(1); ; n++ { // n is the delivery tag
		if b.cfg.Count > 0 && a.count() >= b.cfg.Count {
			return true, nil
		}
		if err := pace(ctx, w, lost, begin, pacer); err != nil {
			return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), ignoreDone(err)
		}
		now := time.Now()
		s := stamp{run: b.id, producer: uint32(worker), seq: a.send(), sent: now.Sub(b.start)}
		if len(msg.Body) >= stampBytes {
			s.put(msg.Body)
		} else {
			s.put(id)
			msg.MessageId = string(id)
		}
		if w != nil {
			w.add(n, flight{s.seq, now})
		}
		// It counts as sent: the end of the run must not come in between.
		if err := ch.PublishWithContext(context.WithoutCancel(ctx), "", queue, true, false, msg); err != nil {
			return false, err
		}
		b.publishing.record(time.Since(now))
		b.sent.Add(1)
	}
}

// ignoreDone turns the planned end into no error.
func ignoreDone(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (a *account) count() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent
}

// pace waits until a publish may go: for its time, if there is a rate, and for a place
// in the window.
func pace(ctx context.Context, w *window, lost <-chan struct{}, begin time.Time, p *pacer) error {
	if p != nil {
		if wait := time.Until(begin.Add(p.due())); wait > 0 {
			select {
			case <-time.After(wait):
			case <-lost:
				return errLost
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	if w == nil {
		select {
		case <-lost:
			return errLost
		default:
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-w.free:
		return nil
	case <-lost:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}
