package raftnode

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// drawMessage draws a message of the kind that raft sends.
func drawMessage(t *rapid.T) *raftpb.Message {
	num := rapid.Uint64()
	typ := raftpb.MessageType(rapid.IntRange(0, 23).Draw(t, "type"))
	m := &raftpb.Message{
		Type: &typ, To: new(num.Draw(t, "to")), From: new(num.Draw(t, "from")), Term: new(num.Draw(t, "term")),
		LogTerm: new(num.Draw(t, "log term")), Index: new(num.Draw(t, "index")), Commit: new(num.Draw(t, "commit")),
		RejectHint: new(num.Draw(t, "hint")),
	}
	if rapid.Bool().Draw(t, "reject") {
		m.Reject = new(true)
	}
	bytes := rapid.SliceOfN(rapid.Byte(), 1, 20)
	if rapid.Bool().Draw(t, "context") {
		m.Context = bytes.Draw(t, "context")
	}
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		kind := raftpb.EntryType(rapid.IntRange(0, 2).Draw(t, "kind"))
		m.Entries = append(m.Entries, newEntry(kind, num.Draw(t, "term"), num.Draw(t, "index"), bytes.Draw(t, "data")))
	}
	if rapid.Bool().Draw(t, "snapshot") {
		ids := rapid.SliceOfN(num, 0, 4)
		m.Snapshot = &raftpb.Snapshot{Data: bytes.Draw(t, "payload"), Metadata: &raftpb.SnapshotMetadata{
			Index: new(num.Draw(t, "index")), Term: new(num.Draw(t, "term")), ConfState: &raftpb.ConfState{
				Voters: ids.Draw(t, "voters"), Learners: ids.Draw(t, "learners"), VotersOutgoing: ids.Draw(t, "outgoing"),
				LearnersNext: ids.Draw(t, "next"), AutoLeave: new(rapid.Bool().Draw(t, "auto leave")),
			},
		}}
	}
	return m
}

func TestAMessageComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := appendMessage(nil, m)
		got, err := parseMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, m) {
			t.Fatalf("got  %v\nwant %v", got, m)
		}
		if _, err := parseMessage(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a message cut short was read")
		}
	})
}

func FuzzMessage(f *testing.F) {
	typ := raftpb.MsgSnap
	f.Add(appendMessage(nil, &raftpb.Message{Type: &typ, Entries: []*raftpb.Entry{newEntry(0, 1, 2, []byte("data"))},
		Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}}}}}))
	f.Add([]byte{})
	f.Add(make([]byte, messageFixedBytes+4))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		again, err := parseMessage(appendMessage(nil, m))
		if err != nil || !proto.Equal(again, m) {
			t.Fatalf("%v, then %v, %v", m, again, err)
		}
	})
}
