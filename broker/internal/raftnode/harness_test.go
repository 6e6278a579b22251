package raftnode

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/storage"
)

const testGroup = 7

// cluster is some hosts in one process, with a network that can lose, hold up and cut,
// and disks that forget what was not synced. All of a group's machines are compared as
// they apply.
type cluster struct {
	t       *testing.T
	mu      sync.Mutex
	changed sync.Cond // after anything that a test might wait for
	members map[uint64]*member
	cut     map[[2]uint64]bool
	lossy   *rand.Rand // nil: nothing is lost or held up
	held    []func()   // messages on their way
	history map[uint64]map[uint64]string
	known   map[string]bool // values that were applied
	tick    time.Duration
	wrong   string
}

// member is one host and what it runs on.
type member struct {
	c       *cluster
	replica uint64
	fs      *storage.MemFS
	faulty  func(storage.Operation) *storage.Fault
	host    *Host
	up      bool
	lists   map[uint64]*list
	failure error
}

// list is the machine: it appends what is applied.
type list struct {
	c *cluster
	m *member
	g *Group
	// Guarded by cluster.mu.
	Last   uint64
	Values []string
	role   Role
}

type propose struct{ values []string }

// look is an event that runs in the group's worker.
type look func(*list)

func newCluster(t *testing.T, replicas ...uint64) *cluster {
	c := &cluster{t: t, members: map[uint64]*member{}, cut: map[[2]uint64]bool{}, history: map[uint64]map[uint64]string{}, known: map[string]bool{}, tick: tickInterval / 5}
	c.changed.L = &c.mu
	for _, r := range replicas {
		c.members[r] = &member{c: c, replica: r, fs: storage.NewMemFS()}
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.stop()
		}
		if c.wrong != "" {
			t.Error(c.wrong)
		}
	})
	return c
}

// open starts a member's host without groups.
func (m *member) open() {
	m.c.t.Helper()
	var fs storage.FS = m.fs
	if m.faulty != nil {
		fs = storage.NewFaultFS(m.fs, m.faulty)
	}
	m.lists = map[uint64]*list{}
	h, err := Open(Options{
		Replica: m.replica, FS: fs, Sender: m, Workers: 2, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Failed: func(err error) {
			m.c.mu.Lock()
			m.failure = err
			m.c.changed.Broadcast()
			m.c.mu.Unlock()
		},
		Tick: m.c.tick,
		Log:  storage.LogOptions{SegmentBytes: 1 << 16, SegmentsKept: 3},
	})
	if err != nil {
		m.c.t.Fatalf("replica %d: %v", m.replica, err)
	}
	h.Start()
	m.c.mu.Lock()
	m.host, m.up, m.failure = h, true, nil
	m.c.mu.Unlock()
}

func (m *member) newList(g *Group) Machine {
	l := &list{c: m.c, m: m, g: g}
	m.c.mu.Lock()
	m.lists[g.ID] = l
	m.c.mu.Unlock()
	return l
}

// add hosts a group.
func (m *member) add(id uint64, genesis ...uint64) {
	m.c.t.Helper()
	if err := m.host.Add(id, genesis, m.newList); err != nil {
		m.c.t.Fatalf("replica %d: %v", m.replica, err)
	}
}

// stop closes the host.
func (m *member) stop() {
	m.c.mu.Lock()
	h, up := m.host, m.up
	m.up = false
	m.c.mu.Unlock()
	if up {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = h.Close(ctx) // after a crash it fails, as it should
	}
}

// crash cuts the power.
func (m *member) crash(s storage.Survival) {
	m.c.mu.Lock()
	h, up := m.host, m.up
	m.up = false
	m.c.mu.Unlock()
	m.fs.Crash(s)
	if up {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = h.Close(ctx)
	}
}

// start opens all members with one group that all of them begin.
func (c *cluster) start() {
	c.t.Helper()
	ids := c.replicas()
	for _, r := range ids {
		c.members[r].open()
		c.members[r].add(testGroup, ids...)
	}
}

func (c *cluster) replicas() []uint64 {
	ids := make([]uint64, 0, len(c.members))
	for r := range c.members {
		ids = append(ids, r)
	}
	slices.Sort(ids)
	return ids
}

// SendRaft implements Sender.
func (m *member) SendRaft(to, group uint64, parts [][]byte) {
	message := bytes.Join(parts, nil)
	c := m.c
	c.mu.Lock()
	var late []func()
	deliver := c.lossy == nil || c.lossy.IntN(20) > 0
	if deliver && c.lossy != nil && c.lossy.IntN(10) == 0 {
		c.held = append(c.held, func() { c.hand(m.replica, to, group, message) })
		deliver = false
	}
	if len(c.held) > 20 || c.lossy == nil {
		late, c.held = c.held, nil
	}
	c.mu.Unlock()
	if deliver {
		c.hand(m.replica, to, group, message)
	}
	for _, f := range late {
		f()
	}
}

// SendSnapshot implements Sender.
func (m *member) SendSnapshot(to, group uint64, write func(io.Writer) ([]byte, error), sent func(bool)) {
	message, err := write(io.Discard)
	sent(err == nil && m.c.hand(m.replica, to, group, message))
}

