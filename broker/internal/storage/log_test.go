package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// small are options whose segments fill up fast.
func small() LogOptions { return LogOptions{SegmentBytes: segmentBytesMin} }

// mustOpen opens the log in fs and returns it with copies of what it replayed.
func mustOpen(t testing.TB, fs FS, opts LogOptions) (*Log, []Record) {
	t.Helper()
	var got []Record
	l, err := OpenLog(fs, opts, func(r *Record) error {
		c := *r
		c.Data = bytes.Clone(r.Data)
		got = append(got, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, got
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustAppend appends records and waits until they are durable.
func mustAppend(t testing.TB, l *Log, records ...Record) {
	t.Helper()
	done := make(chan struct{})
	l.Append(records, nil, func() { close(done) })
	select {
	case <-done:
	case <-l.done:
		t.Fatal("the log ended before the records were durable")
	}
}

func entry(group, index uint64, data string) Record {
	return Record{Kind: KindEntry, Group: group, Index: index, Term: 7, Type: 3, Data: []byte(data)}
}

// large is an entry of which three fill a small segment.
func large(group, index uint64) Record {
	return entry(group, index, strings.Repeat("x", segmentBytesMin/3-200))
}

func state(group uint64, data string) Record {
	return Record{Kind: KindState, Group: group, Data: []byte(data)}
}

// fill appends large entries of group until a new segment was begun n times.
func fill(t testing.TB, l *Log, group uint64, from uint64, n int) (next uint64) {
	t.Helper()
	for range 3 * n {
		mustAppend(t, l, large(group, from))
		from++
	}
	return from
}

func (l *Log) segmentCount() int {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	return len(l.segments)
}

func equalRecords(a, b Record) bool {
	return a.Kind == b.Kind && a.Group == b.Group && a.Index == b.Index && a.Term == b.Term && a.Type == b.Type &&
		bytes.Equal(a.Data, b.Data)
}

func checkRecords(t *testing.T, got, want []Record) {
	t.Helper()
	if !slices.EqualFunc(got, want, equalRecords) {
		t.Fatalf("replayed %d records, want %d\ngot  %.300v\nwant %.300v", len(got), len(want), got, want)
	}
}

func TestReplayGivesBackWhatWasAppended(t *testing.T) {
	for name, fs := range map[string]FS{"mem": NewMemFS(), "os": OSDir(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			l, got := mustOpen(t, fs, small())
			checkRecords(t, got, nil)
			want := []Record{
				state(1, "term and vote"), entry(1, 1, "a"), entry(2, 1, ""), {Kind: KindReset, Group: 3, Index: 9, Term: 2},
				entry(1, 2, strings.Repeat("z", 100)),
			}
			for i := range want {
				mustAppend(t, l, want[i])
			}
			mustAppend(t, l, entry(4, 1, "x"), entry(4, 2, "y"))
			want = append(want, entry(4, 1, "x"), entry(4, 2, "y"))
			mustClose(t, l)
			l, got = mustOpen(t, fs, small())
			checkRecords(t, got, want)
			mustClose(t, l)
		})
	}
}

func TestDoneIsCalledInTheOrderOfTheAppends(t *testing.T) {
	l, _ := mustOpen(t, NewMemFS(), small())
	var order []int
	var all sync.WaitGroup
	for i := range 1000 {
		all.Add(1)
		var records []Record
		if i%7 != 0 { // an append may be for its order only
			records = []Record{entry(1, uint64(i+1), "data")}
		}
		l.Append(records, nil, func() { order = append(order, i); all.Done() })
	}
	all.Wait()
	if !slices.IsSorted(order) || len(order) != 1000 {
		t.Fatalf("order of done: %v", order)
	}
	mustClose(t, l)
}

func TestWorkBeforeARecordRunsFirst(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	done := make(chan struct{})
	l.Append([]Record{{Kind: KindReset, Group: 1, Index: 5}}, func() error { return WriteSnapshot(fs, 1, []byte("five")) }, func() { close(done) })
	<-done
	fs.Crash(Survival{})
	if b, err := ReadSnapshot(fs, 1); err != nil || string(b) != "five" {
		t.Fatalf("snapshot %q, %v", b, err)
	}
	_ = l.Close()
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	var want []Record
	for i := range 100 {
		want = append(want, entry(1, uint64(i+1), "queued"))
		l.Append(want[i:], nil, nil)
	}
	mustClose(t, l)
	l.Append([]Record{entry(1, 101, "too late")}, nil, func() { t.Error("done after Close") })
	l, got := mustOpen(t, fs, small())
	checkRecords(t, got, want)
	mustClose(t, l)
}

func TestBatchesLargerThanASegment(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	want := []Record{entry(1, 1, "before"), entry(1, 2, strings.Repeat("b", 3*segmentBytesMin)), entry(1, 3, "behind")}
	for _, r := range want {
		mustAppend(t, l, r)
	}
	mustClose(t, l)
	l, got := mustOpen(t, fs, small())
	checkRecords(t, got, want)
	mustClose(t, l)
}

func TestEachSegmentBeginsWithTheLatestStates(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	mustAppend(t, l, state(1, "old"), state(2, "two"))
	mustAppend(t, l, state(1, "new"))
	next := fill(t, l, 9, 1, 3)
	if err := l.Compact(9, next-1); err != nil {
		t.Fatal(err)
	}
	if n := l.segmentCount(); n != 1 {
		t.Fatalf("%d segments are left, want 1", n)
	}
	mustClose(t, l)
	l, got := mustOpen(t, fs, small())
	states := map[uint64]string{}
	for _, r := range got {
		if r.Kind == KindState {
			states[r.Group] = string(r.Data)
		}
	}
	if states[1] != "new" || states[2] != "two" {
		t.Fatalf("states %v", states)
	}
	mustClose(t, l)
}

func TestRecycledSegmentsNeverShowWhatTheyHeld(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	next := uint64(1)
	for range 10 {
		next = fill(t, l, 1, next, 2)
		if err := l.Compact(1, next-1); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := fs.List(logDir)
	if len(names) > 1+spareSegmentsMax+1 {
		t.Fatalf("files %v: nothing was recycled", names)
	}
	kept := next
	mustAppend(t, l, entry(1, next, "last"))
	_ = l // the process is killed
	l2, got := mustOpen(t, fs, small())
	for _, r := range got {
		if r.Index > kept {
			t.Fatalf("record %v was never appended in this place", r)
		}
	}
	if last := got[len(got)-1]; string(last.Data) != "last" {
		t.Fatalf("last record %.50v", last)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Index != got[i-1].Index+1 {
			t.Fatalf("record %d follows record %d", got[i].Index, got[i-1].Index)
		}
	}
	mustClose(t, l2)
	mustClose(t, l)
}

func TestDropFreesSegmentsForGoodAndAGroupMayBeginAnew(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	mustAppend(t, l, state(1, "first life"))
	fill(t, l, 1, 1, 3)
	if err := l.Drop(1); err != nil {
		t.Fatal(err)
	}
	if n := l.segmentCount(); n != 1 {
		t.Fatalf("%d segments are left, want 1", n)
	}
	fs.Crash(Survival{})
	_ = l.Close()
	l, got := mustOpen(t, fs, small())
	alive := false
	for _, r := range got {
		if r.Group == 1 {
			alive = r.Kind != KindDrop
		}
	}
	if alive {
		t.Fatalf("the group came back: %.300v", got)
	}
	mustAppend(t, l, state(1, "second life"), entry(1, 1, "anew"))
	fill(t, l, 2, 1, 2)
	if err := l.Compact(2, 100); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	l, got = mustOpen(t, fs, small())
	if !slices.ContainsFunc(got, func(r Record) bool { return equalRecords(r, entry(1, 1, "anew")) }) {
		t.Fatal("the entry of the second life is gone")
	}
	if err := l.Compact(1, 1); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
}

func TestDropFailsOnAClosedLog(t *testing.T) {
	l, _ := mustOpen(t, NewMemFS(), small())
	mustClose(t, l)
	if err := l.Drop(1); !errors.Is(err, ErrClosed) {
		t.Fatalf("Drop on a closed log: %v", err)
	}
}

func TestPressureNamesThoseWhoPinTheOldestSegment(t *testing.T) {
	var mu sync.Mutex
	var named [][]uint64
	opts := small()
	opts.SegmentsKept = 3
	opts.Pressure = func(groups []uint64) {
		mu.Lock()
		named = append(named, slices.Sorted(slices.Values(groups)))
		mu.Unlock()
	}
	last := func() []uint64 {
		mu.Lock()
		defer mu.Unlock()
		if len(named) == 0 {
			return nil
		}
		return named[len(named)-1]
	}
	l, _ := mustOpen(t, NewMemFS(), opts)
	mustAppend(t, l, entry(1, 1, "pins"), entry(2, 1, "pins too"))
	next := fill(t, l, 3, 1, 2)
	if last() != nil {
		t.Fatalf("pressure with few segments: %v", last())
	}
	next = fill(t, l, 3, next, 2)
	if !slices.Equal(last(), []uint64{1, 2, 3}) {
		t.Fatalf("groups %v, want 1, 2 and 3", last())
	}
	for _, c := range []struct{ group, index uint64 }{{3, next}, {2, 1}} {
		if err := l.Compact(c.group, c.index); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(last(), []uint64{1}) {
		t.Fatalf("groups %v, want 1", last())
	}
	if err := l.Compact(1, 1); err != nil {
		t.Fatal(err)
	}
	if n := l.segmentCount(); n != 1 {
		t.Fatalf("%d segments are left, want 1", n)
	}
	mustClose(t, l)
}

func TestASnapshotIsWholeOrAbsent(t *testing.T) {
	fs := NewMemFS()
	if b, err := ReadSnapshot(fs, 5); b != nil || err != nil {
		t.Fatalf("snapshot %q, %v", b, err)
	}
	payload := make([]byte, 1000)
	for i := range payload {
		payload[i] = byte(rand.N(256))
	}
	for _, group := range []uint64{5, 1 << 60} {
		if err := WriteSnapshot(fs, group, payload); err != nil {
			t.Fatal(err)
		}
	}
	if groups, err := Snapshots(fs); err != nil || !slices.Equal(slices.Sorted(slices.Values(groups)), []uint64{5, 1 << 60}) {
		t.Fatalf("snapshots %v, %v", groups, err)
	}
	if b, err := ReadSnapshot(fs, 5); err != nil || !bytes.Equal(b, payload) {
		t.Fatalf("snapshot differs: %v", err)
	}
	for at := range int64(snapHeaderBytes + len(payload)) {
		if err := fs.Corrupt(snapName(5), at); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSnapshot(fs, 5); err == nil || !strings.Contains(err.Error(), snapName(5)) {
			t.Fatalf("damage at offset %d: %v", at, err)
		}
		_ = fs.Corrupt(snapName(5), at)
	}
	if err := RemoveSnapshot(fs, 5); err != nil {
		t.Fatal(err)
	}
	if err := RemoveSnapshot(fs, 5); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			l, err := OpenLog(OSDir(b.TempDir()), LogOptions{}, func(*Record) error { return nil })
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			data := make([]byte, size)
			slots := make(chan struct{}, 4096) // as many appends are under way
			done := func() { <-slots }
			b.ResetTimer()
			for i := range b.N {
				slots <- struct{}{}
				l.Append([]Record{{Kind: KindEntry, Group: 1, Index: uint64(i + 1), Data: data}}, nil, done)
				if i%100_000 == 0 {
					_ = l.Compact(1, uint64(i))
				}
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func TestAnotherVersionOfTheFormat(t *testing.T) {
	fs := NewMemFS()
	l, _ := mustOpen(t, fs, small())
	mustAppend(t, l, entry(1, 1, "a"))
	mustClose(t, l)
	f, err := fs.Open(segmentName(1), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{'1'}, 3); err != nil { // behind "WAL"
		t.Fatal(err)
	}
	_, err = OpenLog(fs, small(), func(*Record) error { return errors.New("a record was read") })
	want := "wal/0000000000000001.log at offset 0: the log has format version 1, this broker reads version 2"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}
