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

// failoverCmd measures the silence after a leader's end.
type failoverCmd struct {
	where
	Rounds int           `help:"Faults of each kind." default:"20"`
	Faults []string      `help:"Kinds of fault that meet the leader: kill, stop, cut." enum:"kill,stop,cut" default:"kill,stop,cut"`
	Lasts  time.Duration `help:"How long a fault lasts." default:"4s"`
	Rate   float64       `help:"Messages a second and publisher." default:"500"`
	Size   int           `help:"Message body, bytes." default:"1000"`
}

const (
	failoverWarm  = time.Second     // before a fault
	failoverAfter = 3 * time.Second // after the node's return, which may disturb too
	// The places of the two publishers and consumers in the ledger.
	onSurvivor, onVictim = 0, 1
)

// silence is what clients saw of one fault.
type silence struct {
	confirms, deliveries [2]time.Duration // longest without, by onSurvivor and onVictim
	back                 time.Duration    // longest on survivors around the node's return
	serves               time.Duration    // from the node's start until it serves
}

func (f *failoverCmd) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.Rounds < 1 || f.Lasts <= 0 || f.Rate <= 0 || f.Rate > rateMax || f.Size < stampBytes {
		return errors.New("a number is out of its range")
	}
	program, _, err := f.programs()
	if err != nil {
		return err
	}
	dir, err := f.directory()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d rounds, %.0f messages/s of %d bytes and publisher, fault lasts %s\n\n", f.Rounds, f.Rate, f.Size, f.Lasts)
	fmt.Fprintln(stdout, "| fault of the leader | longest silence | median | worst |\n|---|---|---|---|")
	for _, k := range f.Faults {
		rounds, err := f.rounds(ctx, kind(k), program, filepath.Join(dir, k), stderr)
		if err != nil {
			return fmt.Errorf("%s: %w; data and logs are in %s", k, err, dir)
		}
		report(stdout, kind(k), rounds)
	}
	if f.Keep {
		return nil
	}
	return os.RemoveAll(dir)
}

func report(w io.Writer, k kind, rounds []silence) {
	row := func(what string, get func(s *silence) time.Duration) {
		var all []time.Duration
		for i := range rounds {
			all = append(all, get(&rounds[i]))
		}
		slices.Sort(all)
		fmt.Fprintf(w, "| %s | %s | %d ms | %d ms |\n", k, what, all[len(all)/2].Milliseconds(), all[len(all)-1].Milliseconds())
	}
	row("confirms, clients on survivors", func(s *silence) time.Duration { return s.confirms[onSurvivor] })
	row("deliveries, clients on survivors", func(s *silence) time.Duration { return s.deliveries[onSurvivor] })
	row("confirms, clients on the leader's node", func(s *silence) time.Duration { return s.confirms[onVictim] })
	row("deliveries, clients on the leader's node", func(s *silence) time.Duration { return s.deliveries[onVictim] })
	row("confirms on survivors while it returns", func(s *silence) time.Duration { return s.back })
	if k == killOne {
		row("from its start until it serves", func(s *silence) time.Duration { return s.serves })
	}
}

func (f *failoverCmd) rounds(ctx context.Context, k kind, program, dir string, stderr io.Writer) (out []silence, err error) {
	if err := os.Mkdir(dir, 0o750); err != nil {
		return nil, err
	}
	// Only cuts need the relays; the others shall meet what a real network does.
	c, err := newCluster(dir, program, k == cutBoth, func(n *node, why string) { fmt.Fprintln(stderr, n.name, "ended by itself:", why) })
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := c.startAll(ctx); err != nil {
		return nil, err
	}
	for i := range f.Rounds {
		s, err := f.round(ctx, c, k)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		fmt.Fprintf(stderr, "%s %d: confirms %s, deliveries %s, return %s, serves %s\n", k, i+1, s.confirms, s.deliveries, s.back, s.serves)
		out = append(out, s)
	}
	return out, nil
}

// round meets the leader once.
func (f *failoverCmd) round(ctx context.Context, c *cluster, k kind) (s silence, err error) {
	l := newLedger(rand.Uint64(), 2, 1)
	cs := &clients{
		cfg:    &runCmd{Queues: 1, Publishers: 2, Consumers: 2, Rate: f.Rate, Size: f.Size, Window: int(f.Rate), Prefetch: 200},
		url:    "amqp://guest:guest@" + c.nodes[0].amqp + "/",
		ledger: l,
	}
	if err := retry(ctx, readyTimeout, cs.declare); err != nil {
		return s, err
	}
	victim, err := c.leader(ctx)
	if err != nil {
		return s, err
	}
	others := []*node{c.nodes[(victim.index+1)%nodeCount], c.nodes[(victim.index+2)%nodeCount]}
	cs.route = func(worker, attempt int) string {
		n := others[attempt%len(others)]
		if worker == onVictim && attempt == 0 {
			n = victim
		}
		return "amqp://guest:guest@" + n.amqp + "/"
	}
	publishing, stopPublishing := context.WithCancel(context.Background())
	consuming, stopConsuming := context.WithCancel(context.Background())
	defer func() {
		stopPublishing()
		cs.publishers.Wait()
		stopConsuming()
		cs.consumers.Wait()
	}()
	cs.start(publishing, consuming)
	sleep(ctx, failoverWarm)
	l.forgetGaps()
	b := &breaker{c: c, l: l, out: io.Discard}
	began := time.Now()
	if k == killOne {
		victim.kill()
		sleep(ctx, f.Lasts)
		s.confirms, s.deliveries = l.gaps()
		l.forgetGaps()
		began = time.Now()
		if err := c.start(victim); err != nil {
			return s, err
		}
	} else {
		if err := b.inflict(fault{kind: k, node: victim.index, lasts: f.Lasts}, victim); err != nil {
			return s, err
		}
		s.confirms, s.deliveries = l.gaps()
		l.forgetGaps()
	}
	if err := c.awaitReady(ctx); err != nil {
		return s, err
	}
	s.serves = time.Since(began)
	sleep(ctx, failoverAfter)
	confirms, _ := l.gaps()
	s.back = confirms[onSurvivor]
	stopPublishing()
	cs.publishers.Wait()
	b.drain(1)
	if sum := l.sum(); sum.broken() || len(l.notes) > 0 {
		return s, fmt.Errorf("promises were broken: %+v %q", sum, l.notes)
	}
	return s, nil
}

// leader finds the node that leads the queue.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	q, err := c.queue(ctx, c.nodes[0], queueName(0))
	if err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if n.name == q.Leader {
			return n, nil
		}
	}
	return nil, fmt.Errorf("nobody leads %s", q.Name)
}
