package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// fault is something that goes wrong for a while.
type fault struct {
	At, For time.Duration
	Kind    faultKind
	Node    int    // whom it hits
	Other   int    // the other end of a link
	Chance  uint64 // seed of what else it depends on
}

type faultKind string

const (
	faultKill     faultKind = "kill"     // the process ends within one of its next writes
	faultFlap     faultKind = "flap"     // two processes end again and again, and start at once
	faultPower    faultKind = "power"    // the machine loses its power, and what is not synced
	faultKillAll  faultKind = "killall"  // all processes end
	faultPowerAll faultKind = "powerall" // all machines lose their power
	faultPause    faultKind = "pause"    // the process stands still
	faultCut      faultKind = "cut"      // the machine is cut off from the other nodes
	faultAlone    faultKind = "alone"    // it is cut off from clients, too
	faultOneWay   faultKind = "oneway"   // nothing comes from the machine, or nothing arrives there
	faultPair     faultKind = "pair"     // a link between two is cut
	faultReset    faultKind = "reset"    // connections between two break
	faultLatency  faultKind = "latency"  // all that the machine sends is late
	faultSlowDisk faultKind = "slowdisk" // syncs take long
	faultStall    faultKind = "stall"    // syncs do not end
	faultFull     faultKind = "full"     // the disk is full
	faultSync     faultKind = "sync"     // a sync fails
	faultClock    faultKind = "clock"    // the wall clock jumps
	faultRot      faultKind = "rot"      // power is lost, and a byte of the log has changed
	faultTurns    faultKind = "turns"    // two do not see each other; the third ends in the middle of something, and sees the other one next
	faultWipe     faultKind = "wipe"     // the disk is empty, one node is behind and the other is down
)

var faultKinds = []faultKind{
	faultKill, faultKill, faultKill, faultFlap, faultFlap, faultPower, faultPower, faultKillAll, faultPowerAll, faultPowerAll, faultPause, faultPause, faultCut, faultAlone,
	faultOneWay, faultPair, faultReset, faultLatency, faultSlowDisk, faultStall, faultFull, faultSync, faultClock, faultRot, faultTurns, faultTurns, faultWipe,
}

// When faults happen, and how long they last.
const (
	faultsFrom   = 2 * time.Second
	faultsUntil  = 9 * time.Second
	faultsMin    = 3
	faultsMax    = 8
	faultLong    = 3 * time.Second
	restartMax   = 2 * time.Second // of a node after another, if all are down
	armedMax     = 60              // writes until a killed process ends
	armedWait    = 300 * time.Millisecond
	clockJumpMax = 2 * time.Hour
	latencyMax   = 40 * time.Millisecond
	slowSyncMax  = 400 * time.Millisecond
	flapMax      = 400 * time.Millisecond // between two ends of a process
	flapRest     = 5 * time.Millisecond
	turnsMin     = 3 * time.Second
	turnsMax     = 6 * time.Second
	turnMin      = 20 * time.Millisecond  // of seeing the same node, until it may end
	turnArmed    = 400 * time.Millisecond // until it must end within its next writes
	turnMax      = 3 * time.Second        // until it ends in any case
	turnWrites   = 8
	behindMax    = time.Second // how long a node is cut off before another's disk is wiped
)

// plan returns the faults of a seed.
func plan(seed uint64) []fault {
	r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // reproducible
	faults := make([]fault, faultsMin+r.IntN(faultsMax-faultsMin+1))
	rotten := r.IntN(nodes) // two bad disks lose what both should keep
	for i := range faults {
		f := fault{
			At: between(r, faultsFrom, faultsUntil), For: between(r, 20*time.Millisecond, faultLong),
			Kind: faultKinds[r.IntN(len(faultKinds))], Node: r.IntN(nodes), Chance: r.Uint64(),
		}
		switch f.Kind {
		case faultRot, faultWipe:
			f.Node = rotten
		case faultTurns:
			f.For = between(r, turnsMin, turnsMax)
		}
		f.Other = (f.Node + 1 + r.IntN(nodes-1)) % nodes
		faults[i] = f
	}
	slices.SortFunc(faults, func(a, b fault) int { return int(a.At - b.At) })
	return faults
}

func (f fault) String() string {
	s := fmt.Sprintf("%s %s", f.At.Round(time.Millisecond), f.Kind)
	switch f.Kind {
	case faultKillAll, faultPowerAll:
	case faultPair, faultReset, faultOneWay, faultFlap, faultTurns, faultWipe:
		s += fmt.Sprintf(" %s and %s", nodeName(f.Node), nodeName(f.Other))
	default:
		s += " " + nodeName(f.Node)
	}
	return s + fmt.Sprintf(" for %s", f.For.Round(time.Millisecond))
}

