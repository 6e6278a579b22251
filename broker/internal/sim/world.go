// Package sim runs a whole cluster and its clients in one process, one at a time, on
// simulated clocks, networks and disks. The programs are the real ones, compiled to
// WebAssembly: each process of the simulated world is an instance of its own, which can be
// killed between any two of its system calls, paused, cut off, or lose the power. Every
// choice comes from one seed, so that a run that fails can be had again, and shortened.
package sim

import (
	"container/heap"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
)

// epoch is the wall clock at a world's beginning.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is clocks, networks, disks and processes. All of it belongs to whoever has the
// turn: the loop in run, or the one process that it resumed.
type world struct {
	ctx     context.Context
	program *Program
	log     io.Writer // of the processes
	now     int64     // ns since epoch
	events  events
	serial  uint64
	chance  *rand.Rand // latencies
	seed    uint64

	machines []*machine // in the order of their addresses
	conns    []*conn    // open in one direction at least
	turn     chan struct{}
	booted   uint64 // processes

	minLatency, maxLatency time.Duration
	blocked                map[[2]*machine]int // links that lose everything: how many want that
	slow                   map[*machine]time.Duration

	recorded func(*process, []byte)
	applied  func(p *process, group, index, term uint64, b []byte)
	leads    func(p *process, group, term uint64)
	ended    func(*process)
	counts   Counts
}

// Counts says how much happened in one run, or in many.
type Counts struct {
	Simulated time.Duration
	Processes int // started
	Packets   int
	Syncs     int
	Faults    map[faultKind]int

	Sent, Confirmed, Refused int // messages
	Taken, Again             int // deliveries: all, and those marked as redelivered
}

// Add adds another run's.
func (c *Counts) Add(o Counts) {
	c.Simulated += o.Simulated
	c.Processes += o.Processes
	c.Packets += o.Packets
	c.Syncs += o.Syncs
	c.Sent += o.Sent
	c.Confirmed += o.Confirmed
	c.Refused += o.Refused
	c.Taken += o.Taken
	c.Again += o.Again
	if c.Faults == nil {
		c.Faults = map[faultKind]int{}
	}
	for k, n := range o.Faults {
		c.Faults[k] += n
	}
}

func (c Counts) String() string {
	kinds := make([]string, 0, len(c.Faults))
	all := 0
	for _, k := range slices.Sorted(maps.Keys(c.Faults)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, c.Faults[k]))
		all += c.Faults[k]
	}
	return fmt.Sprintf("%s simulated, %d processes, %d packets, %d syncs\n"+
		"messages: %d sent, %d confirmed, %d refused; %d delivered, %d of them again\n"+
		"faults: %d (%s)", c.Simulated.Round(time.Second), c.Processes, c.Packets, c.Syncs,
		c.Sent, c.Confirmed, c.Refused, c.Taken, c.Again, all, strings.Join(kinds, ", "))
}

// event is something that happens at a time.
type event struct {
	at     int64
	serial uint64 // of two at the same time, the older one is first
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

func newWorld(ctx context.Context, p *Program, seed uint64, log io.Writer) *world {
	return &world{
		ctx: ctx, program: p, log: log, seed: seed,
		chance: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // reproducible
		turn:   make(chan struct{}), blocked: map[[2]*machine]int{}, slow: map[*machine]time.Duration{},
		counts:     Counts{Faults: map[faultKind]int{}},
		minLatency: 50 * time.Microsecond, maxLatency: 400 * time.Microsecond,
	}
}

// after has do done d from now.
func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.events, event{w.now + max(int64(d), 0), w.serial, do})
}

// run lets the world go on for d.
func (w *world) run(d time.Duration) {
	end := w.now + int64(d)
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = max(w.now, e.at)
		e.do()
	}
	w.now = max(w.now, end)
	w.counts.Simulated = time.Duration(w.now)
}

// close ends all processes.
func (w *world) close() {
	for _, m := range w.machines {
		if m.process != nil {
			m.process.kill()
		}
	}
}

// logf writes a line of the world's own into the log.
func (w *world) logf(format string, args ...any) {
	w.line("world", fmt.Appendf(nil, format, args...))
}

func (w *world) line(who string, line []byte) {
	fmt.Fprintf(w.log, "%12s %-10s %s\n", time.Duration(w.now), who, line)
}

// between returns a duration from lo to hi.
func between(r *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Int64N(int64(hi-lo)+1))
}

// Program is what processes run: one WebAssembly module for all of them.
type Program struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
}

// Load compiles the program; cache is a directory that makes the next time faster, or "".
func Load(ctx context.Context, wasm []byte, cache string) (*Program, error) {
	config := wazero.NewRuntimeConfigCompiler()
	if cache != "" {
		c, err := wazero.NewCompilationCacheWithDir(cache)
		if err != nil {
			return nil, err
		}
		config = config.WithCompilationCache(c)
	}
	p := &Program{runtime: wazero.NewRuntimeWithConfig(ctx, config)}
	err := exportCalls(ctx, p.runtime)
	if err == nil {
		p.code, err = p.runtime.CompileModule(ctx, wasm)
	}
	if err != nil {
		_ = p.Close(ctx)
		return nil, err
	}
	return p, nil
}

// Close frees the program's memory.
func (p *Program) Close(ctx context.Context) error { return p.runtime.Close(ctx) }
