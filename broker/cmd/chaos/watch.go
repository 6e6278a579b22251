package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// stallMax is how long a queue may confirm nothing while a majority of the nodes is well:
// much longer than a change of leader takes.
const stallMax = 10 * time.Second

const watchInterval = 250 * time.Millisecond

// hits names the nodes that a fault meets. Of a pair that can't talk, either with the
// third is a majority.
func (f fault) hits() []int {
	if f.kind == killAll || f.kind == powerAll {
		return f.order
	}
	return []int{f.node}
}

// meet notes that a fault is in force, or not any more.
func (b *breaker) meet(f fault, d int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range f.hits() {
		b.met[n] += d
	}
	well := 0
	for _, n := range b.met {
		if n == 0 {
			well++
		}
	}
	switch {
	case well <= nodeCount/2:
		b.wellSince = 0
	case b.wellSince == 0:
		b.wellSince = b.l.now()
	}
}

// watch notes queues that stand still though a majority of the nodes is well, each once.
func (b *breaker) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	told := map[int]bool{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		since := b.wellSince
		b.mu.Unlock()
		for i, last := range b.l.lastConfirms() {
			silent := time.Duration(b.l.now() - max(last, since))
			if since == 0 || silent < stallMax {
				told[i] = false
				continue
			}
			if !told[i] {
				told[i] = true
				b.l.note(fmt.Sprintf("at %s: %s has confirmed nothing for %s with a majority of nodes well; %s",
					time.Duration(b.l.now()), queueName(i), silent, b.state(ctx, i)))
				b.say("%s STANDS STILL", queueName(i))
			}
		}
	}
}

// state is what each node says of itself and a queue.
func (b *breaker) state(ctx context.Context, queue int) string {
	var out []string
	for _, n := range b.c.nodes {
		health := "serves"
		if err := b.c.ask(ctx, n, "/api/health/checks/ready-to-serve-clients", nil); err != nil {
			health = err.Error()
		}
		q, err := b.c.queue(ctx, n, queueName(queue))
		out = append(out, fmt.Sprintf("%s: %s, %+v %v", n.name, health, q, err))
	}
	return strings.Join(out, "; ")
}

// lastConfirms is when each queue confirmed last.
func (l *ledger) lastConfirms() (out []moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.queues {
		out = append(out, l.queues[i].confirm.last)
	}
	return out
}
