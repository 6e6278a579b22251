package storage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// copied returns a file system with the same content, for a test that tries many
// crashes from one state.
func (m *MemFS) copied() *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemFS()
	files := map[*memFile]*memFile{}
	of := func(f *memFile) *memFile {
		if files[f] == nil {
			files[f] = &memFile{data: bytes.Clone(f.data), synced: bytes.Clone(f.synced), writes: append([]memWrite(nil), f.writes...)}
		}
		return files[f]
	}
	for n, f := range m.names {
		c.names[n] = of(f)
	}
	for n, f := range m.durable {
		c.durable[n] = of(f)
	}
	for d := range m.dirs {
		c.dirs[d] = true
	}
	return c
}

var errDisk = errors.New("disk on fire")

// unsynced returns a file system in which first is durable and second was written, as
// the last batch, and not synced.
func unsynced(t *testing.T, first, second Record) (fs *MemFS, segment string, batchBytes int) {
	t.Helper()
	fs = NewMemFS()
	broken := false
	faulty := NewFaultFS(fs, func(op Operation) *Fault {
		if broken && op.Verb == "sync" {
			return &Fault{Err: errDisk}
		}
		return nil
	})
	failed := make(chan error, 1)
	opts := small()
	opts.Failed = func(err error) { failed <- err }
	l, _ := mustOpen(t, faulty, opts)
	mustAppend(t, l, first)
	broken = true
	l.Append([]Record{second}, nil, func() { t.Error("done without a sync") })
	if err := <-failed; !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	_ = l.Close()
	segment = segmentName(1)
	for _, w := range fs.names[segment].writes {
		batchBytes += len(w.data)
	}
	return fs, segment, batchBytes
}

func TestATornLastBatchIsCutAtAnyOffset(t *testing.T) {
	first, second := entry(1, 1, "first"), entry(1, 2, strings.Repeat("second", 30))
	from, _, size := unsynced(t, first, second)
	for _, kind := range []string{"prefix", "suffix"} {
		for k := range size + 1 {
			lo, hi := 0, k
			if kind == "suffix" {
				lo, hi = k, size
			}
			fs := from.copied()
			fs.Crash(Survival{Bytes: func(string, int) (int, int) { return lo, hi }})
			l, got := mustOpen(t, fs, small())
			if whole := len(got) == 2 && equalRecords(got[1], second); !whole || hi-lo < size-batchAlignBytes {
				checkRecords(t, got, []Record{first})
			} else if lo == 0 && hi == size && !whole {
				t.Fatalf("a whole batch was cut")
			}
			third := entry(1, 3, "third")
			mustAppend(t, l, third)
			mustClose(t, l)
			l, again := mustOpen(t, fs, small())
			checkRecords(t, again, append(got, third))
			mustClose(t, l)
		}
	}
}

func TestWhatWasReplayedOutlivesThePowerCutThatFollows(t *testing.T) {
	first, second := entry(1, 1, "first"), entry(1, 2, "second")
	fs, _, _ := unsynced(t, first, second)
	fs.Kill()
	l, got := mustOpen(t, fs, small())
	checkRecords(t, got, []Record{first, second})
	mustAppend(t, l, entry(1, 3, "third"))
	fs.Crash(Survival{})
	_ = l.Close()
	l, got = mustOpen(t, fs, small())
	checkRecords(t, got, []Record{first, second, entry(1, 3, "third")})
	mustClose(t, l)
}

func TestDamageBeforeTheTailIsRefused(t *testing.T) {
	from := NewMemFS()
	l, _ := mustOpen(t, from, small())
	records := []Record{entry(1, 1, "one"), entry(1, 2, "two"), entry(1, 3, "three")}
	for _, r := range records {
		mustAppend(t, l, r)
	}
	mustClose(t, l)
	first := int64(batchHeaderBytes + recordFixedBytes + len("one"))
	for at := range 2 * first {
		fs := from.copied()
		if err := fs.Corrupt(segmentName(1), at); err != nil {
			t.Fatal(err)
		}
		var got []Record
		l, err := OpenLog(fs, small(), func(r *Record) error {
			c := *r
			c.Data = bytes.Clone(r.Data)
			got = append(got, c)
			return nil
		})
		if err == nil { // padding: nothing was damaged
			checkRecords(t, got, records)
			mustClose(t, l)
			if at < first {
				t.Fatalf("damage at offset %d was not seen", at)
			}
			continue
		}
		if !strings.Contains(err.Error(), segmentName(1)) || !strings.Contains(err.Error(), "at offset ") {
			t.Fatalf("damage at offset %d: %v", at, err)
		}
	}
}

func TestDamageInAnOlderSegmentIsRefused(t *testing.T) {
	from := NewMemFS()
	l, _ := mustOpen(t, from, small())
	fill(t, l, 1, 1, 3)
	mustClose(t, l)
	for _, damage := range []func(fs *MemFS) error{
		func(fs *MemFS) error { return fs.Corrupt(segmentName(1), 100) },
		func(fs *MemFS) error { return fs.Corrupt(segmentName(2), segmentBytesMin/3*2) },
		func(fs *MemFS) error { return fs.Remove(segmentName(2)) },
	} {
		fs := from.copied()
		if err := damage(fs); err != nil {
			t.Fatal(err)
		}
		_, err := OpenLog(fs, small(), func(*Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), logDir+"/") || !strings.Contains(err.Error(), "offset") {
			t.Fatalf("opened a damaged log: %v", err)
		}
	}
}

