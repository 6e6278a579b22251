package raftnode

import (
	"fmt"
	"io"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// Group is one group on this node. Its methods are for its machine, in its worker.
type Group struct {
	ID      uint64
	host    *Host
	worker  *worker
	machine Machine

	// Raft; rn is nil for a group that lives on this node alone.
	rn       *raft.RawNode
	log      *memLog
	applied  uint64
	appliedT uint64
	role     Role
	desired  []uint64 // members it should have; nil: leave as it is
	led      int      // ticks that another member should have led
	home     uint64   // the member that should lead; 0: the group's id says which
	work     atomic.Uint64
	voters   atomic.Pointer[[]uint64]
	captures map[uint64]Capture
	sending  map[uint64]Capture // replica: the snapshot on its way there
	down     map[uint64]bool    // replicas known to be dead
	avoid    map[uint64]bool    // replicas that should not lead; nobody changes it
	campaign int                // ticks without a leader

	// Alone: durable tells whether entries go through the log.
	durable bool
	last    uint64

	snapshotting bool
	saved        saved
	dirty        bool
	removed      bool
}

// post hands an event to this very group, not to one that took its id later.
func (g *Group) post(event any) { g.worker.push(posted{g.ID, g, event}) }

// Leads reports whether this member leads the group.
func (g *Group) Leads() bool { return g.role.Self }

// Role returns who leads.
func (g *Group) Role() Role { return g.role }

// Applied returns the index of the last applied entry.
func (g *Group) Applied() uint64 { return g.applied }

// Current reports whether a leader has applied everything that was committed before
// its term began: only then it knows the group's state.
func (g *Group) Current() bool { return g.rn == nil || g.role.Self && g.appliedT == g.role.Term }

// Transferring reports whether leadership is being handed over: what is proposed now
// would be dropped.
func (g *Group) Transferring() bool { return g.rn != nil && g.rn.BasicStatus().LeadTransferee != 0 }

// Propose appends data to the group's log; Apply follows once it is committed, on
// every member, unless leadership is lost before. It fails on a follower.
func (g *Group) Propose(data []byte) error {
	if g.rn == nil {
		g.appendAlone(data)
		return nil
	}
	return g.rn.Propose(data)
}

// appendAlone makes data the next entry of a group that lives on this node alone.
func (g *Group) appendAlone(data []byte) {
	g.last++
	index := g.last
	if !g.durable {
		g.post(aloneDone{index, data})
		return
	}
	rec := []storage.Record{{Kind: storage.KindEntry, Group: g.ID, Index: index, Term: 1, Data: data}}
	g.host.log.Append(rec, nil, func() { g.post(aloneDone{index, data}) })
}

// Events in a worker's inbox that the group handles itself.
type (
	aloneDone struct {
		index uint64
		data  []byte
	}
	storedEvent   struct{ responses []*raftpb.Message }
	tickEvent     struct{}
	peerEvent     struct{ message, files []byte }
	snapSentEvent struct {
		to uint64
		ok bool
	}
	downEvent struct {
		replica uint64
		down    bool
	}
	desireEvent   struct{ members []uint64 }
	homeEvent     struct{ replica uint64 } // 0: what the group's id says
	avoidEvent    struct{ replicas map[uint64]bool }
	snapshotEvent struct{} // the log wants its segments back
	snapshotDone  struct{ c Capture }
	transferEvent struct{ to uint64 }
	campaignEvent struct{}
)

func (g *Group) handle(ev any) {
	switch e := ev.(type) {
	case aloneDone:
		g.applied = e.index
		g.machine.Apply(e.index, e.data)
	case storedEvent:
		g.deliver(e.responses)
	case tickEvent:
		g.tick()
	case peerEvent:
		if g.rn == nil {
			return
		}
		m, err := parseMessage(e.message)
		if err != nil {
			g.host.opts.Logger.Error("raft message dropped", "group", g.ID, "error", err)
			return
		}
		if s := m.GetSnapshot(); s != nil && len(e.files) > 0 {
			s.Data = append(e.files[:len(e.files):len(e.files)], s.GetData()...)
		}
		if err := g.missing(m); err != nil {
			g.host.fail(err)
			return
		}
		_ = g.rn.Step(m) // a stale or unknown peer's message is dropped
	case snapSentEvent:
		status := raft.SnapshotFinish
		if !e.ok {
			status = raft.SnapshotFailure
		}
		delete(g.sending, e.to)
		g.rn.ReportSnapshot(e.to, status)
	case downEvent:
		g.peerDown(e.replica, e.down)
	case avoidEvent:
		g.avoid = e.replicas
	case desireEvent:
		g.desired = e.members
	case snapshotEvent:
		g.snapshot()
	case snapshotDone:
		g.snapshotting = false
		e.c.Saved()
	case transferEvent:
		g.transfer(e.to)
	case homeEvent:
		g.moveHome(e.replica)
	case statusEvent:
		e.answer(g.status())
	case campaignEvent:
		_ = g.rn.Campaign()
	default:
		g.machine.Handle(ev)
	}
}

// missing returns an error if the leader knows of entries as stored here that are not. The
// last batch of the log was damaged then: nothing follows it that tells it from one that
// was torn before anybody heard of it.
func (g *Group) missing(m *raftpb.Message) error {
	if m.GetType() != raftpb.MsgHeartbeat || m.GetTerm() < g.rn.BasicStatus().GetTerm() || m.GetCommit() <= g.log.last() {
		return nil
	}
	return fmt.Errorf("the end of the log is damaged: group %d had stored entries up to %d and has them up to %d; the node has to begin again with an empty data directory",
		g.ID, m.GetCommit(), g.log.last())
}

// turn ends the group's turn: the machine flushes, then everything Raft has ready is
// handed on.
func (g *Group) turn() {
	g.machine.Flush()
	if g.rn == nil {
		return
	}
	for g.rn.HasReady() {
		rd := g.rn.Ready()
		g.observe()
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				g.store(m)
			case raft.LocalApplyThread:
				g.apply(m)
			default:
				g.send(m)
			}
		}
		g.observe()
		g.machine.Flush()
	}
	g.captures = nil
}

