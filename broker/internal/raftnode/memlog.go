package raftnode

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// memLog is the part of a group's log that is in memory: raft.Storage. What it has
// dropped is in the machine's state; a follower that needs it gets a snapshot.
type memLog struct {
	hard    *raftpb.HardState
	conf    *raftpb.ConfState
	first   uint64 // index before entries[0]
	term    uint64 // its term
	entries []*raftpb.Entry
	bytes   int

	// capture makes a snapshot of the machine as it is now.
	capture func() (*raftpb.Snapshot, error)
}

var _ raft.Storage = (*memLog)(nil)

func (l *memLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return l.hard, l.conf, nil
}

func (l *memLog) FirstIndex() (uint64, error) { return l.first + 1, nil }
func (l *memLog) LastIndex() (uint64, error)  { return l.last(), nil }
func (l *memLog) last() uint64                { return l.first + uint64(len(l.entries)) }

func (l *memLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.first:
		return l.term, nil
	case i < l.first:
		return 0, raft.ErrCompacted
	case i > l.last():
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.first-1].GetTerm(), nil
}

func (l *memLog) Entries(lo, hi, maxBytes uint64) ([]*raftpb.Entry, error) {
	if lo <= l.first {
		return nil, raft.ErrCompacted
	}
	if hi > l.last()+1 {
		return nil, raft.ErrUnavailable
	}
	es := l.entries[lo-l.first-1 : hi-l.first-1]
	var size uint64
	for i, e := range es {
		size += uint64(len(e.GetData()) + entryFixedBytes)
		if size > maxBytes && i > 0 {
			return es[:i:i], nil
		}
	}
	return es[:len(es):len(es)], nil
}

func (l *memLog) Snapshot() (*raftpb.Snapshot, error) { return l.capture() }

// append adds entries, which replace what the log holds from the first's index on.
func (l *memLog) append(es []*raftpb.Entry) {
	if len(es) == 0 {
		return
	}
	at := es[0].GetIndex()
	if at <= l.first || at > l.last()+1 {
		panic(fmt.Sprintf("entries from index %d on do not go on from a log of %d to %d", at, l.first+1, l.last()))
	}
	if at <= l.last() {
		for _, e := range l.entries[at-l.first-1:] {
			l.bytes -= len(e.GetData())
		}
		l.entries = l.entries[: at-l.first-1 : at-l.first-1]
	}
	for _, e := range es {
		l.bytes += len(e.GetData())
	}
	l.entries = append(l.entries, es...)
}

// reset empties the log; the next index is index+1.
func (l *memLog) reset(index, term uint64) {
	l.first, l.term, l.entries, l.bytes = index, term, nil, 0
}

// trim drops entries up to index.
func (l *memLog) trim(index uint64) {
	index = min(index, l.last())
	if index <= l.first {
		return
	}
	n := index - l.first
	for _, e := range l.entries[:n] {
		l.bytes -= len(e.GetData())
	}
	l.term = l.entries[n-1].GetTerm()
	l.first += n
	rest := make([]*raftpb.Entry, uint64(len(l.entries))-n)
	copy(rest, l.entries[n:])
	l.entries = rest
}