func TestAFailedSyncEndsTheLog(t *testing.T) {
	for _, verb := range []string{"sync", "write"} {
		t.Run(verb, func(t *testing.T) {
			fs := NewMemFS()
			var broken atomic.Bool
			faulty := NewFaultFS(fs, func(op Operation) *Fault {
				if broken.Load() && op.Verb == verb {
					broken.Store(false) // what comes after would work again, and must not
					return &Fault{Err: errDisk, Short: 5}
				}
				return nil
			})
			failed := make(chan error, 10)
			opts := small()
			opts.Failed = func(err error) { failed <- err }
			l, _ := mustOpen(t, faulty, opts)
			mustAppend(t, l, entry(1, 1, "good"))
			broken.Store(true)
			for i := range 10 {
				l.Append([]Record{entry(1, uint64(2+i), "bad")}, nil, func() { t.Error("done after a failed " + verb) })
			}
			if err := <-failed; !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			l.Append([]Record{entry(1, 20, "late")}, nil, func() { t.Error("done on a failed log") })
			_ = l.Close()
			if len(failed) > 0 {
				t.Fatalf("Failed was called again: %v", <-failed)
			}
		})
	}
}

// TestACrashAtAnyOperationLosesNothing lets each operation of a busy log fail in turn,
// and cuts the power then.
func TestACrashAtAnyOperationLosesNothing(t *testing.T) {
	for n := 1; ; n++ {
		fs := NewMemFS()
		faulty := NewFaultFS(fs, func(op Operation) *Fault {
			if op.N >= n {
				return &Fault{Err: errDisk, Short: n * 37 % 5000}
			}
			return nil
		})
		acked, dropped := busy(faulty)
		for i, s := range []Survival{
			{}, {Names: true}, {Bytes: func(_ string, n int) (int, int) { return 0, n }},
			{Names: true, Bytes: func(_ string, n int) (int, int) { return 0, n / 2 }},
			{Names: true, Bytes: func(_ string, n int) (int, int) { return n / 3, n }},
		} {
			after := fs.copied()
			after.Crash(s)
			last := map[uint64]uint64{}
			l, got := mustOpen(t, after, small())
			for _, r := range got {
				if r.Kind == KindEntry {
					last[r.Group] = r.Index
				}
				if r.Kind == KindDrop {
					delete(last, r.Group)
				}
			}
			if last[1] < acked || dropped && last[2] != 0 {
				t.Fatalf("operation %d, survival %d: entries up to %d of %d, group 2 up to %d", n, i, last[1], acked, last[2])
			}
			mustClose(t, l)
		}
		if faulty.Operations() < n {
			return // the whole run went through
		}
	}
}

// busy opens a log, rotates and recycles segments, drops a group. It returns the last
// entry of group 1 that was durable, and whether group 2's end was.
func busy(fs FS) (acked uint64, dropped bool) {
	var done atomic.Uint64
	l, err := OpenLog(fs, small(), func(*Record) error { return nil })
	if err != nil {
		return 0, false
	}
	append := func(r Record) {
		c := make(chan struct{})
		l.Append([]Record{r}, nil, func() { close(c) })
		select {
		case <-c:
			if r.Group == 1 {
				done.Store(r.Index)
			}
		case <-l.done:
		}
	}
	append(state(1, "vote"))
	append(large(2, 1))
	for i := range uint64(10) {
		append(large(1, i+1))
		if i == 4 {
			dropped = l.Drop(2) == nil
		}
		if done.Load() > 3 {
			_ = l.Compact(1, done.Load()-3)
		}
	}
	_ = l.Close()
	return done.Load(), dropped
}

func TestASnapshotSurvivesACrashAtAnyOperation(t *testing.T) {
	for n := 1; ; n++ {
		fs := NewMemFS()
		if err := WriteSnapshot(fs, 1, []byte("old")); err != nil {
			t.Fatal(err)
		}
		faulty := NewFaultFS(fs, func(op Operation) *Fault {
			if op.N == n {
				return &Fault{Err: errDisk, Short: 3}
			}
			return nil
		})
		err := WriteSnapshot(faulty, 1, []byte("new and longer"))
		for _, names := range []bool{true, false} {
			after := fs.copied()
			after.Crash(Survival{Names: names})
			b, readErr := ReadSnapshot(after, 1)
			if readErr != nil || string(b) != "new and longer" && (err == nil || string(b) != "old") {
				t.Fatalf("operation %d, names %v: snapshot %q, %v", n, names, b, readErr)
			}
			if err := WriteSnapshot(after, 1, []byte("next")); err != nil {
				t.Fatal(err)
			}
		}
		if err == nil && faulty.Operations() < n {
			return
		}
	}
}

func TestNodesDoNotShareADirectory(t *testing.T) {
	dir := t.TempDir()
	unlock, err := OSDir(dir).Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OSDir(dir).Lock(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("locked twice: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = OSDir(dir).Lock()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(t.Output(), unlock())
}