// observe tells the machine when leader or term changed.
func (g *Group) observe() {
	st := g.rn.BasicStatus()
	role := Role{Leader: st.Lead, Term: st.GetTerm(), Self: st.RaftState == raft.StateLeader}
	if role != g.role {
		g.role = role
		if role.Leader != 0 {
			g.campaign = 0
		}
		g.machine.Lead(role)
	}
}

// store hands entries, state and snapshot of m to the log, and delivers m's responses
// once they are durable.
func (g *Group) store(m *raftpb.Message) {
	var records []storage.Record
	var before func() error
	if s := m.GetSnapshot(); s != nil {
		before = g.install(s)
		records = append(records, storage.Record{
			Kind: storage.KindReset, Group: g.ID, Index: s.GetMetadata().GetIndex(), Term: s.GetMetadata().GetTerm(),
		})
	}
	if m.Term != nil && (m.GetTerm() != g.log.hard.GetTerm() || m.GetVote() != g.log.hard.GetVote()) {
		g.log.hard = &raftpb.HardState{Term: new(m.GetTerm()), Vote: new(m.GetVote()), Commit: new(m.GetCommit())}
		records = append(records, storage.Record{Kind: storage.KindState, Group: g.ID, Data: stateBytes(m.GetTerm(), m.GetVote(), m.GetCommit())})
	}
	for _, e := range m.GetEntries() {
		records = append(records, storage.Record{
			Kind: storage.KindEntry, Type: uint8(e.GetType()), Group: g.ID, Index: e.GetIndex(), Term: e.GetTerm(), Data: e.GetData(),
		})
	}
	g.log.append(m.GetEntries())
	responses := m.GetResponses()
	if len(records) == 0 && len(responses) == 0 {
		return
	}
	g.host.log.Append(records, before, func() { g.post(storedEvent{responses}) })
}

// deliver passes on responses that waited for a write.
func (g *Group) deliver(responses []*raftpb.Message) {
	self := g.host.opts.Replica
	for _, r := range responses {
		if r.GetTo() == self {
			_ = g.rn.Step(r)
		} else {
			g.send(r)
		}
	}
}

func (g *Group) apply(m *raftpb.Message) {
	for _, e := range m.GetEntries() {
		g.applied, g.appliedT = e.GetIndex(), e.GetTerm()
		switch e.GetType() {
		case raftpb.EntryNormal:
			if len(e.GetData()) > 0 {
				g.work.Add(uint64(len(e.GetData())))
				g.machine.Apply(e.GetIndex(), e.GetData())
			}
		case raftpb.EntryConfChangeV2:
			g.applyMembers(e.GetData())
		default:
			panic(fmt.Sprintf("group %d: entry %d has type %v", g.ID, e.GetIndex(), e.GetType()))
		}
	}
	for _, r := range m.GetResponses() {
		_ = g.rn.Step(r)
	}
	g.trim()
}

