package raftnode

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// A Raft message on the wire, little-endian, raftpb being never marshalled:
//
//	type u8 | flags u8 | to u64 | from u64 | term u64 | log term u64 | index u64 |
//	commit u64 | reject hint u64 | context length u32 | context | entries u32 | entry…
//
// an entry: type u8 | term u64 | index u64 | data length u32 | data; behind the
// entries, if flag 2 is set, a snapshot: its description (appendSnapshotMeta) and
// data length u64 | data.
const (
	flagReject   = 1
	flagSnapshot = 2

	messageFixedBytes = 2 + 7*8 + 4
	entryFixedBytes   = 1 + 8 + 8 + 4
)

var errShort = errors.New("raft message cut short")

func appendMessage(b []byte, m *raftpb.Message) []byte {
	for _, p := range messageParts(m) {
		b = append(b, p...)
	}
	return b
}

// messageParts returns a message's bytes, of which the data of entries is not copied.
func messageParts(m *raftpb.Message) [][]byte {
	parts := make([][]byte, 0, 2*len(m.GetEntries())+2)
	b := make([]byte, 0, messageFixedBytes+len(m.GetContext())+4+entryFixedBytes*len(m.GetEntries()))
	from := 0
	var flags byte
	if m.GetReject() {
		flags |= flagReject
	}
	if m.GetSnapshot() != nil {
		flags |= flagSnapshot
	}
	b = append(b, byte(m.GetType()), flags)
	for _, v := range [...]uint64{
		m.GetTo(), m.GetFrom(), m.GetTerm(), m.GetLogTerm(), m.GetIndex(), m.GetCommit(), m.GetRejectHint(),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.GetContext())))
	b = append(b, m.GetContext()...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.GetEntries())))
	for _, e := range m.GetEntries() {
		b = append(b, byte(e.GetType()))
		b = binary.LittleEndian.AppendUint64(b, e.GetTerm())
		b = binary.LittleEndian.AppendUint64(b, e.GetIndex())
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.GetData())))
		parts, from = append(parts, b[from:len(b):len(b)], e.GetData()), len(b)
	}
	if s := m.GetSnapshot(); s != nil {
		b = appendSnapshotMeta(b, s.GetMetadata())
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s.GetData())))
		parts, from = append(parts, b[from:len(b):len(b)], s.GetData()), len(b)
	}
	return append(parts, b[from:])
}

// reader reads little-endian values; the first failure sticks.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.err = errShort
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() byte {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// parseMessage reads a message; entries and snapshot alias b.
func parseMessage(b []byte) (*raftpb.Message, error) {
	r := reader{b: b}
	typ, flags := raftpb.MessageType(r.u8()), r.u8()
	var v [7]uint64
	for i := range v {
		v[i] = r.u64()
	}
	m := &raftpb.Message{
		Type: &typ, To: &v[0], From: &v[1], Term: &v[2], LogTerm: &v[3], Index: &v[4], Commit: &v[5], RejectHint: &v[6],
	}
	if flags&flagReject != 0 {
		m.Reject = new(true)
	}
	if n := int(r.u32()); n > 0 {
		m.Context = r.take(n)
	}
	entries := int(r.u32())
	if entries > len(r.b)/entryFixedBytes {
		return nil, errShort
	}
	for range entries {
		t, term, index := raftpb.EntryType(r.u8()), r.u64(), r.u64()
		m.Entries = append(m.Entries, newEntry(t, term, index, r.take(int(r.u32()))))
	}
	if flags&flagSnapshot != 0 {
		meta := parseSnapshotMeta(&r)
		m.Snapshot = &raftpb.Snapshot{Metadata: meta, Data: r.take(int(r.u64()))}
	}
	if r.err != nil {
		return nil, fmt.Errorf("type %v: %w", typ, r.err)
	}
	return m, nil
}

// newEntry makes an entry with one allocation.
func newEntry(t raftpb.EntryType, term, index uint64, data []byte) *raftpb.Entry {
	a := &struct {
		e           raftpb.Entry
		t           raftpb.EntryType
		term, index uint64
	}{t: t, term: term, index: index}
	a.e.Type, a.e.Term, a.e.Index, a.e.Data = &a.t, &a.term, &a.index, data
	return &a.e
}

// appendSnapshotMeta writes index, term and the five parts of the configuration.
func appendSnapshotMeta(b []byte, m *raftpb.SnapshotMetadata) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.GetIndex())
	b = binary.LittleEndian.AppendUint64(b, m.GetTerm())
	cs := m.GetConfState()
	for _, ids := range [...][]uint64{cs.GetVoters(), cs.GetLearners(), cs.GetVotersOutgoing(), cs.GetLearnersNext()} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(ids)))
		for _, id := range ids {
			b = binary.LittleEndian.AppendUint64(b, id)
		}
	}
	if cs.GetAutoLeave() {
		return append(b, 1)
	}
	return append(b, 0)
}

func parseSnapshotMeta(r *reader) *raftpb.SnapshotMetadata {
	index, term := r.u64(), r.u64()
	var ids [4][]uint64
	for i := range ids {
		n := int(r.u32())
		if n > len(r.b)/8 {
			r.err = errShort
			break
		}
		for range n {
			ids[i] = append(ids[i], r.u64())
		}
	}
	autoLeave := r.u8() == 1
	return &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: &raftpb.ConfState{
		Voters: ids[0], Learners: ids[1], VotersOutgoing: ids[2], LearnersNext: ids[3], AutoLeave: &autoLeave,
	}}
}
