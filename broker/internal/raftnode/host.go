package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// Options configure a Host.
type Options struct {
	Replica uint64 // this node's id as a Raft member; new for each data directory
	FS      storage.FS
	Sender  Sender
	Workers int // loops that drive the groups
	Logger  *slog.Logger
	// Failed is called once if the disk fails: the node must stop.
	Failed func(error)
	Log    storage.LogOptions
}

// Host drives the groups of one node.
type Host struct {
	opts    Options
	log     *storage.Log
	workers []*worker
	stop    chan struct{}
	loops   sync.WaitGroup
	tasks   sync.WaitGroup // snapshots being written or sent
	failed  sync.Once

	mu        sync.Mutex
	groups    map[uint64]*Group
	recovered map[uint64]*recovered
}

// recovered is what the log held for a group when the host was opened.
type recovered struct {
	entries []*raftpb.Entry
	hard    *raftpb.HardState
	reset   uint64 // index of the last reset record
}

// Open recovers the log in opts.FS. Groups are added next, then Start.
func Open(opts Options) (*Host, error) {
	h := &Host{opts: opts, stop: make(chan struct{}), groups: map[uint64]*Group{}, recovered: map[uint64]*recovered{}}
	lo := opts.Log
	lo.Pressure = h.pressure
	lo.Failed = h.fail
	var err error
	if h.log, err = storage.OpenLog(opts.FS, lo, h.replay); err != nil {
		return nil, err
	}
	for i := range max(opts.Workers, 1) {
		h.workers = append(h.workers, newWorker(h, i))
	}
	return h, nil
}

func (h *Host) replay(r *storage.Record) error {
	rec := h.recovered[r.Group]
	if rec == nil {
		rec = &recovered{}
		h.recovered[r.Group] = rec
	}
	switch r.Kind {
	case storage.KindEntry:
		e := newEntry(raftpb.EntryType(r.Type), r.Term, r.Index, append([]byte(nil), r.Data...))
		for n := len(rec.entries); n > 0 && rec.entries[n-1].GetIndex() >= r.Index; n-- {
			rec.entries = rec.entries[:n-1]
		}
		rec.entries = append(rec.entries, e)
	case storage.KindState:
		if len(r.Data) != 16 {
			return fmt.Errorf("state of group %d has %d bytes, not 16", r.Group, len(r.Data))
		}
		term, vote := binary.LittleEndian.Uint64(r.Data), binary.LittleEndian.Uint64(r.Data[8:])
		rec.hard = &raftpb.HardState{Term: &term, Vote: &vote}
	case storage.KindReset:
		rec.entries, rec.reset = nil, r.Index
	default:
		return fmt.Errorf("record of kind %d, which this version does not know", r.Kind)
	}
	return nil
}

