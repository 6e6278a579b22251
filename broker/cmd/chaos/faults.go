package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// diskSlack is how long after its disk has room again a node may still end over it.
const (
	diskSlack    = 5 * time.Second
	restartPause = time.Second // of a node that ended by itself
)

// breaker does what the plan says to a cluster.
type breaker struct {
	c      *cluster
	l      *ledger
	disks  []*disk // none: no disk faults
	out    io.Writer
	tasks  sync.WaitGroup
	ending context.Context

	mu    sync.Mutex
	done  []episode
	full  [nodeCount]int       // disk faults in force
	freed [nodeCount]time.Time // the last one's end
	met   [nodeCount]int       // faults that meet a node now
	// wellSince is since when a majority of the nodes meets no fault; 0: it does.
	wellSince moment
}

// episode is a fault that was in force.
type episode struct {
	fault    fault
	from, to moment // to is 0 while it lasts
}

func (b *breaker) say(format string, args ...any) {
	fmt.Fprintf(b.out, "%8.3fs  %s\n", time.Duration(b.l.now()).Seconds(), fmt.Sprintf(format, args...))
}

// run breaks things until ctx ends, and returns when all faults are over.
func (b *breaker) run(ctx context.Context, p *plan) {
	var overlapping sync.WaitGroup
	defer overlapping.Wait()
	for {
		f := p.next()
		select {
		case <-time.After(f.before):
		case <-ctx.Done():
			return
		}
		if f.overlap {
			overlapping.Go(func() { b.do(f) })
		} else {
			b.do(f)
		}
	}
}

// do brings a fault about and ends it.
func (b *breaker) do(f fault) {
	n := b.c.nodes[f.node]
	if (f.kind == killOne || f.kind == freeze) && !n.running() {
		return
	}
	b.mu.Lock()
	at := len(b.done)
	b.done = append(b.done, episode{fault: f, from: b.l.now()})
	b.mu.Unlock()
	b.meet(f, 1)
	b.say("%s", f)
	if err := b.inflict(f, n); err != nil {
		b.l.note(fmt.Sprintf("the fault %q went wrong: %v", f, err))
	}
	b.meet(f, -1)
	b.mu.Lock()
	b.done[at].to = b.l.now()
	b.mu.Unlock()
	b.say("  over: %s", f)
}

func (b *breaker) inflict(f fault, n *node) error {
	switch f.kind {
	case killOne:
		n.kill()
		time.Sleep(f.lasts)
		return b.c.start(n)
	case killAll:
		for _, n := range b.c.nodes {
			b.tasks.Go(n.kill)
		}
		time.Sleep(f.lasts)
		for _, i := range f.order {
			b.c.nodes[i].kill() // waits for the end, also of one that another fault has started
			if err := b.c.start(b.c.nodes[i]); err != nil {
				return err
			}
			time.Sleep(f.stagger)
		}
	case freeze:
		n.freeze()
		time.Sleep(f.lasts)
		n.thaw()
	case cutBoth, cutOneWay, cutPair:
		pairs := b.pairs(f)
		b.c.net.change(pairs, func(l *link) { l.cuts++ })
		time.Sleep(f.lasts)
		if f.reset {
			b.c.net.reset(pairs)
		}
		b.c.net.change(pairs, func(l *link) { l.cuts-- })
	case slow:
		pairs := b.pairs(f)
		b.c.net.change(pairs, func(l *link) { l.delay = f.delay })
		time.Sleep(f.lasts)
		b.c.net.change(pairs, func(l *link) { l.delay = 0 })
	case diskFull:
		return b.fill(f)
	case powerOne:
		return b.cutPower(f, []int{f.node})
	case powerAll:
		return b.cutPower(f, f.order)
	}
	return nil
}

// cutPower kills nodes, takes from their disks what was not synced, and starts them again
// in the same order.
func (b *breaker) cutPower(f fault, nodes []int) error {
	var all sync.WaitGroup
	for _, i := range nodes {
		b.c.nodes[i].hold()
		all.Go(b.c.nodes[i].kill)
	}
	all.Wait()
	var errs []error
	for _, i := range nodes {
		errs = append(errs, b.disks[i].cutPower())
	}
	time.Sleep(f.lasts)
	for _, i := range nodes {
		b.c.nodes[i].release()
		errs = append(errs, b.c.start(b.c.nodes[i]))
		time.Sleep(f.stagger)
	}
	return errors.Join(errs...)
}

// pairs are the directions that a fault of the network meets.
func (b *breaker) pairs(f fault) (out [][2]int) {
	if f.kind == cutPair {
		return [][2]int{{f.node, f.other}, {f.other, f.node}}
	}
	for i := range nodeCount {
		if i == f.node {
			continue
		}
		if f.kind != cutOneWay || !f.deaf {
			out = append(out, [2]int{f.node, i})
		}
		if f.kind != cutOneWay || f.deaf {
			out = append(out, [2]int{i, f.node})
		}
	}
	return out
}

// fill takes the room from a node's disk. A node that ends over it starts again when
// there is room.
func (b *breaker) fill(f fault) error {
	d := b.disks[f.node]
	b.mu.Lock()
	b.full[f.node]++
	b.mu.Unlock()
	err := d.fill(f.leave)
	time.Sleep(f.lasts)
	if e := d.free(false); err == nil {
		err = e
	}
	b.mu.Lock()
	b.full[f.node]--
	b.freed[f.node] = time.Now()
	b.mu.Unlock()
	return err
}

// excused reports whether a node may have ended because of its disk.
func (b *breaker) excused(n *node) (full, excused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full = b.full[n.index] > 0
	return full, full || time.Since(b.freed[n.index]) < diskSlack
}

// died takes a node's end that nobody asked for, and starts it again.
func (b *breaker) died(n *node, why string) {
	_, excused := b.excused(n)
	if excused {
		b.say("%s ended as its disk was full", n.name)
	} else {
		b.say("%s ENDED BY ITSELF", n.name)
		b.l.note(n.name + " ended by itself: " + why)
	}
	b.tasks.Go(func() {
		for {
			select {
			case <-time.After(restartPause):
			case <-b.ending.Done():
				return
			}
			if full, _ := b.excused(n); !full {
				break
			}
		}
		if err := b.c.start(n); err != nil {
			b.l.note(err.Error())
		}
	})
}

// heal ends what may still be in force.
func (b *breaker) heal() error {
	b.c.net.heal()
	for _, n := range b.c.nodes {
		n.thaw()
	}
	for _, d := range b.disks {
		if err := d.free(true); err != nil {
			return err
		}
	}
	return nil
}

// during names the faults in force between two moments.
func (b *breaker) during(from, to moment) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, e := range b.done {
		if e.from <= to && (e.to == 0 || e.to >= from) && !slices.Contains(out, e.fault.String()) {
			out = append(out, e.fault.String())
		}
	}
	return out
}

// counts says how many faults of each kind there were.
func (b *breaker) counts() map[kind]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[kind]int{}
	for _, e := range b.done {
		out[e.fault.kind]++
	}
	return out
}
