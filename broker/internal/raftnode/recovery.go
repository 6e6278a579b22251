package raftnode

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// recovered is what the log held for a group when the host was opened.
type recovered struct {
	entries []*raftpb.Entry
	hard    *raftpb.HardState
	reset   uint64 // index of the last reset record
}

func (h *Host) replay(r *storage.Record) error {
	rec := h.recovered[r.Group]
	if rec == nil {
		rec = &recovered{}
		h.recovered[r.Group] = rec
	}
	switch r.Kind {
	case storage.KindEntry:
		for n := len(rec.entries); n > 0 && rec.entries[n-1].GetIndex() >= r.Index; n-- {
			rec.entries = rec.entries[:n-1]
		}
		rec.entries = append(rec.entries, newEntry(raftpb.EntryType(r.Type), r.Term, r.Index, append([]byte(nil), r.Data...)))
	case storage.KindState:
		var err error
		if rec.hard, err = parseState(r.Data); err != nil {
			return fmt.Errorf("state of group %d: %w", r.Group, err)
		}
	case storage.KindReset:
		rec.entries, rec.reset = nil, r.Index
	case storage.KindDrop:
		delete(h.recovered, r.Group)
		h.dropped[r.Group] = true
		return nil
	default:
		return fmt.Errorf("record of kind %d, which this version does not know", r.Kind)
	}
	delete(h.dropped, r.Group)
	return nil
}

// removeDropped removes the snapshots of groups that were dropped: the power may have
// gone before that was done.
func (h *Host) removeDropped() error {
	for id := range h.dropped {
		if err := storage.RemoveSnapshot(h.opts.FS, id); err != nil {
			return err
		}
	}
	h.dropped = nil
	return nil
}

// stateBytes encodes what a group must not forget besides its entries: its term, its
// vote, and how far it knows the log to be committed (the members may have changed up to
// there, and those of before be gone).
func stateBytes(term, vote, commit uint64) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, stateLength), term)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, vote), commit)
}

const stateLength = 24

func parseState(b []byte) (*raftpb.HardState, error) {
	if len(b) != stateLength {
		return nil, fmt.Errorf("it has %d bytes, not %d", len(b), stateLength)
	}
	r := reader{b: b}
	return &raftpb.HardState{Term: new(r.u64()), Vote: new(r.u64()), Commit: new(r.u64())}, nil
}

// Recovered returns the groups that the data directory holds something of, and that
// were not added.
func (h *Host) Recovered() ([]uint64, error) {
	ids, err := storage.Snapshots(h.opts.FS)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[uint64]bool{}
	held := ids[:0]
	for _, id := range ids {
		seen[id] = true
		if h.groups[id] == nil {
			held = append(held, id)
		}
	}
	for id := range h.recovered {
		if !seen[id] {
			held = append(held, id)
		}
	}
	return held, nil
}

// load gives g the snapshot and the entries that the data directory holds.
func (h *Host) load(g *Group, alone bool) (held bool, err error) {
	index, term, held, err := h.loadSnapshot(g)
	if err != nil {
		return false, err
	}
	g.applied, g.appliedT, g.saved.index = index, term, index
	g.log.reset(index, term)
	h.mu.Lock()
	rec := h.recovered[g.ID]
	delete(h.recovered, g.ID)
	h.mu.Unlock()
	if err := h.log.Compact(g.ID, index); err != nil {
		return false, err
	}
	if rec == nil {
		return held, nil
	}
	tail, stale, err := rec.tail(index, term)
	if err == nil && stale && alone {
		err = fmt.Errorf("the log ends before the snapshot at index %d", index)
	}
	if err != nil {
		return false, fmt.Errorf("group %d: %w", g.ID, err)
	}
	if stale {
		// Or the next recovery would take what follows now for stale as well.
		h.log.Append([]storage.Record{{Kind: storage.KindReset, Group: g.ID, Index: index, Term: term}}, nil, nil)
	}
	g.log.append(tail)
	if g.log.hard = rec.hard; rec.hard != nil {
		rec.hard.Commit = new(min(max(rec.hard.GetCommit(), index), g.log.last()))
	}
	return true, nil
}

func (h *Host) loadSnapshot(g *Group) (index, term uint64, held bool, err error) {
	payload, err := storage.ReadSnapshot(h.opts.FS, g.ID)
	if err != nil || payload == nil {
		return 0, 0, false, err
	}
	r := reader{b: payload}
	meta := parseSnapshotMeta(&r)
	if r.err != nil {
		return 0, 0, false, fmt.Errorf("snapshot of group %d: %w", g.ID, r.err)
	}
	if err := g.machine.Restore(r.b); err != nil {
		return 0, 0, false, fmt.Errorf("snapshot of group %d: %w", g.ID, err)
	}
	g.setConf(meta.GetConfState())
	return meta.GetIndex(), meta.GetTerm(), true, nil
}

// tail returns the log's entries behind a snapshot at index and term. stale is true if
// the log is not that snapshot's: it was installed, and the reset record behind it was
// never written.
func (r *recovered) tail(index, term uint64) (tail []*raftpb.Entry, stale bool, err error) {
	if index < r.reset {
		return nil, false, fmt.Errorf("the log begins at index %d, the snapshot ends at %d", r.reset+1, index)
	}
	if len(r.entries) == 0 {
		return nil, false, nil
	}
	first := r.entries[0].GetIndex()
	for i, e := range r.entries {
		if e.GetIndex() != first+uint64(i) {
			return nil, false, fmt.Errorf("the log's entry behind index %d has index %d", first+uint64(i)-1, e.GetIndex())
		}
	}
	end := first + uint64(len(r.entries))
	switch {
	case first > index+1:
		return nil, false, fmt.Errorf("the log begins at index %d, the snapshot ends at %d", first, index)
	case end <= index:
		return nil, true, nil
	case first == index+1 && r.entries[0].GetTerm() < term,
		first <= index && r.entries[index-first].GetTerm() != term:
		return nil, true, nil
	}
	return r.entries[index+1-first:], false, nil
}
