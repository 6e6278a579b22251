package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/sim/task"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// The cluster and its clients.
const (
	nodes         = 3
	clients       = 2
	groupsPerNode = 2
	segmentBytes  = 256 << 10
	memtableBytes = 64 << 10
	bodyBytes     = 2 << 10
	publishPause  = 40 * time.Millisecond
	publishUntil  = 11 * time.Second
	finishAt      = faultsUntil + faultLong + restartMax

	restartAfter = 500 * time.Millisecond  // of a node that ended by itself
	quietAfter   = 1500 * time.Millisecond // without deliveries
	stuckAfter   = 60 * time.Second        // after the last fault
	answerWithin = 10 * time.Second        // after the last fault, of whatever is published
	auditTime    = time.Minute
	lookInterval = 500 * time.Millisecond
)

var queues = []task.Queue{{Name: "q1", Replicated: true}, {Name: "q2", Replicated: true}, {Name: "d1"}}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

// scenario is one run.
type scenario struct {
	w       *world
	nodes   []*machine
	clients []*machine
	auditor *machine
	ledger  *ledger
	excused [nodes]bool          // its disk failed: it may end by itself
	rest    [nodes]time.Duration // how long it is down when it ends
	ending  bool

	whenEnded [nodes][]func() // called once
}

// Result is what a run showed.
type Result struct {
	Seed   uint64
	Faults []string // all of the seed's, for people
	Only   []int    // those that were injected, by number
	Wrong  []string // none: all is well
	Counts Counts
}

// Run runs a seed. Of its faults it injects those that only names by number, all if only is
// nil. What the processes say goes to log.
func Run(ctx context.Context, p *Program, seed uint64, only []int, log io.Writer) Result {
	w := newWorld(ctx, p, seed, log)
	s := &scenario{w: w, ledger: newLedger(&w.counts)}
	w.recorded = func(p *process, b []byte) {
		w.line(p.m.name, b)
		s.ledger.take(w.now, b)
	}
	w.ended = s.ended
	w.applied = func(p *process, group, index, term uint64, b []byte) {
		s.ledger.apply(p.m.name, entryKey{group, index}, term, b)
	}
	w.leads = func(p *process, group, term uint64) { s.ledger.lead(p.m.name, termKey{group, term}) }
	for i := range nodes {
		s.nodes = append(s.nodes, w.addMachine(nodeName(i)))
	}
	for i := range clients {
		s.clients = append(s.clients, w.addMachine(fmt.Sprintf("clients-%d", i+1)))
	}
	s.auditor = w.addMachine("auditor")
	r := Result{Seed: seed, Only: only}
	for i, f := range plan(seed) {
		r.Faults = append(r.Faults, f.String())
		if only == nil {
			r.Only = append(r.Only, i)
		}
		if slices.Contains(r.Only, i) {
			w.after(f.At, func() { s.inject(f) })
		}
	}
	s.start()
	w.run(max(publishUntil, finishAt))
	s.settle()
	s.audit()
	s.ending = true
	w.close()
	s.ledger.close()
	r.Wrong, r.Counts = s.ledger.wrong, w.counts
	return r
}

// start starts everybody.
func (s *scenario) start() {
	for i := range s.nodes {
		s.w.after(between(s.w.chance, 0, time.Second), func() { s.startNode(i) })
	}
	for i, m := range s.clients {
		m.start(encode(task.Task{Clients: &task.Clients{
			Name: string(rune('A' + i)), Nodes: s.addrs(), Queues: queues, PublishUntil: publishUntil, FinishAt: finishAt, Pause: publishPause, BodyBytes: bodyBytes,
		}}))
	}
}

// settle waits until all publishers have finished, all that was confirmed was taken out, and
// nothing moves any more.
func (s *scenario) settle() {
	for over := s.w.now; ; {
		s.w.run(lookInterval)
		if s.ledger.done == clients*len(queues) && s.ledger.open() == 0 && time.Duration(s.w.now-s.ledger.moved) > quietAfter {
			return
		}
		if time.Duration(s.w.now-over) > stuckAfter {
			s.ledger.violation("%s after the last fault, %d of %d publishers could publish, and %d confirmed messages were not taken out",
				stuckAfter, s.ledger.done, clients*len(queues), s.ledger.open())
			return
		}
	}
}

// audit asks all nodes what they know.
func (s *scenario) audit() {
	s.auditor.start(encode(task.Task{Audit: &task.Audit{Nodes: s.addrs()}}))
	for began := s.w.now; s.auditor.process != nil && s.w.now-began < int64(auditTime); {
		s.w.run(lookInterval)
	}
	if n := len(s.ledger.views); n < nodes {
		s.ledger.violation("%d of %d nodes answered the auditor", n, nodes)
	}
}

func encode(t task.Task) string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("sim: " + err.Error()) // plain data: can't fail
	}
	return string(b)
}

func (s *scenario) addrs() []string {
	a := make([]string, nodes)
	for i, m := range s.nodes {
		a[i] = m.addr
	}
	return a
}

// startNode starts a node unless it runs.
func (s *scenario) startNode(i int) {
	m := s.nodes[i]
	if m.process != nil || s.ending {
		return
	}
	peers := s.addrs()
	for i := range peers {
		peers[i] += task.PortPeer
	}
	m.start(encode(task.Task{Node: &task.Node{
		Name: m.name, Addr: m.addr, Peers: peers, GroupsPerNode: groupsPerNode, SegmentBytes: segmentBytes, MemtableBytes: memtableBytes,
	}}))
}

// damaged is what a node says that ends over its log.
const damaged = "is damaged"

// ended looks at why a process is gone, and starts a node again.
func (s *scenario) ended(p *process) {
	s.w.logf("%s ended with code %d", p.m.name, p.code)
	if s.ending {
		return
	}
	why := strings.Join(p.tail, "\n")
	i := slices.Index(s.nodes, p.m)
	switch {
	case i < 0 && (p.killed || p.code != 0), i >= 0 && !p.killed && (p.code != 1 || !s.excused[i]):
		s.ledger.violation("%s ended by itself with code %d:\n%s", p.m.name, p.code, why)
	case i >= 0 && strings.Contains(why, damaged):
		s.w.logf("%s gets an empty disk", p.m.name)
		p.m.disk.mem = storage.NewMemFS()
		s.excuseUnreplicated()
	}
	if i >= 0 {
		s.w.after(cmp.Or(s.rest[i], restartAfter), func() { s.startNode(i) })
		s.rest[i] = 0
		waiting := s.whenEnded[i]
		s.whenEnded[i] = nil
		for _, then := range waiting {
			then()
		}
	}
}

// excuseUnreplicated gives up what was sent so far to queues that are on one disk only,
// which may be the damaged one.
func (s *scenario) excuseUnreplicated() {
	for _, q := range queues {
		if !q.Replicated {
			s.ledger.excuse(q.Name)
		}
	}
}
