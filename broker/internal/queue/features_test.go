package queue

import (
	"bytes"
	"slices"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

func (b *bench) publishAt(priority uint8, bodies ...string) {
	for _, body := range bodies {
		m := &message.Message{RoutingKey: "q", Properties: withPriority(priority), Body: []byte(body)}
		b.said(AppendEnqueue(nil, []uint64{1}, b.now, -1, m))
	}
}

func TestMessagePriorities(t *testing.T) {
	c := plain()
	c.Priorities = 5
	b := newBench(t, c)
	b.publish("a") // no priority is 0
	b.publishAt(0, "b")
	b.publishAt(3, "c", "d")
	b.publishAt(9, "e") // as 5
	b.publishAt(5, "f")
	b.consume("X", Consumer{Prefetch: 3})
	b.expect("X:e X:f X:c")
	b.nack(6)
	b.expect("X:f!") // back to its place, before d
	b.publishAt(4, "g")
	b.ack(5, 6, 3)
	b.expect("X:g X:d X:a")
	b.ack(7, 4, 1)
	b.publish("h")
	b.expect("X:b X:h")
	b.ack(2, 8)
	b.publishAt(1, "i") // the queue was empty: order by arrival again
	b.publish("j")
	b.expect("X:i X:j")
}

// A quorum queue has priorities without asking, and a message without any stands at 4.
func TestQuorumPriorities(t *testing.T) {
	c := plain()
	c.Quorum = true
	b := newBench(t, c)
	b.publish("a")
	b.publishAt(0, "b")
	b.publishAt(200, "c")
	b.publishAt(31, "d")
	b.publishAt(5, "e")
	b.consume("X", Consumer{})
	b.expect("X:c X:d X:e X:a X:b")
}

func TestPrioritiesAfterAChangeOfLeader(t *testing.T) {
	c := plain()
	c.Priorities = 10
	b := newBench(t, c)
	b.publish("a", "b")
	b.publishAt(7, "c")
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:c")
	b.disks[1].restore(t, b.follower, b.shard, b.disks[0])
	b.shard, b.follower = b.follower, b.shard
	b.disks[0], b.disks[1] = b.disks[1], b.disks[0]
	b.follower.Lead(false)
	b.shard.Lead(true)
	b.consume("Y", Consumer{Prefetch: 1})
	b.expect("Y:c!") // nobody said to hold it
	b.nack(3)
	b.publishAt(8, "d")
	b.expect("Y:d")
	b.ack(4)
	b.expect("Y:c!")
}

func TestSingleActiveConsumer(t *testing.T) {
	c := plain()
	c.SingleActive = true
	b := newBench(t, c)
	b.publish("a", "b", "c", "d", "e")
	b.expect("")
	b.consume("X", Consumer{Prefetch: 2, Since: 1})
	b.consume("Y", Consumer{Prefetch: 9, Priority: 5, Since: 2})
	b.consume("Z", Consumer{Prefetch: 9, Since: 3})
	b.expect("X:a X:b")
	b.q().Cancel(b.consumers["X"])
	b.expect("Y:c Y:d Y:e") // the highest priority is next
	b.down("Y")
	b.expect("Z:c! Z:d! Z:e!")
	b.nack(1)
	b.expect("Z:a!")
}

func TestSingleActiveConsumerOfQuorumQueues(t *testing.T) {
	c := plain()
	c.SingleActive, c.Quorum = true, true
	b := newBench(t, c)
	b.publish("a", "b")
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:a")
	b.consume("Y", Consumer{Prefetch: 1, Priority: 1})
	b.publish("c")
	b.expect("")
	b.ack(1)
	b.expect("Y:b") // it has the higher priority, and X holds nothing any more
}

// A new leader goes on with the consumer that holds something.
func TestSingleActiveConsumerAfterAChangeOfLeader(t *testing.T) {
	c := plain()
	c.SingleActive = true
	b := newBench(t, c)
	b.publish("a", "b")
	b.shard.Lead(false)
	b.shard.Lead(true)
	b.consume("X", Consumer{Since: 1})
	b.consume("Y", Consumer{Since: 2}, Range{1, 1})
	b.expect("Y:b")
}

func TestExpiryBehindOthers(t *testing.T) {
	c := plain()
	c.DeadLetter = true
	b := newBench(t, c)
	b.publish("a")
	b.publishTTL("b", 10)
	b.publishTTL("c", 5)
	b.publish("d")
	if at := b.q().Wake(b.now); at != b.now+5 {
		t.Fatalf("wakes at %d, want %d", at, b.now+5)
	}
	b.now += 5
	b.q().Touch()
	b.expect("dead:c:expired")
	b.now += 5
	b.q().Touch()
	b.expect("dead:b:expired")
	b.consume("X", Consumer{})
	b.expect("X:a X:d")
}

func TestAQueueWithoutUseExpires(t *testing.T) {
	c := plain()
	c.Expires = 100
	b := newBench(t, c)
	if at := b.q().Wake(b.now); at != b.now+100 {
		t.Fatalf("wakes at %d", at)
	}
	b.now += 99
	if b.q().Unused(b.now) {
		t.Fatal("too early")
	}
	b.consume("X", Consumer{})
	b.now += 500
	if b.q().Unused(b.now) {
		t.Fatal("it has a consumer")
	}
	b.q().Cancel(b.consumers["X"])
	b.now += 99
	b.q().Use(b.now) // a get, or a declare
	b.now += 99
	if b.q().Unused(b.now) {
		t.Fatal("it was in use")
	}
	if b.now++; !b.q().Unused(b.now) {
		t.Fatal("it does not expire")
	}
}

// offer publishes as a lane does that the leader looks through first.
func (b *bench) offer(bodies ...string) {
	var commands []byte
	for _, body := range bodies {
		commands = AppendEnqueue(commands, []uint64{1}, b.now, -1, &message.Message{RoutingKey: "q", Body: []byte(body)})
	}
	b.said(b.shard.Admit(commands))
}

func (b *bench) refused(want ...uint64) {
	b.t.Helper()
	for _, s := range []*Shard{b.shard, b.follower} {
		if got := s.Refused(Origin{1, 1}, 0); !slices.Equal(got, want) {
			b.t.Fatalf("refused %v, want %v", got, want)
		}
	}
}

func TestRejectPublish(t *testing.T) {
	c := plain()
	c.Overflow, c.MaxLength, c.DeadLetter = RejectPublish, 2, true
	b := newBench(t, c)
	b.offer("a", "b", "c")
	b.offer("d")
	b.refused(3, 4)
	b.counts(2, 0)
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:a")
	b.offer("e", "f") // what is unacked does not count
	b.refused(3, 4, 6)
	b.ack(1)
	b.expect("X:b")
	b.consume("Y", Consumer{})
	b.expect("Y:e")
	b.offer("g", "h", "i") // a consumer has room for them at once
	b.expect("Y:g Y:h Y:i")
	b.refused(3, 4, 6)
}

func TestRejectPublishByBytesAndToDeadLetters(t *testing.T) {
	c := plain()
	c.Overflow, c.MaxLengthBytes, c.DeadLetter = RejectDead, 5, true
	b := newBench(t, c)
	b.offer("abc", "de", "f")
	b.expect("dead:f:maxlen")
	b.refused(3)
	b.counts(2, 0)
	if b.q().Len() != 3 {
		t.Fatalf("%d messages, want 2 and the dead one", b.q().Len())
	}
}

// What one of several queues refuses the others keep.
func TestRejectPublishByOneOfSeveral(t *testing.T) {
	c := plain()
	c.Overflow, c.MaxLength = RejectPublish, 0
	b := newBench(t, c)
	b.own(AppendSet(nil, 2, plain()))
	b.said(b.shard.Admit(AppendEnqueue(nil, []uint64{1, 2}, b.now, -1, &message.Message{Body: []byte("a")})))
	b.refused(1)
	if b.q().Len() != 0 || b.shard.Queue(2).Len() != 1 {
		t.Fatalf("%d and %d messages", b.q().Len(), b.shard.Queue(2).Len())
	}
}

// The origin hears of a refusal until it needs to hear no more, from any leader.
func TestRefusalsOutliveTheLeader(t *testing.T) {
	c := plain()
	c.Overflow, c.MaxLength = RejectPublish, 1
	b := newBench(t, c)
	b.offer("a", "b", "c")
	restored := NewShard()
	newDisk().restore(t, restored, b.shard, b.disks[0])
	restored.Lead(true)
	if got := restored.Refused(Origin{1, 1}, 2); !slices.Equal(got, []uint64{3}) {
		t.Fatalf("refused %v", got)
	}
	again := AppendEnqueue(nil, []uint64{1}, 0, -1, &message.Message{Body: []byte("d")})
	if op, _, _, err := cutCommand(restored.Admit(again)); err != nil || op != OpRefuse {
		t.Fatalf("admitted as %v, %v", op, err)
	}
	restored.Apply(AppendLane(BeginEntry(nil), Origin{1, 1}, 3, 4, again)) // up to 2 is settled
	if got := restored.Refused(Origin{1, 1}, 0); !slices.Equal(got, []uint64{3}) {
		t.Fatalf("refused %v", got)
	}
}

func TestDelay(t *testing.T) {
	c := plain()
	c.Delay, c.DeadLetter, c.TTL = true, true, 1
	b := newBench(t, c)
	for _, m := range []struct {
		body  string
		delay int32
	}{{"late", 50}, {"soon", 10}} {
		p := message.Properties{Flags: message.HasHeaders, Headers: message.Table{{Key: message.DelayHeader, Value: m.delay}}}
		b.said(AppendEnqueue(nil, []uint64{1}, b.now, 1, &message.Message{Properties: p.Append(nil), Body: []byte(m.body)}))
	}
	b.now += 9
	b.q().Touch()
	b.expect("")
	b.now++
	b.q().Touch()
	b.expect("dead:soon:expired")
	b.now += 40
	b.q().Touch()
	b.expect("dead:late:expired")
}

// A damaged block is noticed, and another member's takes its place.
func TestADamagedBlockIsRepaired(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c")
	cool := func() {
		b.disks[0].checkpoint(t, b.shard)
		b.q().slots.eachChunk(func(_ uint64, c *chunk) { b.q().slots.cool(c) })
	}
	cool()
	ref, _ := b.q().Block(0)
	damaged := b.disks[0].runs[ref.Run]
	damaged[len(damaged)-1] ^= 1
	block, err := b.disks[0].read(ref)
	if err != nil {
		t.Fatal(err)
	}
	if b.q().Load(0, block) == nil || b.q().Raw(2) != nil {
		t.Fatal("damaged messages were taken in")
	}
	b.ack(1)
	im := b.follower.ImageOfChunk(1, 0)
	var good bytes.Buffer
	if err := im.WriteRun(0, &good, b.disks[1].block); err != nil {
		t.Fatal(err)
	}
	if im.Blocks() != 1 {
		t.Fatalf("an image of %d blocks", im.Blocks())
	}
	if err := b.q().Repair(0, good.Bytes()); err != nil {
		t.Fatal(err)
	}
	if len(b.q().Missing(0)) > 0 {
		t.Fatalf("%v are missing", b.q().Missing(0))
	}
	books(t, b.shard)
	cool() // onto another place
	if now, _ := b.q().Block(0); now == ref || b.disks[0].runs[ref.Run] != nil {
		t.Fatalf("still at %+v", now)
	}
	b.consume("X", Consumer{})
	b.expect("X:b X:c")
}

// A checkpoint goes on past a block that nobody can read, and what is lost is noticed by
// who wants it.
func TestACheckpointPassesADamagedBlock(t *testing.T) {
	for _, more := range []int{0, 3} { // messages behind those in the block
		b := newBench(t, plain())
		b.publish("a", "b", "c")
		b.disks[0].checkpoint(t, b.shard)
		b.q().slots.eachChunk(func(_ uint64, c *chunk) { b.q().slots.cool(c) })
		ref, _ := b.q().Block(0)
		b.disks[0].runs[ref.Run][blockHeadBytes] ^= 1
		b.ack(1, 2) // now most of its run is garbage
		for range more {
			b.publish("d")
		}
		b.disks[0].checkpoint(t, b.shard)
		books(t, b.shard)
		now, ok := b.q().Block(0)
		if !ok || (now == ref) != (more == 0) {
			t.Fatalf("at %+v, before %+v", now, ref)
		}
		b.q().slots.eachChunk(func(_ uint64, c *chunk) { b.q().slots.cool(c) })
		block, err := b.disks[0].read(now)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.q().Load(0, block); err == nil || !slices.Equal(b.q().Missing(0), []Range{{3, 3}}) || (b.q().Raw(4) != nil) != (more > 0) {
			t.Fatalf("%d more: %v, missing %v", more, err, b.q().Missing(0))
		}
	}
}