// inject begins a fault and has its end follow.
func (s *scenario) inject(f fault) {
	w, m, other := s.w, s.nodes[f.Node], s.nodes[f.Other]
	r := rand.New(rand.NewPCG(f.Chance, 3)) //nolint:gosec // reproducible
	w.logf("fault: %s", f)
	w.counts.Faults[f.Kind]++
	until := func(end func()) { w.after(f.For, end) }
	switch f.Kind {
	case faultKill:
		s.restFor(f.Node, f.For)
		if p := m.process; p != nil {
			p.armed = 1 + r.IntN(armedMax)
			w.after(armedWait, func() {
				if !p.done {
					p.kill()
				}
			})
		}
	case faultFlap:
		for _, i := range []int{f.Node, f.Other} {
			for at := between(r, 0, flapMax); at < f.For; at += between(r, 0, flapMax) {
				w.after(at, func() {
					s.restFor(i, flapRest)
					if p := s.nodes[i].process; p != nil {
						p.kill()
					}
				})
			}
		}
	case faultTurns:
		third := s.nodes[nodes-f.Node-f.Other]
		until(w.cut(bothWays(other, third)))
		s.turn(r, f.Node, other, third, w.now+int64(f.For))
	case faultWipe:
		s.wipe(f, between(r, 0, behindMax))
	case faultPower:
		s.restFor(f.Node, f.For)
		m.cutPower(survival(r))
	case faultKillAll, faultPowerAll:
		for i, m := range s.nodes {
			s.restFor(i, f.For+between(r, 0, restartMax))
			if f.Kind == faultPowerAll {
				m.cutPower(survival(r))
			} else if m.process != nil {
				m.process.kill()
			}
		}
	case faultPause:
		if p := m.process; p != nil {
			p.pause()
			until(p.cont)
		}
	case faultCut:
		until(w.cut(bothWays(m, s.nodes...)))
	case faultAlone:
		until(w.cut(bothWays(m, w.machines...)))
	case faultOneWay:
		pairs := bothWays(m, s.nodes...)
		from := r.IntN(2)
		until(w.cut(slices.DeleteFunc(pairs, func(p [2]*machine) bool { return p[from] != m })))
	case faultPair:
		until(w.cut(bothWays(m, other)))
	case faultReset:
		w.reset(m, other)
	case faultLatency:
		w.slow[m] = between(r, 0, latencyMax)
		until(func() { delete(w.slow, m) })
	case faultSlowDisk:
		m.disk.slow = between(r, 0, slowSyncMax)
		until(func() { m.disk.slow = 0 })
	case faultStall:
		m.disk.stalled = true
		until(m.disk.goOn)
	case faultFull:
		m.disk.full = true
		s.excused[f.Node] = true
		until(func() { m.disk.full = false })
	case faultSync:
		m.disk.failing = 1
		s.excused[f.Node] = true
	case faultRot:
		s.restFor(f.Node, f.For)
		m.cutPower(survival(r))
		if w.counts.Confirmed == 0 {
			return // two nodes that wait for the third can't lose one for good
		}
		if err := rot(m.disk, r); err != nil {
			w.logf("%v", err)
		}
		s.excused[f.Node] = true
		s.excuseUnreplicated()
	case faultClock:
		m.skew += between(r, -clockJumpMax, clockJumpMax)
	}
}

// turn cuts a node off from hidden, has it end within one of its next writes, which without
// a leader are votes, and goes on the other way round until the time is over. What it votes
// in one turn it must know in the next one.
func (s *scenario) turn(r *rand.Rand, node int, seen, hidden *machine, until int64) {
	w, m, over := s.w, s.nodes[node], false
	heal := w.cut(bothWays(m, hidden))
	end := func() {
		if over {
			return
		}
		over = true
		heal()
		if w.now < until {
			s.turn(r, node, hidden, seen, until)
		}
	}
	w.after(between(r, turnMin, turnArmed), func() {
		s.restFor(node, flapRest)
		s.whenEnded[node] = append(s.whenEnded[node], end)
		if p := m.process; p != nil {
			p.armed = 1 + r.IntN(turnWrites)
		}
	})
	w.after(between(r, turnArmed, turnMax), func() {
		if p := m.process; p != nil && !over {
			s.restFor(node, flapRest)
			p.kill()
		}
		end()
	})
}

// wipe has a node fall behind; then the one before it is down and the one with the bad
// disk begins again with an empty one. The first must not find a majority in that.
func (s *scenario) wipe(f fault, behind time.Duration) {
	w, m, third := s.w, s.nodes[f.Node], s.nodes[nodes-f.Node-f.Other]
	if w.counts.Confirmed == 0 {
		return // two nodes that wait for the third can't lose one for good
	}
	heal := w.cut(bothWays(third, m, s.nodes[f.Other]))
	w.after(behind, func() {
		s.restFor(f.Other, f.For)
		if p := s.nodes[f.Other].process; p != nil {
			p.kill()
		}
		s.restFor(f.Node, flapRest)
		if m.process != nil {
			m.process.kill()
		}
		m.disk.mem = storage.NewMemFS()
		s.excuseUnreplicated()
		heal()
	})
}

// survival says what a power cut leaves of what was not synced.
func survival(r *rand.Rand) storage.Survival {
	var s storage.Survival
	s.Names = r.IntN(2) == 0
	if r.IntN(3) > 0 {
		s.Bytes = func(_ string, n int) (from, to int) {
			from, to = 0, r.IntN(n+1)
			if r.IntN(4) == 0 {
				from = r.IntN(to + 1)
			}
			return from, to
		}
	}
	return s
}

// restFor says how long a node that runs stays down when it ends next.
func (s *scenario) restFor(i int, d time.Duration) {
	if s.nodes[i].process != nil {
		s.rest[i] = d
	}
}

// rot changes a byte somewhere in the front half of the log's last file: what the node
// wrote last can't be told from a torn write.
func rot(d *disk, r *rand.Rand) error {
	const dir = "wal"
	names, err := d.mem.List(dir)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".log") })
	if len(names) == 0 {
		return errors.New("no log to damage")
	}
	name := dir + "/" + names[len(names)-1]
	b, err := storage.ReadFile(d.mem, name)
	if err != nil {
		return err
	}
	used := len(bytes.TrimRight(b, "\x00"))
	if used < 2 {
		return fmt.Errorf("%s is empty", name)
	}
	return d.mem.Corrupt(name, int64(r.IntN(used/2)))
}
