package queue

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

func enqueue(body string) []byte {
	return AppendEnqueue(nil, []uint64{1}, 0, -1, &message.Message{Body: []byte(body)})
}

// bodies returns the messages of queue 1.
func bodies(t *testing.T, s *Shard) string {
	var all []string
	s.Queue(1).slots.each(Range{0, ^uint64(0)}, func(_ uint64, sl *slot) {
		m, err := ParseMessage(sl.raw)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.Body))
	})
	return strings.Join(all, "")
}

func TestLanes(t *testing.T) {
	node := func(incarnation uint64) Origin { return Origin{7, incarnation} }
	steps := []struct {
		name        string
		origin      Origin
		base, first uint64
		commands    string // one enqueue for each letter
		want        string
		at          uint64
	}{
		{"begins", node(1), 1, 1, "ab", "ab", 2},
		{"goes on", node(1), 1, 3, "c", "abc", 3},
		{"comes again", node(1), 1, 2, "bcd", "abcd", 4},
		{"is all old", node(1), 3, 3, "cd", "abcd", 4},
		{"has a gap", node(1), 3, 6, "f", "abcd", 4},
		{"is filled", node(1), 3, 5, "ef", "abcdef", 6},
		{"gave something up", node(1), 9, 9, "i", "abcdefi", 9},
		{"comes from another node", Origin{8, 1}, 1, 1, "x", "abcdefix", 9},
		{"starts anew", node(2), 1, 1, "A", "abcdefixA", 1},
		{"has a straggler of the old run", node(1), 9, 10, "j", "abcdefixA", 1},
		{"starts anew behind what it gave up", node(3), 5, 5, "B", "abcdefixAB", 5},
		{"is empty", node(3), 8, 8, "", "abcdefixAB", 7},
		{"has no base", node(3), 0, 8, "C", "abcdefixABC", 8},
	}
	s := NewShard()
	s.Apply(AppendLeader(BeginEntry(nil), AppendSet(nil, 1, plain())))
	newest := node(1)
	for _, st := range steps {
		var commands []byte
		for _, c := range st.commands {
			commands = append(commands, enqueue(string(c))...)
		}
		s.Apply(AppendLane(BeginEntry(nil), st.origin, st.base, st.first, commands))
		if st.origin.Replica == 7 && st.origin.Incarnation > newest.Incarnation {
			newest = st.origin
		}
		if got := bodies(t, s); got != st.want || s.LaneAt(newest) != st.at {
			t.Fatalf("lane that %s: %q up to %d, want %q up to %d", st.name, got, s.LaneAt(newest), st.want, st.at)
		}
	}
	if s.LaneAt(node(1)) != 0 || s.LaneAt(Origin{9, 1}) != 0 {
		t.Fatal("a lane that is not has come somewhere")
	}
}

func TestCutCommands(t *testing.T) {
	all := append(append(enqueue("a"), enqueue("b")...), enqueue("c")...)
	rest, err := CutCommands(all, 2)
	if err != nil || !bytes.Equal(rest, enqueue("c")) {
		t.Fatalf("%q, %v", rest, err)
	}
	if _, err := CutCommands(all, 4); err == nil {
		t.Fatal("cut more commands than there are")
	}
}

func TestANewLeaderLearnsWhoHoldsWhat(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c", "d", "e", "f")
	b.consume("X", Consumer{Prefetch: 2})
	b.consume("Y", Consumer{Prefetch: 2})
	b.expect("X:a Y:b X:c Y:d")
	// X's node comes back to the new leader, Y's died.
	b.shard.Lead(false)
	if got := b.shard.Touched(); len(got) != 0 {
		t.Fatalf("%d queues to dispatch on a follower", len(got))
	}
	b.shard.Lead(true)
	b.consume("X", Consumer{Prefetch: 2}, Range{1, 1}, Range{3, 3})
	b.counts(4, 2)
	b.consume("Z", Consumer{Prefetch: 3})
	b.expect("Z:b! Z:d! Z:e!") // e was within the mark: it may have been delivered
	b.ack(1, 3)
	b.expect("X:f!")
	b.publish("g")
	b.expect("X:g") // this one is new for certain
	b.ack(2, 4, 5, 6, 7)
	b.expect("")
	b.counts(0, 0)
	for _, c := range b.consumers {
		if c.Held() != 0 && c.Tag != "Y" {
			t.Fatalf("%s holds %d", c.Tag, c.Held())
		}
	}
}

