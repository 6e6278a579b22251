package raftnode

import (
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/storage"
)

func (m *member) addAlone(id uint64, durable bool) {
	m.c.t.Helper()
	if err := m.host.AddAlone(id, durable, m.newList); err != nil {
		m.c.t.Fatal(err)
	}
}

func TestAGroupThatLivesAlone(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	for i := range 5 {
		m.open()
		m.addAlone(10, true)
		c.settle(10, 1)
		values := numbered(string(rune('a'+i)), 40)
		values[7] += strings.Repeat(".", 50_000) // segments fill up, snapshots are taken
		c.commit(10, values...)
		if i%2 == 0 {
			m.crash(storage.Survival{})
		} else {
			m.stop()
		}
	}
	m.open()
	m.addAlone(10, true)
	c.settle(10, 1)
}

func TestAGroupThatIsNotDurableBeginsEmpty(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.addAlone(10, false)
	c.commit(10, "a", "b")
	m.stop()
	m.open()
	m.addAlone(10, false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := m.lists[10].Values; len(got) != 0 {
		t.Fatalf("values %v", got)
	}
}

// TestWhatIsNotHostedYetIsKept fills the log while a group of the data directory waits
// to be added.
func TestWhatIsNotHostedYetIsKept(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.addAlone(10, true)
	m.addAlone(11, true)
	fill := func(id uint64, prefix string) {
		for _, v := range numbered(prefix, 20) {
			c.commit(id, v+strings.Repeat(".", 20_000))
		}
	}
	c.commit(10, "first")
	fill(11, "a")
	m.crash(storage.Survival{})
	m.open()
	m.addAlone(11, true)
	fill(11, "b")
	if left, err := m.host.Recovered(); err != nil || !slices.Equal(left, []uint64{10}) {
		t.Fatalf("not added: %v, %v", left, err)
	}
	m.addAlone(10, true)
	c.settle(10, 1)
	m.stop()
	m.open()
	m.addAlone(10, true)
	m.addAlone(11, true)
	c.settle(10, 1)
	c.settle(11, 1)
	if err := m.host.Remove(10); err != nil {
		t.Fatal(err)
	}
	fill(11, "c")
	m.stop()
	m.open()
	if left, err := m.host.Recovered(); err != nil || !slices.Equal(left, []uint64{11}) {
		t.Fatalf("not added: %v, %v", left, err)
	}
}

func TestAGroupThatWasRemovedMayBeginAnew(t *testing.T) {
	for name, restart := range map[string]bool{"in the same run": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			m := c.members[1]
			m.open()
			m.add(testGroup, 1)
			c.commit(testGroup, numbered("old", 30)...)
			m.host.Post(testGroup, snapshotEvent{})
			c.commit(testGroup, "behind the snapshot")
			if err := m.host.Remove(testGroup); err != nil {
				t.Fatal(err)
			}
			if m.host.Hosts(testGroup) || m.host.Post(testGroup, propose{}) || m.host.Voters(testGroup) != nil {
				t.Fatal("it is still hosted")
			}
			if restart {
				m.crash(storage.Survival{})
				m.open()
			}
			c.mu.Lock()
			c.history[testGroup] = nil
			c.mu.Unlock()
			for i := range 2 {
				m.add(testGroup, 1)
				c.commit(testGroup, "new "+name+strings.Repeat("!", i))
				c.settle(testGroup, 1)
				m.crash(storage.Survival{})
				m.open()
			}
			m.add(testGroup, 1)
			c.settle(testGroup, 1)
		})
	}
}

func TestAnOlderSnapshotNeverReplacesANewerOne(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.addAlone(10, true)
	g := m.lists[10].g
	read := func() string {
		b, err := storage.ReadSnapshot(m.fs, 10)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, s := range []struct {
		index         uint64
		payload, want string
	}{{5, "five", "five"}, {9, "nine", "nine"}, {7, "seven", "nine"}, {9, "again", "nine"}, {10, "ten", "ten"}} {
		if err := g.saved.write(g, s.index, []byte(s.payload)); err != nil || read() != s.want {
			t.Fatalf("after %q: %q, %v", s.payload, read(), err)
		}
	}
	if err := m.host.Remove(10); err != nil {
		t.Fatal(err)
	}
	if err := g.saved.write(g, 20, []byte("late")); err != nil || read() != "" {
		t.Fatalf("a group that is gone left %q, %v", read(), err)
	}
}

func TestADropThatWasCutShortIsCompleted(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.add(testGroup, 1)
	c.commit(testGroup, "old")
	if err := m.host.log.Drop(testGroup); err != nil { // and then the power goes
		t.Fatal(err)
	}
	m.crash(storage.Survival{})
	m.open()
	if left, err := m.host.Recovered(); err != nil || len(left) > 0 {
		t.Fatalf("left %v, %v", left, err)
	}
	if b, err := storage.ReadSnapshot(m.fs, testGroup); b != nil || err != nil {
		t.Fatalf("snapshot %q, %v", b, err)
	}
}

func TestDamagedStateIsRefused(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.add(testGroup, 1)
	c.commit(testGroup, numbered("v", 10)...)
	m.stop()
	// Without its snapshot the log's beginning is missing.
	if err := storage.RemoveSnapshot(m.fs, testGroup); err != nil {
		t.Fatal(err)
	}
	m.open()
	if err := m.host.Add(testGroup, []uint64{1}, m.newList); err == nil || !strings.Contains(err.Error(), "group 7") {
		t.Fatalf("added: %v", err)
	}
}

func TestRecoveredTail(t *testing.T) {
	for _, tc := range []struct {
		name        string
		rec         recovered
		index, term uint64
		from        uint64 // 0: none
		stale, bad  bool
	}{
		{"nothing", recovered{}, 5, 2, 0, false, false},
		{"no snapshot", recovered{entries: entries(1, 1, 3)}, 0, 0, 1, false, false},
		{"within", recovered{entries: entries(2, 1, 9)}, 5, 2, 6, false, false},
		{"up to the end", recovered{entries: entries(2, 1, 5)}, 5, 2, 0, false, false},
		{"right behind", recovered{entries: entries(3, 6, 9)}, 5, 2, 6, false, false},
		{"behind a reset", recovered{reset: 5, entries: entries(3, 6, 9)}, 5, 2, 6, false, false},
		{"installed, the log is shorter", recovered{entries: entries(1, 1, 3)}, 5, 2, 0, true, false},
		{"installed, the log is another", recovered{entries: entries(1, 1, 9)}, 5, 2, 0, true, false},
		{"installed, the log is older", recovered{entries: entries(1, 6, 9)}, 5, 2, 0, true, false},
		{"gap", recovered{entries: entries(3, 7, 9)}, 5, 2, 0, false, true},
		{"gap inside", recovered{entries: append(entries(2, 1, 6), entries(2, 8, 9)...)}, 5, 2, 0, false, true},
		{"older than the reset", recovered{reset: 8}, 5, 2, 0, false, true},
	} {
		tail, stale, err := tc.rec.tail(tc.index, tc.term)
		if (err != nil) != tc.bad || stale != tc.stale {
			t.Errorf("%s: stale %v, %v", tc.name, stale, err)
			continue
		}
		if tc.from == 0 && len(tail) > 0 || tc.from > 0 && (len(tail) == 0 || tail[0].GetIndex() != tc.from) {
			t.Errorf("%s: tail %v", tc.name, tail)
		}
	}
}
