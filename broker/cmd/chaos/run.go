package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	warmUp       = time.Second      // before the first fault
	coolDown     = 3 * time.Second  // after the last one
	drainTimeout = 60 * time.Second // for what is confirmed to come
	emptyTimeout = 20 * time.Second // for the queues to show as empty
)

// outcome is what a run found.
type outcome struct {
	seed          uint64
	took          time.Duration
	summary       summary
	lives, orders verdict
}

// run breaks a cluster and checks it.
func (r *runCmd) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	kinds, err := parseKinds(r.Faults)
	if err != nil {
		return err
	}
	program, balancer, err := r.programs()
	if err != nil {
		return err
	}
	dir, err := r.directory()
	if err != nil {
		return err
	}
	if r.Seed == 0 {
		r.Seed = rand.Uint64N(1 << 32)
	}
	fmt.Fprintf(stdout, "seed %d, %s, data and logs in %s\n", r.Seed, r.For, dir)

	ending, end := context.WithCancel(context.Background())
	defer end()
	b := &breaker{l: newLedger(rand.Uint64(), r.Queues*r.Publishers, r.Queues), out: stderr, ending: ending, wellSince: 1}
	c, err := newCluster(dir, program, true, b.died)
	if err != nil {
		return err
	}
	b.c = c
	if slices.ContainsFunc(kinds, kind.needsDisk) {
		if err := b.mount(dir); err != nil {
			fmt.Fprintln(stdout, "no disk faults:", err)
			kinds = slices.DeleteFunc(slices.Clone(kinds), kind.needsDisk)
		}
	}
	defer func() {
		end()
		b.tasks.Wait()
		c.stop()
		err = errors.Join(err, b.cleanUp(dir, r.Keep || err != nil))
	}()
	if len(kinds) == 0 {
		return errors.New("no faults are left")
	}
	o, err := r.chaos(ctx, b, newPlan(r.Seed, kinds, r.Calm), balancer)
	if err != nil {
		return err
	}
	if !o.write(stdout, b, b.l) {
		fmt.Fprintf(stdout, "data and logs are in %s\n", dir)
		return errViolated
	}
	return nil
}

// mount gives each node a small disk.
func (b *breaker) mount(dir string) error {
	for _, n := range b.c.nodes {
		d, err := newDisk(dir, n.name)
		if err != nil {
			return err
		}
		b.disks = append(b.disks, d)
		n.dir = filepath.Join(d.mount, "data")
	}
	return nil
}

// cleanUp removes what the run made; the data and logs too, unless they are wanted.
func (b *breaker) cleanUp(dir string, keep bool) error {
	var errs []error
	for _, d := range b.disks {
		if !keep {
			errs = append(errs, d.remove())
		}
	}
	if keep || errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	return os.RemoveAll(dir)
}

// chaos starts everything, breaks it, heals it, drains the queues and checks.
func (r *runCmd) chaos(ctx context.Context, b *breaker, p *plan, balancer string) (*outcome, error) {
	c, l := b.c, b.l
	if err := errors.Join(c.startAll(ctx), c.startBalancer(balancer)); err != nil {
		return nil, err
	}
	clients := &clients{cfg: r, url: c.url, ledger: l}
	if err := retry(ctx, readyTimeout, clients.declare); err != nil {
		return nil, fmt.Errorf("declare: %w", err)
	}
	publishing, stopPublishing := context.WithCancel(context.Background())
	defer stopPublishing()
	consuming, stopConsuming := context.WithCancel(context.Background())
	defer func() {
		stopPublishing()
		stopConsuming()
		clients.publishers.Wait()
		clients.consumers.Wait()
	}()
	clients.start(publishing, consuming)
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	b.tasks.Go(func() { b.watch(watching) })
	sleep(ctx, warmUp)
	breaking, stopBreaking := context.WithTimeout(ctx, r.For)
	b.run(breaking, p)
	stopBreaking()
	b.say("all faults are over")
	if err := b.heal(); err != nil {
		return nil, err
	}
	if err := c.startAll(context.Background()); err != nil {
		l.note(err.Error())
	} else {
		b.say("all nodes serve")
		b.awaitLife(l)
		sleep(ctx, coolDown)
	}
	stopWatching()
	stopPublishing()
	clients.publishers.Wait()
	b.say("publishers are done")
	empty := b.drain(r.Queues)
	stopConsuming()
	clients.consumers.Wait()
	b.say("drained")
	return &outcome{
		seed: r.Seed, took: time.Duration(l.now()), summary: l.sum(),
		lives: l.checkLives(empty), orders: l.checkOrder(),
	}, nil
}

// awaitLife waits until each queue confirms again.
func (b *breaker) awaitLife(l *ledger) {
	from := l.now()
	deadline := time.Now().Add(confirmPatience)
	for time.Now().Before(deadline) {
		if l.deaf(from) == "" {
			return
		}
		time.Sleep(pollInterval)
	}
	l.note(fmt.Sprintf("with everything healed, no confirm within %s from %s", confirmPatience, l.deaf(from)))
}

// deaf names a queue that has not confirmed since a moment.
func (l *ledger) deaf(since moment) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queues {
		if l.queues[i].confirm.last < since {
			return queueName(i)
		}
	}
	return ""
}

// drain waits for what is on its way, then for the queues to be empty. It returns when
// that was.
func (b *breaker) drain(queues int) (empty moment) {
	for start := time.Now(); b.l.pending() > 0 && time.Since(start) < drainTimeout; {
		time.Sleep(pollInterval)
	}
	var why error
	for start := time.Now(); time.Since(start) < emptyTimeout; time.Sleep(pollInterval) {
		if why = b.emptyQueues(queues); why == nil {
			return b.l.now()
		}
	}
	b.l.note("the queues don't get empty: " + why.Error())
	return 0
}

// emptyQueues asks every node for every queue.
func (b *breaker) emptyQueues(queues int) error {
	for _, n := range b.c.nodes {
		for i := range queues {
			q, err := b.c.queue(context.Background(), n, queueName(i))
			if err != nil {
				return err
			}
			if q.Ready != 0 || q.Unacked != 0 {
				return fmt.Errorf("%s says that %s has %d ready and %d unacknowledged", n.name, q.Name, q.Ready, q.Unacked)
			}
		}
	}
	return nil
}

// retry calls f until it succeeds or time is over.
func retry(ctx context.Context, within time.Duration, f func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(clientRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