// Recovered returns the groups that the data directory holds something of.
func (h *Host) Recovered() ([]uint64, error) {
	ids, err := storage.Snapshots(h.opts.FS)
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	for id := range h.recovered {
		if !seen[id] {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Add starts hosting group id. If the data directory holds it, it goes on from there;
// else it begins with members as its voters, or, if members is empty, as a blank
// member that waits to be added by the group's leader. newMachine makes its machine.
func (h *Host) Add(id uint64, members []uint64, newMachine func(*Group) Machine) error {
	g := &Group{ID: id, host: h, worker: h.workers[id%uint64(len(h.workers))]}
	g.log = &memLog{conf: &raftpb.ConfState{}}
	g.log.capture = g.captureForPeer
	g.machine = newMachine(g)
	held, err := h.load(g, false)
	if err != nil {
		return err
	}
	if !held && len(members) > 0 {
		// Every first member begins behind the same imaginary entry.
		g.setConf(&raftpb.ConfState{Voters: members})
		g.log.reset(1, 1)
		g.log.hard = &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(1))}
		g.applied, g.appliedT = 1, 1
		h.log.Append([]storage.Record{
			{Kind: storage.KindReset, Group: id, Index: 1, Term: 1},
			{Kind: storage.KindState, Group: id, Data: stateBytes(1, 0)},
		}, h.writeFirst(g), nil)
	}
	if g.rn, err = raft.NewRawNode(h.raftConfig(g)); err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	h.host(g)
	if !held && len(members) > 0 && members[id%uint64(len(members))] == h.opts.Replica {
		g.worker.post(id, campaignEvent{}) // a new group need not wait for a time-out
	}
	return nil
}

// writeFirst returns what makes the group's first, empty state durable.
func (h *Host) writeFirst(g *Group) func() error {
	payload := append(appendSnapshotMeta(nil, g.meta()), g.machine.Capture()()...)
	return func() error { return storage.WriteSnapshot(h.opts.FS, g.ID, payload) }
}

// AddAlone starts hosting a group that lives on this node alone. durable tells
// whether its entries go through the log; if not, it starts empty.
func (h *Host) AddAlone(id uint64, durable bool, newMachine func(*Group) Machine) error {
	g := &Group{ID: id, host: h, worker: h.workers[id%uint64(len(h.workers))], durable: durable}
	g.log = &memLog{conf: &raftpb.ConfState{}}
	g.machine = newMachine(g)
	if durable {
		if _, err := h.load(g, true); err != nil {
			return err
		}
		for _, e := range g.log.entries {
			g.applied = e.GetIndex()
			g.machine.Apply(e.GetIndex(), e.GetData())
		}
		g.log.reset(g.applied, 1)
		g.last = g.applied
	}
	g.role = Role{Leader: h.opts.Replica, Self: true, Term: 1}
	g.machine.Lead(g.role)
	h.host(g)
	return nil
}

// load gives g the snapshot and the entries that the data directory holds.
func (h *Host) load(g *Group, alone bool) (held bool, err error) {
	payload, err := storage.ReadSnapshot(h.opts.FS, g.ID)
	if err != nil {
		return false, err
	}
	var index, term uint64
	if payload != nil {
		r := reader{b: payload}
		meta := parseSnapshotMeta(&r)
		if r.err != nil {
			return false, fmt.Errorf("snapshot of group %d: %w", g.ID, r.err)
		}
		if err := g.machine.Restore(r.b); err != nil {
			return false, fmt.Errorf("snapshot of group %d: %w", g.ID, err)
		}
		index, term = meta.GetIndex(), meta.GetTerm()
		g.setConf(meta.GetConfState())
	}
	g.applied, g.appliedT = index, term
	g.log.reset(index, term)
	h.mu.Lock()
	rec := h.recovered[g.ID]
	delete(h.recovered, g.ID)
	h.mu.Unlock()
	h.log.Revive(g.ID, index)
	if rec == nil {
		return payload != nil, nil
	}
	if rec.hard != nil {
		g.log.hard = rec.hard
		g.log.hard.Commit = &index
	}
	tail := rec.entries
	if !alone && index > rec.reset && !rec.holds(index, term) {
		tail = nil // a snapshot was installed, and the reset behind it never written
	}
	for len(tail) > 0 && tail[0].GetIndex() <= index {
		tail = tail[1:]
	}
	if len(tail) > 0 && tail[0].GetIndex() != index+1 {
		return false, fmt.Errorf("group %d: the log begins at index %d, the snapshot ends at %d", g.ID, tail[0].GetIndex(), index)
	}
	g.log.append(tail)
	return true, nil
}

// holds reports whether the log's entries go on from a snapshot at index and term.
func (r *recovered) holds(index, term uint64) bool {
	for _, e := range r.entries {
		if e.GetIndex() == index {
			return e.GetTerm() == term
		}
	}
	// Segments up to the snapshot may be gone: then the tail begins right behind it.
	return len(r.entries) > 0 && r.entries[0].GetIndex() == index+1 && r.entries[0].GetTerm() >= term
}

func (h *Host) raftConfig(g *Group) *raft.Config {
	return &raft.Config{
		ID: h.opts.Replica, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		Storage: g.log, Applied: g.applied, AsyncStorageWrites: true,
		MaxSizePerMsg: messageBytesMax, MaxCommittedSizePerReady: applyingBytesMax,
		MaxUncommittedEntriesSize: uncommittedBytesMax,
		MaxInflightMsgs:           inflightMessagesMax, MaxInflightBytes: inflightBytesMax,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: raftLogger{h.opts.Logger, g.ID},
	}
}

func (h *Host) host(g *Group) {
	h.mu.Lock()
	h.groups[g.ID] = g
	h.mu.Unlock()
	g.worker.add(g)
}

// Start begins to drive the groups. Groups may be added before and after.
func (h *Host) Start() {
	for _, w := range h.workers {
		h.loops.Go(w.run)
	}
	h.loops.Go(h.ticks)
}

func (h *Host) ticks() {
	t := time.NewTicker(tickInterval)
	defer t.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-t.C:
			for _, w := range h.workers {
				w.postAll(tickEvent{})
			}
		}
	}
}

