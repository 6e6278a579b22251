package raftnode

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/warren-mq/warren/broker/internal/storage"
)

func TestMembersAgree(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	c.commit(testGroup, numbered("v", 500)...)
	c.settle(testGroup, 1, 2, 3)
	if got := c.members[2].host.Voters(testGroup); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("voters %v", got)
	}
}

func TestACrashTakesNothingThatWasCommitted(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	for i, r := range []uint64{1, 2, 3} {
		c.commit(testGroup, numbered(string(rune('a'+i)), 50)...)
		m := c.members[r]
		m.crash(storage.Survival{})
		for _, o := range c.members {
			if o != m {
				o.host.PeerDown(r, true)
			}
		}
		c.commit(testGroup, numbered(string(rune('A'+i)), 50)...)
		m.open()
		m.add(testGroup, 1, 2, 3)
		for _, o := range c.members {
			o.host.PeerDown(r, false)
		}
		c.settle(testGroup, 1, 2, 3)
	}
	// All at once.
	for _, m := range c.members {
		m.crash(storage.Survival{})
	}
	for _, r := range c.replicas() {
		c.members[r].open()
		c.members[r].add(testGroup, 1, 2, 3)
	}
	c.commit(testGroup, "last")
	c.settle(testGroup, 1, 2, 3)
}

func TestSurvivorsElectALeaderAtOnce(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.tick = tickInterval
	c.start()
	c.commit(testGroup, "first")
	quick := false
	for range 3 {
		old := c.leader(testGroup)
		old.crash(storage.Survival{})
		began := time.Now()
		for _, m := range c.members {
			if m != old {
				m.host.PeerDown(old.replica, true)
			}
		}
		c.leader(testGroup)
		quick = quick || time.Since(began) < 2*tickInterval
		c.commit(testGroup, "with leader "+string(rune('0'+old.replica)))
		old.open()
		old.add(testGroup, 1, 2, 3)
		for _, m := range c.members {
			m.host.PeerDown(old.replica, false)
		}
		c.settle(testGroup, 1, 2, 3)
		if quick {
			return
		}
	}
	t.Fatal("no election was quick")
}

func TestALeaderThatIsCutOffLosesWhatItDidNotCommit(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	c.commit(testGroup, "first")
	old := c.leader(testGroup)
	c.isolate(old.replica)
	old.host.Post(testGroup, propose{numbered("lost", 20)})
	for _, m := range c.members {
		if m != old {
			m.host.PeerDown(old.replica, true)
		}
	}
	c.await("another one leads", func() bool { l := c.leaderNow(testGroup); return l != nil && l != old })
	c.commit(testGroup, numbered("kept", 20)...)
	c.heal()
	for _, m := range c.members {
		m.host.PeerDown(old.replica, false)
	}
	c.settle(testGroup, 1, 2, 3)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range old.lists[testGroup].Values {
		if strings.HasPrefix(v, "lost") {
			t.Fatalf("%q was applied", v)
		}
	}
}

func TestMembersChange(t *testing.T) {
	c := newCluster(t, 1, 2, 3, 4, 5)
	for _, r := range []uint64{1, 2, 3} {
		c.members[r].open()
		c.members[r].add(testGroup, 1, 2, 3)
	}
	c.commit(testGroup, numbered("v", 100)...)
	for _, r := range []uint64{4, 5} { // blank: each waits for a snapshot
		c.members[r].open()
		c.members[r].add(testGroup)
	}
	want := []uint64{3, 4, 5}
	for _, m := range c.members {
		m.host.Desire(testGroup, want)
	}
	c.await("the members are the desired ones", func() bool {
		l := c.leaderNow(testGroup)
		if l == nil {
			return false
		}
		v := *l.lists[testGroup].g.voters.Load()
		return slices.Equal(v, want)
	})
	for _, r := range []uint64{1, 2} {
		if err := c.members[r].host.Remove(testGroup); err != nil {
			t.Fatal(err)
		}
		c.members[r].stop()
	}
	c.commit(testGroup, numbered("after", 50)...)
	c.settle(testGroup, 3, 4, 5)
	for _, r := range want { // they know their members after a restart
		c.members[r].crash(storage.Survival{})
	}
	for _, r := range want {
		c.members[r].open()
		c.members[r].add(testGroup)
	}
	c.commit(testGroup, "last")
	c.settle(testGroup, 3, 4, 5)
}