func (c *cluster) hand(from, to, group uint64, message []byte) bool {
	c.mu.Lock()
	m := c.members[to]
	open := m != nil && m.up && c.members[from].up && !c.cut[[2]uint64{from, to}] && !c.cut[[2]uint64{to, from}]
	var h *Host
	if open {
		h = m.host
	}
	c.mu.Unlock()
	if open {
		h.Step(group, message)
	}
	return open
}

// isolate cuts a member off; heal undoes all cuts.
func (c *cluster) isolate(r uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for o := range c.members {
		c.cut[[2]uint64{r, o}] = true
	}
}

func (c *cluster) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = map[[2]uint64]bool{}
}

// Apply implements Machine.
func (l *list) Apply(index uint64, data []byte) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if index <= l.Last {
		l.c.wrong = fmt.Sprintf("replica %d applied entry %d behind entry %d", l.m.replica, index, l.Last)
	}
	h := l.c.history[l.g.ID]
	if h == nil {
		h = map[uint64]string{}
		l.c.history[l.g.ID] = h
	}
	if was, known := h[index]; known && was != string(data) {
		l.c.wrong = fmt.Sprintf("replica %d applied %q at %d, another one %q", l.m.replica, data, index, was)
	}
	h[index] = string(data)
	l.c.known[string(data)] = true
	l.Last, l.Values = index, append(l.Values, string(data))
}

// Handle implements Machine.
func (l *list) Handle(event any) {
	switch e := event.(type) {
	case propose:
		for _, v := range e.values {
			_ = l.g.Propose([]byte(v)) // the test tries again
		}
	case look:
		e(l)
	}
}

// Flush implements Machine.
func (l *list) Flush() {
	l.c.mu.Lock()
	l.c.changed.Broadcast()
	l.c.mu.Unlock()
}

// Lead implements Machine.
func (l *list) Lead(r Role) {
	l.c.mu.Lock()
	l.role = r
	l.c.changed.Broadcast()
	l.c.mu.Unlock()
}

// Capture implements Machine.
func (l *list) Capture(bool) Capture {
	l.c.mu.Lock()
	copied := list{Last: l.Last, Values: slices.Clone(l.Values)}
	l.c.mu.Unlock()
	return Encoded(func() []byte {
		b, err := json.Marshal(&copied)
		if err != nil {
			panic(err)
		}
		return b
	})
}

// Restore implements Machine.
func (l *list) Restore(data []byte) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.Values = nil
	return json.Unmarshal(data, l)
}

// await waits until cond, which runs under the lock, holds.
func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	if !c.within(30*time.Second, cond) {
		c.t.Fatalf("waited in vain until %s\n%s", what, c.describe())
	}
}

func (c *cluster) within(d time.Duration, cond func() bool) bool {
	over := false
	stop := time.AfterFunc(d, func() {
		c.mu.Lock()
		over = true
		c.changed.Broadcast()
		c.mu.Unlock()
	})
	defer stop.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !cond() && !over && c.wrong == "" {
		c.changed.Wait()
	}
	if c.wrong != "" {
		c.t.Fatal(c.wrong)
	}
	return cond()
}

func (c *cluster) describe() (s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.replicas() {
		m := c.members[r]
		s += fmt.Sprintf("replica %d: up %v", r, m.up)
		for id, l := range m.lists {
			s += fmt.Sprintf(", group %d: %d values to index %d, %+v", id, len(l.Values), l.Last, l.role)
		}
		s += "\n"
	}
	return s
}

// leader waits for a leader of a group among those that are up and returns it.
func (c *cluster) leader(group uint64) *member {
	c.t.Helper()
	var found *member
	c.await("there is a leader", func() bool {
		found = c.leaderNow(group)
		return found != nil
	})
	return found
}

// leaderNow returns the leader of the highest term. The caller holds the lock.
func (c *cluster) leaderNow(group uint64) (found *member) {
	var term uint64
	for _, m := range c.members {
		if l := m.lists[group]; m.up && l != nil && l.role.Self && l.role.Term > term {
			found, term = m, l.role.Term
		}
	}
	return found
}

// commit proposes values until each is applied somewhere.
func (c *cluster) commit(group uint64, values ...string) {
	c.t.Helper()
	for tries := 0; len(values) > 0; tries++ {
		if tries > 50 {
			c.t.Fatalf("not committed: %d values\n%s", len(values), c.describe())
		}
		c.leader(group).host.Post(group, propose{values})
		values = slices.Clone(values)
		c.within(20*c.tick, func() bool {
			values = slices.DeleteFunc(values, func(v string) bool { return c.known[v] })
			return len(values) == 0
		})
	}
}

// settle waits until all of the replicas have applied everything that any has.
func (c *cluster) settle(group uint64, replicas ...uint64) {
	c.t.Helper()
	c.await(fmt.Sprintf("replicas %v agree", replicas), func() bool {
		var end uint64
		for i := range c.history[group] {
			end = max(end, i)
		}
		for _, r := range replicas {
			if l := c.members[r].lists[group]; l == nil || l.Last < end {
				return false
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	var indexes []uint64
	for i := range c.history[group] {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	want := make([]string, len(indexes))
	for i, index := range indexes {
		want[i] = c.history[group][index]
	}
	for _, r := range replicas {
		if got := c.members[r].lists[group].Values; !slices.Equal(got, want) {
			c.t.Fatalf("replica %d has %d values, want %d", r, len(got), len(want))
		}
	}
}

func numbered(prefix string, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("%s-%d", prefix, i))
	}
	return values
}
