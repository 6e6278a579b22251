package raftnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
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
	Tick    time.Duration // of Raft's own timers; 100 ms
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
	stalled atomic.Bool // the disk is; as of the last tick

	mu        sync.Mutex
	started   bool
	groups    map[uint64]*Group
	recovered map[uint64]*recovered
	dropped   map[uint64]bool // while the log is replayed
	down      map[uint64]bool // replicas known to be dead
	avoid     map[uint64]bool // replicas that should not lead; replaced, never changed
}

// Open recovers the log in opts.FS. Groups are added next, then Start.
func Open(opts Options) (*Host, error) {
	h := &Host{opts: opts, stop: make(chan struct{}), groups: map[uint64]*Group{}, recovered: map[uint64]*recovered{}, dropped: map[uint64]bool{}, down: map[uint64]bool{}}
	lo := opts.Log
	lo.Pressure = h.pressure
	lo.Failed = h.fail
	var err error
	if h.log, err = storage.OpenLog(opts.FS, lo, h.replay); err != nil {
		return nil, err
	}
	if err := h.removeDropped(); err != nil {
		return nil, errors.Join(err, h.log.Close())
	}
	for range max(opts.Workers, 1) {
		h.workers = append(h.workers, newWorker(h))
	}
	return h, nil
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
			{Kind: storage.KindState, Group: id, Data: stateBytes(1, 0, 1)},
		}, h.writeFirst(g), nil)
	}
	if g.rn, err = raft.NewRawNode(h.raftConfig(g)); err != nil {
		return fmt.Errorf("group %d: %w", id, err)
	}
	// A new group need not wait for a time-out, nor one that no other member can lead.
	first := !held && len(members) > 0 && members[id%uint64(len(members))] == h.opts.Replica
	first = first || slices.Equal(g.log.conf.GetVoters(), []uint64{h.opts.Replica})
	h.host(g)
	if first {
		g.post(campaignEvent{})
	}
	return nil
}

// writeFirst returns what makes the group's first, empty state durable.
func (h *Host) writeFirst(g *Group) func() error {
	index, head, c := g.applied, appendSnapshotMeta(nil, g.meta()), g.machine.Capture(false)
	return func() error {
		payload, err := c.Save()
		if err != nil {
			return err
		}
		return g.saved.write(g, index, append(head, payload...))
	}
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
	defer h.mu.Unlock()
	h.groups[g.ID] = g
	g.worker.add(g)
	for replica := range h.down {
		g.post(downEvent{replica, true})
	}
	g.post(avoidEvent{h.avoid})
}

// Start begins to drive the groups. Groups may be added before and after.
func (h *Host) Start() {
	h.mu.Lock()
	h.started = true
	h.mu.Unlock()
	for _, w := range h.workers {
		h.loops.Go(w.run)
	}
	h.loops.Go(h.ticks)
}

func (h *Host) ticks() {
	t := time.NewTicker(cmp.Or(h.opts.Tick, tickInterval))
	defer t.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-t.C:
			if stalled := h.Stalled() > 0; stalled != h.stalled.Swap(stalled) {
				h.opts.Logger.Warn("disk stalls", "on", stalled)
			}
			for _, w := range h.workers {
				w.postAll(tickEvent{})
			}
		}
	}
}

// diskStallMax is how long a write may wait for the disk before this node gives its
// leaderships away: nothing that it leads gets on meanwhile.
const diskStallMax = time.Second

// Stalled returns for how long the disk has been holding up a write, if that is longer than
// diskStallMax, else 0.
func (h *Host) Stalled() time.Duration {
	if age := h.log.Waiting(); age > diskStallMax {
		return age
	}
	return 0
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
func (h *Host) Step(group uint64, message []byte) { h.Post(group, peerEvent{message: message}) }

// StepSnapshot takes a message with a snapshot from a peer. files is what Restore finds
// in front of the payload: where this node has put what came with it.
func (h *Host) StepSnapshot(group uint64, message, files []byte) {
	h.Post(group, peerEvent{message: message, files: files})
}

// PeerDown says that a replica died, or is back.
func (h *Host) PeerDown(replica uint64, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if down {
		h.down[replica] = true
	} else {
		delete(h.down, replica)
	}
	h.PostAll(downEvent{replica, down})
}

// Desire sets the members that group id should have; its leader moves it there.
func (h *Host) Desire(id uint64, members []uint64) { h.Post(id, desireEvent{members}) }

// Avoid names the replicas that should not lead a group as long as another member can.
func (h *Host) Avoid(replicas map[uint64]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !maps.Equal(replicas, h.avoid) {
		h.avoid = replicas
		h.PostAll(avoidEvent{replicas})
	}
}

// Rebalance moves the leaderships of this node to where they belong at once, not when the
// others have settled. What Home said is forgotten.
func (h *Host) Rebalance() { h.PostAll(homeEvent{}) }

// Home says which member should lead group id, as long as it lives and keeps up; 0: as the
// group's id says. All members must hear the same.
func (h *Host) Home(id, replica uint64) { h.Post(id, homeEvent{replica}) }

// Work returns, by group, how many bytes of entries this member has applied since its start.
func (h *Host) Work() map[uint64]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	work := make(map[uint64]uint64, len(h.groups))
	for id, g := range h.groups {
		work[id] = g.work.Load()
	}
	return work
}

// Transfer hands the leadership of group id to replica to, or to the best other
// member if to is 0. It is a request: Role tells what came of it.
func (h *Host) Transfer(id, to uint64) { h.Post(id, transferEvent{to}) }

// Remove stops hosting group id and forgets what the data directory holds of it. It
// waits for the group's worker and for the log: no machine may call it.
func (h *Host) Remove(id uint64) error {
	h.mu.Lock()
	g := h.groups[id]
	delete(h.groups, id)
	delete(h.recovered, id)
	h.mu.Unlock()
	if g != nil {
		g.worker.remove(g)
		g.saved.retire()
	}
	// In this order: a snapshot without log is a member that lags, a log without
	// snapshot is damage.
	return errors.Join(h.log.Drop(id), storage.RemoveSnapshot(h.opts.FS, id))
}

// background runs a task that Close waits for.
func (h *Host) background(task func()) { h.tasks.Go(task) }

// pressure asks groups for a snapshot. One that is not hosted yet is left alone: what
// the log holds of it is all there is.
func (h *Host) pressure(groups []uint64) {
	for _, id := range groups {
		h.Post(id, snapshotEvent{})
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