// trim drops what is applied from memory, but a tail for followers that lag.
func (g *Group) trim() {
	keep := retainedBytes
	if g.role.Self {
		g.rn.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
			if pr.Match < g.applied && !g.down[id] {
				keep = retainedBytesLagging
			}
		})
	}
	if g.log.bytes <= 2*keep && len(g.log.entries) <= 2*retainedEntries {
		return
	}
	size, n := g.log.bytes, 0
	for n < len(g.log.entries) && g.log.entries[n].GetIndex() < g.applied &&
		(size > keep || len(g.log.entries)-n > retainedEntries) {
		size -= len(g.log.entries[n].GetData())
		n++
	}
	g.log.trim(g.log.first + uint64(n))
}

func (g *Group) send(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgSnap {
		g.host.opts.Sender.SendRaft(m.GetTo(), g.ID, messageParts(m))
		return
	}
	index, to := m.GetSnapshot().GetMetadata().GetIndex(), m.GetTo()
	c := g.captures[index]
	if c == nil {
		g.rn.ReportSnapshot(to, raft.SnapshotFailure)
		return
	}
	write := func(w io.Writer) (_ []byte, err error) {
		m.Snapshot.Data, err = c.Send(w)
		return appendMessage(nil, m), err
	}
	if g.sending == nil {
		g.sending = map[uint64]Capture{}
	}
	g.sending[to] = c
	g.host.opts.Sender.SendSnapshot(to, g.ID, write, func(ok bool) { g.post(snapSentEvent{to, ok}) })
}

// captureForPeer is raft's Storage.Snapshot: the machine as of the applied index. Its
// encoding waits until the message leaves.
func (g *Group) captureForPeer() (*raftpb.Snapshot, error) {
	if g.applied == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	g.captures = map[uint64]Capture{g.applied: g.machine.Capture(true)}
	return &raftpb.Snapshot{Metadata: g.meta()}, nil
}

func (g *Group) meta() *raftpb.SnapshotMetadata {
	return &raftpb.SnapshotMetadata{Index: new(g.applied), Term: new(g.appliedT), ConfState: g.log.conf}
}

// Checkpoint writes the machine's state to disk, unless that is being done.
func (g *Group) Checkpoint() { g.snapshot() }

// Checkpointing reports whether the state is being written to disk.
func (g *Group) Checkpointing() bool { return g.snapshotting }

// snapshot writes the machine's state to disk, so that the log can free segments.
func (g *Group) snapshot() {
	if g.snapshotting || g.applied == 0 {
		return
	}
	g.snapshotting = true
	index, c := g.applied, g.machine.Capture(false)
	var head []byte
	if g.rn != nil {
		head = appendSnapshotMeta(nil, g.meta())
	} else {
		head = appendSnapshotMeta(nil, &raftpb.SnapshotMetadata{Index: &index, Term: new(uint64(1)), ConfState: &raftpb.ConfState{}})
	}
	keep := g.rn != nil || g.durable // else the state's files are all that is wanted
	g.host.background(func() {
		payload, err := c.Save()
		if err == nil && keep {
			err = g.saved.write(g, index, append(head, payload...))
		}
		if err != nil {
			g.host.fail(fmt.Errorf("snapshot of group %d: %w", g.ID, err))
			return
		}
		g.post(snapshotDone{c})
	})
}

// install replaces the machine's state by a snapshot from the leader; the returned
// function makes it durable.
func (g *Group) install(s *raftpb.Snapshot) func() error {
	meta := s.GetMetadata()
	if err := g.machine.Restore(s.GetData()); err != nil {
		panic(fmt.Sprintf("group %d: snapshot at index %d: %v", g.ID, meta.GetIndex(), err))
	}
	g.applied, g.appliedT = meta.GetIndex(), meta.GetTerm()
	g.log.reset(g.applied, g.appliedT)
	g.setConf(meta.GetConfState())
	payload := append(appendSnapshotMeta(nil, meta), s.GetData()...)
	return func() error { return g.saved.write(g, meta.GetIndex(), payload) }
}