func TestWhoIsOnTheWayOutStillHoldsTheGroup(t *testing.T) {
	c := newCluster(t, 1)
	m := c.members[1]
	m.open()
	m.add(testGroup, 1)
	done := make(chan struct{})
	m.host.Post(testGroup, look(func(l *list) {
		l.g.setConf(&raftpb.ConfState{Voters: []uint64{4, 2}, VotersOutgoing: []uint64{2, 1}, Learners: []uint64{9}})
		close(done)
	}))
	<-done
	if got := m.host.Voters(testGroup); !slices.Equal(got, []uint64{1, 2, 4}) {
		t.Fatalf("voters %v", got)
	}
}

func TestLeadershipIsHandedOver(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	c.commit(testGroup, "first")
	for _, to := range []uint64{1, 2, 3} {
		for tries := 0; ; tries++ {
			from := c.leader(testGroup)
			from.host.Transfer(testGroup, to)
			if c.within(30*c.tick, func() bool { l := c.leaderNow(testGroup); return l != nil && l.replica == to }) {
				break
			}
			if tries == 5 {
				t.Fatalf("replica %d does not lead", to)
			}
		}
	}
	from := c.leader(testGroup)
	from.host.Transfer(testGroup, 0)
	c.await("another one leads", func() bool { l := c.leaderNow(testGroup); return l != nil && l != from })
	c.commit(testGroup, "last")
	c.settle(testGroup, 1, 2, 3)
}

// lag leaves replica 3 so far behind that it needs a snapshot.
func lag(c *cluster) {
	c.t.Helper()
	c.commit(testGroup, numbered("early", 10)...)
	c.settle(testGroup, 1, 2, 3)
	m := c.members[3]
	if c.leader(testGroup) == m {
		m.host.Transfer(testGroup, 1)
		c.await("replica 3 does not lead", func() bool { l := c.leaderNow(testGroup); return l != nil && l != m })
	}
	m.stop()
	for _, r := range []uint64{1, 2} {
		c.members[r].host.PeerDown(3, true)
	}
	c.commit(testGroup, numbered(strings.Repeat("x", 4*retainedBytes/100), 100)...)
}

func TestAFollowerThatLagsGetsASnapshot(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	lag(c)
	m := c.members[3]
	m.open()
	m.add(testGroup, 1, 2, 3)
	for _, o := range c.members {
		o.host.PeerDown(3, false)
	}
	c.settle(testGroup, 1, 2, 3)
	m.crash(storage.Survival{})
	m.open()
	m.add(testGroup, 1, 2, 3)
	c.commit(testGroup, "last")
	c.settle(testGroup, 1, 2, 3)
}