func TestTheMarkCoversWhatWasDelivered(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c")
	b.consume("X", Consumer{Prefetch: 1})
	todo := b.q().Dispatch(b.now, b)
	if todo.Mark == 0 || len(b.log) != 0 {
		t.Fatalf("delivered %v before the mark %d", b.log, todo.Mark)
	}
	b.own(b.todo(todo))
	b.expect("X:a")
	far := b.q().mark
	b.shard.Lead(false)
	b.follower.Lead(true) // the other member
	q := b.follower.Queue(1)
	if q.mark != far || q.lead.fresh != min(far, 3) {
		t.Fatalf("mark %d, fresh %d; want %d", q.mark, q.lead.fresh, far)
	}
}

func TestAConsumerThatAttachesAgainIsReplaced(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c")
	b.consume("X", Consumer{Prefetch: 3})
	b.expect("X:a X:b X:c")
	b.consume("X", Consumer{Prefetch: 3}, Range{1, 1}, Range{3, 3}) // b never arrived
	b.counts(1, 2)
	b.expect("X:b!")
	if len(b.q().Known()) != 1 {
		t.Fatalf("%d consumers", len(b.q().Known()))
	}
	ended := Consumer{}
	ended.Ended()
	b.consume("X", ended, Range{2, 2}) // it was cancelled meanwhile, and holds b only
	b.counts(2, 1)
	b.ack(2)
	b.expect("")
	b.counts(2, 0)
	if len(b.q().Known()) != 0 || !b.q().Idle() {
		t.Fatal("the consumer is still known")
	}
	b.consume("Y", Consumer{})
	b.expect("Y:a! Y:c!")
}

func TestWhatTwoClaimGoesToTheFirst(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a")
	b.consume("X", Consumer{}, Range{1, 1})
	b.consume("Y", Consumer{}, Range{1, 5})
	b.counts(0, 1)
	if b.consumers["Y"].Held() != 0 {
		t.Fatal("Y holds what X holds")
	}
	b.expect("")
}

func TestASnapshotIsTheState(t *testing.T) {
	c := plain()
	c.DeadLetter, c.DeadLetterExchange, c.DeadLetterKey, c.DeadLetterKeySet = true, "dlx", "key", true
	c.TTL, c.MaxLength, c.MaxLengthBytes, c.DeliveryLimit = 1, 2, 3, 4
	b := newBench(t, plain())
	b.own(AppendSet(nil, 1, c))
	for id := uint64(2); id < 20; id++ {
		b.own(AppendSet(nil, id, plain()))
		b.apply(AppendLane(BeginEntry(nil), Origin{id, 1}, 1, 1, AppendEnqueue(nil, []uint64{1, id}, 5, int64(id), &message.Message{Body: []byte("m")})))
	}
	b.own(AppendSettle(nil, 1, []Range{{3, 5}}))
	b.own(AppendDiscard(nil, 1, Rejected, []Range{{6, 7}}))
	b.fail(8)
	b.own(AppendMark(nil, 1, 12))
	im, was := b.shard.Image(true), b.disks[0].dump(t, b.shard)
	b.own(AppendDrop(nil, 9)) // what comes later is not in it
	b.publish("later")
	there := newDisk()
	there.add(t, im, 0, b.disks[0].block)
	fresh := NewShard()
	if _, err := fresh.Restore(im.Manifest(), there.last); err != nil {
		t.Fatal(err)
	}
	if got := there.dump(t, fresh); got != was {
		t.Fatalf("restored\n%s\nnot\n%s", got, was)
	}
	books(t, fresh)
	if fresh.Queue(1).Config != c || fresh.Queue(9) == nil || fresh.LaneAt(Origin{5, 1}) != 1 {
		t.Fatalf("restored %+v", fresh.Queue(1).Config)
	}
	// Both go on alike.
	fresh.Apply(AppendLeader(BeginEntry(nil), AppendDrop(nil, 9)))
	fresh.Apply(AppendLane(BeginEntry(nil), Origin{1, 1}, 1, b.serial, enqueue("later")))
	fresh.Lead(true)
	messages := len(there.raws(t, fresh.Queue(1)))
	if ready, _, _ := fresh.Queue(1).Counts(); ready != messages-2 {
		t.Fatalf("%d ready of %d", ready, messages)
	}
}

func TestRestoreEndsQueuesThatAreGone(t *testing.T) {
	b := newBench(t, plain())
	gone := b.q()
	b.disks[0].restore(t, b.shard, NewShard(), newDisk())
	if !gone.Dropped() || b.shard.Queue(1) != nil {
		t.Fatal("the queue is still there")
	}
}

