package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTimeout    = 5 * time.Second
	retryDelay     = 200 * time.Millisecond // between attempts to connect again
	confirmTimeout = 10 * time.Second       // for the last confirms
	heartbeat      = 10 * time.Second
)

// bench is one run.
type bench struct {
	cfg    config
	id     uint64
	start  time.Time
	ledger *ledger
	notes  io.Writer // progress
	points []point   // of the plot; progress writes it, then nobody

	sent, confirmed, received atomic.Uint64
	failures                  atomic.Uint64 // connections and channels lost
	publishing                histogram     // time in the publish call
	confirming                histogram     // from publish to confirm
	consuming                 histogram     // from publish to delivery
}

func newBench(cfg config, notes io.Writer) *bench {
	return &bench{cfg: cfg, id: rand.Uint64(), notes: notes, ledger: newLedger(cfg.Producers)}
}

// run declares, loads, drains and sums up.
func (b *bench) run(ctx context.Context) (*result, error) {
	if err := b.declare(); err != nil {
		return nil, err
	}
	b.start = time.Now()
	consuming, stopConsumers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopConsumers()
	var consumers, producers, progress sync.WaitGroup
	for i := range b.cfg.Consumers {
		consumers.Go(func() { b.repeat(consuming, i, b.consume) })
	}
	loading, stopProducers := ctx, context.CancelFunc(func() {})
	if b.cfg.Seconds > 0 {
		loading, stopProducers = context.WithTimeout(ctx, time.Duration(b.cfg.Seconds)*time.Second)
	}
	defer stopProducers()
	for i := range b.cfg.Producers {
		producers.Go(func() { b.repeat(loading, i, b.produce) })
	}
	reporting, stopProgress := context.WithCancel(consuming)
	progress.Go(func() { b.progress(reporting) })

	if b.cfg.Producers == 0 {
		<-loading.Done()
	}
	producers.Wait()
	took := time.Since(b.start)
	b.drain(ctx)
	stopConsumers()
	consumers.Wait()
	stopProgress()
	progress.Wait()
	return b.result(took), errors.Join(b.plot(), b.cleanUp())
}

// repeat runs a worker until it is done, and again after failures, on the next broker.
func (b *bench) repeat(ctx context.Context, worker int, work func(ctx context.Context, conn *amqp.Connection, worker int) (done bool, err error)) {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		conn, err := b.dial(worker + attempt)
		done := false
		if err == nil {
			done, err = work(ctx, conn, worker)
			_ = conn.Close() // an error here would be the one that work has seen
		}
		if done || ctx.Err() != nil {
			return
		}
		if b.failures.Add(1) <= 3 {
			fmt.Fprintf(b.notes, "worker %d: %v\n", worker, err)
		}
		select {
		case <-time.After(retryDelay):
		case <-ctx.Done():
		}
	}
}

func (b *bench) dial(n int) (*amqp.Connection, error) {
	return amqp.DialConfig(b.cfg.URI[n%len(b.cfg.URI)], amqp.Config{
		Heartbeat: heartbeat, Dial: dialCoalescing(dialTimeout),
		Properties: amqp.Table{"connection_name": "perf"},
	})
}

// onChannel runs f on a channel of its own connection, on the first broker that answers.
func (b *bench) onChannel(f func(*amqp.Channel) error) error {
	var errs []error
	for i := range b.cfg.URI {
		conn, err := b.dial(i)
		if err != nil {
			errs = append(errs, fmt.Errorf("connect: %w", err))
			continue
		}
		ch, err := conn.Channel()
		if err == nil {
			err = f(ch)
		}
		return errors.Join(err, conn.Close())
	}
	return errors.Join(errs...)
}

func (b *bench) declare() error {
	args := amqp.Table{}
	if b.cfg.Quorum {
		args["x-queue-type"] = "quorum"
	}
	return b.onChannel(func(ch *amqp.Channel) error {
		for i := range b.cfg.Queues {
			durable := b.cfg.Quorum || !b.cfg.Transient
			if _, err := ch.QueueDeclare(b.cfg.queueName(i), durable, false, false, false, args); err != nil {
				return fmt.Errorf("declare: %w", err)
			}
		}
		return nil
	})
}

func (b *bench) cleanUp() error {
	if b.cfg.Keep {
		return nil
	}
	return b.onChannel(func(ch *amqp.Channel) error {
		for i := range b.cfg.Queues {
			if _, err := ch.QueueDelete(b.cfg.queueName(i), false, false, false); err != nil {
				return fmt.Errorf("delete: %w", err)
			}
		}
		return nil
	})
}

// drain waits for messages on their way, as long as any arrive.
func (b *bench) drain(ctx context.Context) {
	if b.cfg.Consumers == 0 {
		return
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	seen, since := b.ledger.lastChange.Load(), time.Now()
	for b.ledger.totals().pending > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if n := b.ledger.lastChange.Load(); n != seen {
			seen, since = n, time.Now()
		} else if time.Since(since) > b.cfg.Drain {
			return
		}
	}
}