// TestASnapshotWhoseResetRecordWasLost installs a snapshot, and cuts the power between
// the file and the record behind it. What is written afterwards must outlive each
// restart.
// A damaged last batch looks like a torn one. The leader's next heartbeat tells them apart.
func TestAMemberWhoseLastEntriesAreDamagedSaysSo(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	c.commit(testGroup, numbered("v", 50)...)
	c.settle(testGroup, 1, 2, 3)
	lead := c.leader(testGroup).replica
	m := c.members[lead%3+1]
	m.crash(storage.Survival{})
	names, err := m.fs.List("wal")
	if err != nil {
		t.Fatal(err)
	}
	name := "wal/" + names[len(names)-1]
	log, err := storage.ReadFile(m.fs, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.fs.Corrupt(name, int64(len(bytes.TrimRight(log, "\x00"))-1)); err != nil {
		t.Fatal(err)
	}
	m.open()
	m.add(testGroup, 1, 2, 3)
	c.await("the damage is known", func() bool { return m.failure != nil })
	if !strings.Contains(m.failure.Error(), "the end of the log is damaged: group 7 had stored entries up to") {
		t.Fatal(m.failure)
	}
}

func TestASnapshotWhoseResetRecordWasLost(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	lag(c)
	m := c.members[3]
	installed := false
	disk := errors.New("disk on fire")
	m.faulty = func(op storage.Operation) *storage.Fault {
		if op.Verb == "rename" && strings.HasPrefix(op.Name, "snap/") {
			installed = true // the log's writer calls all of this
		}
		if installed && op.Verb == "write" && strings.HasPrefix(op.Name, "wal/") {
			return &storage.Fault{Err: disk}
		}
		return nil
	}
	m.open()
	m.add(testGroup, 1, 2, 3)
	for _, o := range c.members {
		o.host.PeerDown(3, false)
	}
	c.await("the disk of replica 3 fails", func() bool { return m.failure != nil })
	m.crash(storage.Survival{})
	m.faulty = nil
	for i := range 3 {
		m.open()
		m.add(testGroup, 1, 2, 3)
		c.commit(testGroup, numbered("after"+string(rune('a'+i)), 20)...)
		c.settle(testGroup, 1, 2, 3)
		m.crash(storage.Survival{})
		if held := lastHeld(t, m); held < c.members[1].lists[testGroup].Last {
			t.Fatalf("restart %d: the log ends at %d, %d was applied", i, held, c.members[1].lists[testGroup].Last)
		}
	}
}

// lastHeld opens a crashed member without any network and returns the last index that
// it holds of the group.
func lastHeld(t *testing.T, m *member) (last uint64) {
	t.Helper()
	m.c.isolate(m.replica)
	m.open()
	m.add(testGroup, 1, 2, 3)
	answer := make(chan uint64, 1)
	m.host.Post(testGroup, look(func(l *list) { answer <- l.g.log.last() }))
	last = <-answer
	m.crash(storage.Survival{})
	m.c.heal()
	return last
}

// TestAnythingMayHappen lets members crash, be cut off, take snapshots and restart, on a
// network that loses messages and holds them up.
func TestAnythingMayHappen(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := newCluster(t, 1, 2, 3)
		c.lossy = rand.New(rand.NewPCG(seed, 2))
		c.start()
		for i := range 8 {
			r := rng.Uint64N(3) + 1
			m := c.members[r]
			switch rng.IntN(4) {
			case 0:
				c.isolate(r)
			case 1:
				m.crash(storage.Survival{Names: rng.IntN(2) == 0, Bytes: func(_ string, n int) (int, int) { return 0, n / 2 }})
			case 2:
				m.stop()
			case 3: // all go on
			}
			for _, o := range c.members {
				if o.up {
					o.host.Post(testGroup, snapshotEvent{})
					o.host.PeerDown(r, true)
				}
			}
			values := numbered(string(rune('a'+i)), 30)
			values[0] += strings.Repeat(".", 60_000) // segments fill up
			c.commit(testGroup, values...)
			c.heal()
			if !m.up {
				m.open()
				m.add(testGroup, 1, 2, 3)
			}
			for _, o := range c.members {
				o.host.PeerDown(r, false)
			}
		}
		c.mu.Lock()
		c.lossy = nil
		c.mu.Unlock()
		c.commit(testGroup, "last")
		c.settle(testGroup, 1, 2, 3)
		for _, m := range c.members {
			m.stop()
		}
	}
}

func TestRebalance(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.tick = time.Hour // the test's own ticks come instead, fewer than would move it anyway
	c.start()
	leads := func(r uint64) func() bool {
		return func() bool { l := c.leaderNow(testGroup); return l != nil && l.replica == r }
	}
	ticks := 0
	repeat := func(what string, do func(), until func() bool) {
		t.Helper()
		for do(); !c.within(50*time.Millisecond, until); do() {
			for _, m := range c.members {
				m.host.PostAll(tickEvent{})
			}
			if ticks++; ticks == 90 {
				t.Fatalf("%s: in vain\n%s", what, c.describe())
			}
		}
	}
	const home = 2 // of testGroup
	repeat("election", func() {}, func() bool { return c.leaderNow(testGroup) != nil })
	repeat("transfer", func() {
		for _, m := range c.members {
			m.host.Transfer(testGroup, 3) // whoever leads does it
		}
	}, leads(3))
	for _, m := range c.members {
		m.host.Avoid(map[uint64]bool{home: true})
	}
	c.members[3].host.Rebalance()
	done := make(chan struct{}) // behind it in the worker's inbox
	c.members[3].host.Post(testGroup, look(func(*list) { close(done) }))
	<-done
	c.mu.Lock()
	if !leads(3)() {
		t.Error("a member that should not lead was given leadership")
	}
	c.mu.Unlock()
	for _, m := range c.members {
		m.host.Avoid(nil)
	}
	repeat("rebalance", c.members[3].host.Rebalance, leads(home))
	repeat("home", func() {
		for _, m := range c.members {
			m.host.Home(testGroup, 1)
		}
	}, leads(1))
	repeat("rebalance after home", func() {
		for _, m := range c.members {
			m.host.Rebalance()
		}
	}, leads(home))
}

func TestWhoShouldNotLeadGivesWay(t *testing.T) {
	c := newCluster(t, 1, 2, 3)
	c.start()
	c.commit(testGroup, "first")
	from := c.leader(testGroup)
	for _, m := range c.members {
		m.host.Avoid(map[uint64]bool{from.replica: true})
	}
	c.await("another one leads", func() bool { l := c.leaderNow(testGroup); return l != nil && l != from })
	c.commit(testGroup, "last")
	c.settle(testGroup, 1, 2, 3)
}