func TestShortInputIsAnError(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b")
	b.reject(1)
	whole := b.disks[0].checkpoint(t, b.shard)
	for n := range whole {
		if _, err := NewShard().Restore(whole[:n], 0); err == nil {
			t.Fatalf("restored from %d of %d bytes", n, len(whole))
		}
	}
	for id, f := range b.disks[0].runs {
		for n := range f {
			if eachInBlock(f[:n], 1, 0, func(int, []byte) {}) == nil {
				t.Fatalf("run %d read from %d of %d bytes", id, n, len(f))
			}
		}
	}
	config := plain().append(nil)
	for n := range config {
		if _, _, err := parseConfig(config[:n]); err == nil {
			t.Fatalf("configuration from %d of %d bytes", n, len(config))
		}
	}
	m := AppendMessage(nil, &message.Message{Exchange: "x", RoutingKey: "key", Properties: []byte{0, 0}})
	for n := range m {
		if _, err := ParseMessage(m[:n]); err == nil || bodyLength(m[:n]) >= 0 {
			t.Fatalf("message from %d of %d bytes", n, len(m))
		}
	}
	rs := appendRanges(nil, []Range{{1, 2}})
	for n := range rs {
		if _, err := parseRanges(rs[:n]); err == nil {
			t.Fatalf("ranges from %d of %d bytes", n, len(rs))
		}
	}
	for n := range m[:4] {
		if _, _, _, err := cutCommand(m[:n]); err == nil {
			t.Fatalf("command from %d bytes", n)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		seqs []uint64
		want []Range
	}{
		{nil, nil},
		{[]uint64{5}, []Range{{5, 5}}},
		{[]uint64{3, 1, 2, 9, 7, 8}, []Range{{1, 3}, {7, 9}}},
	} {
		got := Ranges(c.seqs)
		if len(got) != len(c.want) {
			t.Fatalf("%v: %v", c.seqs, got)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Fatalf("%v: %v", c.seqs, got)
			}
		}
	}
	if got := Ranges([]uint64{1, 1, 2}); len(got) != 1 || got[0] != (Range{1, 2}) {
		t.Fatalf("twice the same: %v", got)
	}
}

func TestReasons(t *testing.T) {
	if got := []string{Rejected.String(), Expired.String(), MaxLen.String(), DeliveryLimit.String(), Reason(9).String()}; strings.Join(got, " ") !=
		"rejected expired maxlen delivery_limit reason 9" {
		t.Fatalf("%q", got)
	}
}

func TestSlots(t *testing.T) {
	s := slots{acct: &account{runs: map[uint64]*run{}}}
	for seq := uint64(1); seq <= 1000; seq++ {
		s.put(seq, slot{raw: []byte{byte(seq)}, size: 1, live: true})
	}
	for seq := uint64(1000); seq >= 1; seq-- { // from the end, so that chunks in the middle go
		if seq%200 != 0 {
			s.remove(seq)
		}
	}
	var left []uint64
	s.each(Range{150, 900}, func(seq uint64, _ *slot) {
		left = append(left, seq)
		s.remove(seq)
	})
	if len(left) != 4 || left[0] != 200 || left[3] != 800 || s.live != 1 || s.bytes != 1 {
		t.Fatalf("left %v, %d live, %d bytes", left, s.live, s.bytes)
	}
	s.remove(1000)
	if seq, sl := s.next(0); sl != nil || s.at(1000) != nil || len(s.chunks) != 0 {
		t.Fatalf("%d is left", seq)
	}
	s.put(5000, slot{raw: []byte{1}, size: 1, live: true})
	if seq, _ := s.next(0); seq != 5000 || s.at(4999) != nil || s.at(1) != nil {
		t.Fatalf("next is %d", seq)
	}
}

func TestWithout(t *testing.T) {
	const most = 6
	set := func(bits int) (seqs []uint64) {
		for i := range most {
			if bits&(1<<i) != 0 {
				seqs = append(seqs, uint64(i+1))
			}
		}
		return seqs
	}
	for a := range 1 << most {
		for b := range 1 << most {
			if got, want := Without(Ranges(set(a)), Ranges(set(b))), Ranges(set(a&^b)); !slices.Equal(got, want) {
				t.Fatalf("%v without %v: %v, want %v", set(a), set(b), got, want)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	s := NewShard()
	s.Apply(AppendLeader(BeginEntry(nil), AppendSet(nil, 2, plain())))
	m := &message.Message{Body: []byte("a")}
	var lane []byte
	for _, to := range [][]uint64{{1, 2}, {2}, {3}} {
		lane = AppendEnqueue(lane, to, 0, -1, m)
	}
	lane = AppendSettle(lane, 4, []Range{{1, 1}})
	if got := s.Strangers(lane); !slices.Equal(got, []uint64{1, 3}) {
		t.Fatalf("strangers %v, want those that messages go to and that are not there: 1, 3", got)
	}
}
