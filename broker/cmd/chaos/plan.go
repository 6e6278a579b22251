package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is a kind of fault.
type kind string

const (
	killOne   kind = "kill"    // SIGKILL of a node, which comes back
	killAll   kind = "killall" // of all, which come back in any order
	freeze    kind = "stop"    // SIGSTOP, then SIGCONT
	cutBoth   kind = "cut"     // a node and the others can't talk
	cutOneWay kind = "oneway"  // a node is not heard, or doesn't hear
	cutPair   kind = "pair"    // two nodes can't talk, the third can with both
	slow      kind = "slow"    // everything between a node and the others is late
	diskFull  kind = "disk"    // no space left for a node's data
	powerOne  kind = "power"   // a node dies, and with it what was not synced to its disk
	powerAll  kind = "powerall"
)

var kinds = []kind{killOne, killAll, freeze, cutBoth, cutOneWay, cutPair, slow, diskFull, powerOne, powerAll}

// needsDisk says that a fault needs a disk of its own for each node.
func (k kind) needsDisk() bool { return k == diskFull || k == powerOne || k == powerAll }

func kindNames() []string {
	var out []string
	for _, k := range kinds {
		out = append(out, string(k))
	}
	return out
}

func parseKinds(names []string) ([]kind, error) {
	if slices.Contains(names, "all") {
		return kinds, nil
	}
	var out []kind
	for _, n := range names {
		if !slices.Contains(kinds, kind(n)) {
			return nil, fmt.Errorf("fault %q is none of %s", n, strings.Join(kindNames(), ", "))
		}
		out = append(out, kind(n))
	}
	return out, nil
}

// faultMax is the longest time that a fault lasts.
const faultMax = 6 * time.Second

// fault is one planned fault.
type fault struct {
	kind    kind
	node    int           // whom it meets
	other   int           // of a pair
	deaf    bool          // of cutOneWay: the node doesn't hear; else it is not heard
	reset   bool          // of cuts: connections break when they heal
	leave   int64         // of diskFull: bytes left
	delay   time.Duration // of slow
	order   []int         // of killAll and powerAll: of the starts
	stagger time.Duration // between those
	lasts   time.Duration
	before  time.Duration // pause before it begins
	overlap bool          // the next one need not wait for its end
}

func (f fault) String() string {
	n := fmt.Sprintf("broker-%d", f.node+1)
	switch f.kind {
	case killAll:
		return fmt.Sprintf("kill all, back after %s in order %v, %s apart", f.lasts, f.order, f.stagger)
	case powerAll:
		return fmt.Sprintf("power cut of all, back after %s in order %v, %s apart", f.lasts, f.order, f.stagger)
	case cutPair:
		return fmt.Sprintf("cut between broker-%d and broker-%d for %s", f.node+1, f.other+1, f.lasts)
	case cutOneWay:
		if f.deaf {
			return fmt.Sprintf("%s does not hear the others for %s", n, f.lasts)
		}
		return fmt.Sprintf("%s is not heard by the others for %s", n, f.lasts)
	case slow:
		return fmt.Sprintf("%s is %s late for %s", n, f.delay, f.lasts)
	case diskFull:
		return fmt.Sprintf("disk of %s full but for %d KiB for %s", n, f.leave>>10, f.lasts)
	}
	return fmt.Sprintf("%s %s for %s", f.kind, n, f.lasts)
}

// plan makes faults; the same seed and kinds make the same ones.
type plan struct {
	rng   *rand.Rand
	kinds []kind
	calm  time.Duration
}

func newPlan(seed uint64, kinds []kind, calm time.Duration) *plan {
	return &plan{rng: rand.New(rand.NewPCG(seed, 0)), kinds: kinds, calm: calm}
}

// span is a random time, short ones more often than long ones.
func (p *plan) span(longest time.Duration) time.Duration {
	x := p.rng.Float64()
	return time.Duration(x * x * float64(longest)).Round(time.Millisecond)
}

func (p *plan) next() fault {
	f := fault{
		kind: p.kinds[p.rng.IntN(len(p.kinds))], node: p.rng.IntN(nodeCount), lasts: p.span(faultMax), before: p.span(p.calm),
		deaf: p.rng.IntN(2) == 0, reset: p.rng.IntN(2) == 0, overlap: p.rng.IntN(4) == 0,
		delay: 5*time.Millisecond + p.span(200*time.Millisecond), order: p.rng.Perm(nodeCount), stagger: p.span(time.Second),
	}
	f.other = (f.node + 1 + p.rng.IntN(nodeCount-1)) % nodeCount
	if p.rng.IntN(2) == 0 {
		f.leave = int64(p.rng.IntN(40)) << 20 // too little for the alarm, enough to go on a while
	}
	return f
}
