package storage

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// modelGroup is what a log may hold of a group.
type modelGroup struct {
	acked, last   uint64 // index of the last entry that was durable, that was appended
	state, stated uint64 // number of the last state that was durable, that was appended
	compacted     uint64
}

// logModel drives a log and knows what it must give back.
type logModel struct {
	fs     *MemFS
	log    *Log
	groups [3]modelGroup
	acks   chan func() // what done callbacks note, run by the test
}

func (m *logModel) open(t *rapid.T) {
	m.acks = make(chan func(), 10_000)
	seen, first := [3]modelGroup{}, [3]uint64{}
	l, err := OpenLog(m.fs, small(), func(r *Record) error {
		g := &seen[r.Group]
		switch r.Kind {
		case KindDrop:
			*g, first[r.Group] = modelGroup{}, 0
		case KindState:
			if n := binary.LittleEndian.Uint64(r.Data); n < g.state {
				t.Fatalf("group %d: state %d behind state %d", r.Group, n, g.state)
			} else {
				g.state = n
			}
		case KindEntry:
			if first[r.Group] != 0 && r.Index != g.last+1 {
				t.Fatalf("group %d: entry %d behind entry %d", r.Group, r.Index, g.last)
			}
			if n := binary.LittleEndian.Uint64(r.Data); n != r.Index {
				t.Fatalf("group %d: entry %d has the data of entry %d", r.Group, r.Index, n)
			}
			if first[r.Group] == 0 {
				first[r.Group] = r.Index
			}
			g.last = r.Index
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.log = l
	for g, want := range m.groups {
		got := seen[g]
		if first[g] > want.compacted+1 {
			t.Fatalf("group %d begins at entry %d, compacted is %d", g, first[g], want.compacted)
		}
		got.last = max(got.last, min(want.compacted, want.acked)) // segments freed
		if got.last < want.acked || got.last > want.last || got.state < want.state || got.state > want.stated {
			t.Fatalf("group %d: got entry %d, state %d; want entry %d to %d, state %d to %d",
				g, got.last, got.state, want.acked, want.last, want.state, want.stated)
		}
		want.acked, want.last, want.state, want.stated = got.last, got.last, got.state, got.state
		m.groups[g] = want
		_ = l.Compact(uint64(g), want.compacted)
	}
}

// settle runs what the done callbacks noted.
func (m *logModel) settle() {
	for {
		select {
		case f := <-m.acks:
			f()
		default:
			return
		}
	}
}

func (m *logModel) appendEntry(t *rapid.T) {
	id := rapid.Uint64Range(0, 2).Draw(t, "group")
	g := &m.groups[id]
	g.last++
	index := g.last
	data := make([]byte, rapid.SampledFrom([]int{8, 100, 3000, 30_000}).Draw(t, "bytes"))
	binary.LittleEndian.PutUint64(data, index)
	acks := m.acks
	m.log.Append([]Record{{Kind: KindEntry, Group: id, Index: index, Data: data}}, nil, func() {
		acks <- func() { g.acked = index }
	})
}

func (m *logModel) appendState(t *rapid.T) {
	id := rapid.Uint64Range(0, 2).Draw(t, "group")
	g := &m.groups[id]
	g.stated++
	n := g.stated
	acks := m.acks
	m.log.Append([]Record{{Kind: KindState, Group: id, Data: binary.LittleEndian.AppendUint64(nil, n)}}, nil, func() {
		acks <- func() { g.state = n }
	})
}

func (m *logModel) wait(*rapid.T) {
	done := make(chan struct{})
	m.log.Append(nil, nil, func() { close(done) })
	<-done
	m.settle()
}

func (m *logModel) compact(t *rapid.T) {
	m.settle()
	id := rapid.Uint64Range(0, 2).Draw(t, "group")
	g := &m.groups[id]
	g.compacted = max(g.compacted, rapid.Uint64Range(0, g.acked).Draw(t, "index"))
	if err := m.log.Compact(id, g.compacted); err != nil {
		t.Fatal(err)
	}
}

func (m *logModel) drop(t *rapid.T) {
	id := rapid.Uint64Range(0, 2).Draw(t, "group")
	if err := m.log.Drop(id); err != nil {
		t.Fatal(err)
	}
	m.settle()
	m.groups[id] = modelGroup{}
}

// end stops the log in one of three ways, and opens it again.
func (m *logModel) end(t *rapid.T) {
	switch rapid.SampledFrom([]string{"close", "kill", "crash"}).Draw(t, "how") {
	case "close":
		mustCloseRapid(t, m.log)
	case "kill":
		m.fs.Kill()
		_ = m.log.Close()
	case "crash":
		from := rapid.IntRange(0, 3).Draw(t, "from")
		to := rapid.IntRange(0, 4).Draw(t, "to")
		m.fs.Crash(Survival{Names: rapid.Bool().Draw(t, "names"), Bytes: func(_ string, n int) (int, int) {
			return n * from / 4, max(n*to/4, n*from/4)
		}})
		_ = m.log.Close()
	}
	m.settle()
	m.open(t)
}

func mustCloseRapid(t *rapid.T, l *Log) {
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsDurableIsReplayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &logModel{fs: NewMemFS()}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"entry": m.appendEntry, "entry2": m.appendEntry, "entry3": m.appendEntry,
			"state": m.appendState, "wait": m.wait, "compact": m.compact, "drop": m.drop, "end": m.end,
		})
		m.end(t)
		mustCloseRapid(t, m.log)
	})
}

func FuzzBatch(f *testing.F) {
	r := entry(1, 2, "data")
	good := sealed(&r, 5, 6)
	f.Add(good, uint64(5))
	f.Add(good[:len(good)-9], uint64(5))
	f.Add(append(good, good...), uint64(4))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, epoch uint64) {
		_, body, size, ok := openBatch(b, epoch)
		if !ok {
			return
		}
		if len(body) > len(b) || size < batchHeaderBytes+len(body) || size%batchAlignBytes != 0 {
			t.Fatalf("%d bytes of body, size %d, in %d bytes", len(body), size, len(b))
		}
		var again []byte
		if err := eachRecord(body, func(r *Record) error { again = appendRecord(again, r); return nil }); err == nil &&
			string(again) != string(body) {
			t.Fatal("records differ from the bytes they were read from")
		}
	})
}

func FuzzRecords(f *testing.F) {
	r := entry(1, 2, "data")
	f.Add(appendRecord(nil, &r))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var again []byte
		if err := eachRecord(body, func(r *Record) error { again = appendRecord(again, r); return nil }); err == nil &&
			string(again) != string(body) {
			t.Fatal("records differ from the bytes they were read from")
		}
	})
}

// sealed returns a batch of one record.
func sealed(r *Record, epoch, number uint64) (whole []byte) {
	var b batch
	b.begin()
	b.add(r)
	b.seal(epoch, number)
	_ = b.pieces(0, func(p []byte) error { whole = append(whole, p...); return nil })
	return whole
}

// appendRecord appends one record as it stands in a batch.
func appendRecord(dst []byte, r *Record) []byte {
	var b batch
	b.begin()
	b.add(r)
	_ = b.pieces(batchHeaderBytes, func(p []byte) error { dst = append(dst, p...); return nil })
	return dst
}