// Post hands an event to group id's machine; false if this node does not host it.
func (h *Host) Post(id uint64, event any) bool {
	h.mu.Lock()
	g := h.groups[id]
	h.mu.Unlock()
	if g == nil {
		return false
	}
	g.worker.post(id, event)
	return true
}

// Hosts reports whether this node hosts group id.
func (h *Host) Hosts(id uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.groups[id] != nil
}

// Voters returns the replicas that hold group id, sorted, as far as this node has
// applied its log; nil if it does not host the group.
func (h *Host) Voters(id uint64) []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.groups[id]; g != nil {
		if v := g.voters.Load(); v != nil {
			return *v
		}
	}
	return nil
}

// PostAll hands an event to the machines of all groups.
func (h *Host) PostAll(event any) {
	for _, w := range h.workers {
		w.postAll(event)
	}
}

// Step takes a Raft message from a peer. It keeps message.
func (h *Host) Step(group uint64, message []byte) { h.Post(group, peerEvent{message}) }

// PeerDown says that a replica died, or is back.
func (h *Host) PeerDown(replica uint64, down bool) { h.PostAll(downEvent{replica, down}) }

// Desire sets the members that group id should have; its leader moves it there.
func (h *Host) Desire(id uint64, members []uint64) { h.Post(id, desireEvent{members}) }

// Transfer hands the leadership of group id to replica to, or to the best other
// member if to is 0. It is a request: Role tells what came of it.
func (h *Host) Transfer(id, to uint64) { h.Post(id, transferEvent{to}) }

// Remove stops hosting group id and forgets what the data directory holds of it.
func (h *Host) Remove(id uint64) error {
	h.mu.Lock()
	g := h.groups[id]
	delete(h.groups, id)
	delete(h.recovered, id)
	h.mu.Unlock()
	if g != nil {
		g.worker.remove(id)
	}
	return errors.Join(h.log.Drop(id), storage.RemoveSnapshot(h.opts.FS, id))
}

// background runs a task that Close waits for.
func (h *Host) background(task func()) { h.tasks.Go(task) }

func (h *Host) pressure(groups []uint64) {
	for _, id := range groups {
		if !h.Post(id, snapshotEvent{}) {
			h.background(func() {
				if !h.Hosts(id) {
					_ = h.log.Drop(id)
				}
			})
		}
	}
}

func (h *Host) fail(err error) {
	h.failed.Do(func() {
		if h.opts.Failed != nil {
			h.opts.Failed(err)
		}
	})
}

// Close stops the workers, then the log. Nothing is lost that was synced.
func (h *Host) Close(ctx context.Context) error {
	close(h.stop)
	for _, w := range h.workers {
		w.close()
	}
	done := make(chan struct{})
	go func() { h.loops.Wait(); h.tasks.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("stopping the groups: %w", ctx.Err())
	}
	return h.log.Close()
}
