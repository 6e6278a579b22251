package queue

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

// plain is a queue without any limits.
func plain() Config {
	return Config{Name: "q", VHost: "/", TTL: -1, MaxLength: -1, MaxLengthBytes: -1, DeliveryLimit: -1, Expires: -1}
}

// bench drives one queue of one leading shard, as a node does, and notes what happens
// in a few words.
type bench struct {
	t         *testing.T
	shard     *Shard
	follower  *Shard // applies the same
	now       int64
	log       []string
	consumers map[string]*Consumer
	serial    uint64
	disks     [2]*disk // the leader's and the follower's
}

func newBench(t *testing.T, c Config) *bench {
	b := &bench{t: t, shard: NewShard(), follower: NewShard(), now: 1000, consumers: map[string]*Consumer{}, disks: [2]*disk{newDisk(), newDisk()}}
	b.shard.Lead(true)
	b.own(AppendSet(nil, 1, c))
	return b
}

func (b *bench) q() *Queue { return b.shard.Queue(1) }

// own applies commands of the leader's.
func (b *bench) own(commands []byte) { b.apply(AppendLeader(BeginEntry(nil), commands)) }

// said applies commands of a client's.
func (b *bench) said(commands []byte) {
	b.t.Helper()
	for rest := commands; len(rest) > 0; {
		b.serial++
		_, _, next, err := cutCommand(rest)
		if err != nil {
			b.t.Fatal(err)
		}
		one := rest[:len(rest)-len(next)]
		b.apply(AppendLane(BeginEntry(nil), Origin{1, 1}, 1, b.serial, one))
		rest = next
	}
}

func (b *bench) apply(entry []byte) {
	b.shard.Apply(entry)
	b.follower.Apply(bytes.Clone(entry))
}

func (b *bench) publish(bodies ...string) {
	for _, body := range bodies {
		b.said(AppendEnqueue(nil, []uint64{1}, b.now, -1, &message.Message{RoutingKey: "q", Body: []byte(body)}))
	}
}

func (b *bench) publishTTL(body string, ttl int64) {
	b.said(AppendEnqueue(nil, []uint64{1}, b.now, ttl, &message.Message{RoutingKey: "q", Body: []byte(body)}))
}

func (b *bench) consume(name string, c Consumer, held ...Range) *Consumer {
	c.Key = ConsumerKey{Origin: Origin{1, 1}, ID: uint64(name[0])}
	c.Tag = name
	b.consumers[name] = &c
	b.q().Attach(&c, held)
	return &c
}

func (b *bench) get(name string) *Get {
	g := &Get{Consumer: &Consumer{Key: ConsumerKey{Origin: Origin{1, 1}, ID: uint64(name[0])}, Tag: name, cancelled: true}}
	b.q().AddGet(g)
	return g
}

// run dispatches, and applies what the leader wants, until there is nothing more.
func (b *bench) run() {
	for b.once() {
	}
}

func (b *bench) once() bool {
	qs := b.shard.Touched()
	for _, q := range qs {
		todo := q.Dispatch(b.now, b)
		b.disks[0].load(b.t, q, todo.Load)
		b.own(b.todo(todo))
	}
	for _, d := range b.shard.DeadLetters() {
		b.log = append(b.log, fmt.Sprintf("dead:%s:%v", b.body(d.Raw), d.Why))
	}
	return len(qs) > 0
}

func (b *bench) todo(t Todo) (commands []byte) {
	if len(t.Settled) > 0 {
		commands = AppendSettle(commands, 1, Ranges(t.Settled))
	}
	if len(t.Expired) > 0 {
		commands = AppendDiscard(commands, 1, Expired, Ranges(t.Expired))
	}
	if len(t.Dropped) > 0 {
		commands = AppendDiscard(commands, 1, MaxLen, Ranges(t.Dropped))
	}
	if t.Mark != 0 {
		commands = AppendMark(commands, 1, t.Mark)
	}
	return commands
}

func (b *bench) body(raw []byte) string {
	m, err := ParseMessage(raw)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(m.Body)
}

func (b *bench) line(d Delivery) string {
	s := b.body(d.Raw)
	if d.Redelivered {
		s += "!"
	}
	if d.Returns > 0 {
		s += fmt.Sprint(d.Returns)
	}
	return s
}

// Deliver implements Sink.
func (b *bench) Deliver(_ *Queue, c *Consumer, d Delivery) {
	b.log = append(b.log, c.Tag+":"+b.line(d))
	b.q().Forward(c, 1, int64(max(bodyLength(d.Raw), 0)))
}

// Answer implements Sink.
func (b *bench) Answer(_ *Queue, g *Get, d Delivery, remaining int, ok bool) {
	if !ok {
		b.log = append(b.log, g.Consumer.Tag+":empty")
		return
	}
	b.log = append(b.log, fmt.Sprintf("%s:%s/%d", g.Consumer.Tag, b.line(d), remaining))
}

// expect runs and checks what happened since the last time.
func (b *bench) expect(want string) {
	b.t.Helper()
	b.run()
	if got := strings.Join(b.log, " "); got != want {
		b.t.Fatalf("got  %q\nwant %q", got, want)
	}
	b.log = nil
	if b.disks[0].dump(b.t, b.shard) != b.disks[1].dump(b.t, b.follower) {
		b.t.Fatal("the follower's state differs")
	}
	books(b.t, b.shard)
	books(b.t, b.follower)
}

func (b *bench) counts(ready, unacked int) {
	b.t.Helper()
	if r, u, _ := b.q().Counts(); r != ready || u != unacked {
		b.t.Fatalf("ready %d, unacked %d; want %d and %d", r, u, ready, unacked)
	}
}

func (b *bench) ack(seqs ...uint64)  { b.said(AppendSettle(nil, 1, Ranges(seqs))) }
func (b *bench) nack(seqs ...uint64) { b.said(AppendReturn(nil, 1, false, Ranges(seqs))) }
func (b *bench) fail(seqs ...uint64) { b.said(AppendReturn(nil, 1, true, Ranges(seqs))) }
func (b *bench) reject(seqs ...uint64) {
	b.said(AppendDiscard(nil, 1, Rejected, Ranges(seqs)))
}

// down ends a consumer, as its node's death does.
func (b *bench) down(name string) {
	if held := b.q().Down(b.consumers[name]); len(held) > 0 {
		b.own(AppendReturn(nil, 1, true, held))
	}
}

func TestOrderAndRequeue(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c", "d", "e")
	b.consume("X", Consumer{Prefetch: 3})
	b.expect("X:a X:b X:c")
	b.counts(2, 3)
	b.ack(1)
	b.expect("X:d")
	b.nack(2) // back to its place, before e
	b.expect("X:b!")
	b.nack(4, 3)
	b.expect("X:c! X:d!")
	b.q().Cancel(b.consumers["X"])
	b.fail(2, 3, 4)
	b.expect("")
	b.counts(4, 0)
	b.consume("Y", Consumer{})
	b.expect("Y:b! Y:c! Y:d! Y:e")
	b.ack(2, 3, 4, 5)
	b.expect("")
	if b.q().Len() != 0 || b.q().Bytes() != 0 {
		t.Fatalf("%d messages, %d bytes are left", b.q().Len(), b.q().Bytes())
	}
}

func TestConsumersTakeTurns(t *testing.T) {
	b := newBench(t, plain())
	b.consume("X", Consumer{Prefetch: 10})
	b.consume("Y", Consumer{Prefetch: 10})
	b.consume("Z", Consumer{Prefetch: 10})
	b.publish("a", "b", "c", "d")
	b.expect("X:a Y:b Z:c X:d")
	b.q().Cancel(b.consumers["X"])
	b.publish("e", "f", "g")
	b.expect("Y:e Z:f Y:g")
}

func TestPriorities(t *testing.T) {
	b := newBench(t, plain())
	b.consume("X", Consumer{Prefetch: 2})
	b.consume("H", Consumer{Prefetch: 1, Priority: 10})
	b.consume("Y", Consumer{Prefetch: 2})
	b.publish("a", "b", "c")
	b.expect("H:a X:b Y:c")
	// Those below take turns, however often the one above comes in between.
	b.ack(1)
	b.publish("d", "e")
	b.expect("H:d X:e")
	b.ack(4)
	b.publish("f", "g")
	b.expect("H:f Y:g")
}

func TestNoAck(t *testing.T) {
	b := newBench(t, plain())
	b.consume("X", Consumer{NoAck: true, Prefetch: 1})
	b.publish("a", "b", "c")
	b.expect("X:a X:b X:c")
	b.counts(0, 0)
	if b.q().Len() != 0 {
		t.Fatalf("%d messages are left", b.q().Len())
	}
}

func TestASlowReaderHasAWindow(t *testing.T) {
	b := newBench(t, plain())
	c := &Consumer{Key: ConsumerKey{ID: 1}, NoAck: true}
	b.q().Attach(c, nil)
	c.window = WindowMax - 1
	b.publish("a", "b")
	b.own(b.todo(b.q().Dispatch(b.now, deaf{})))
	b.own(b.todo(b.q().Dispatch(b.now, deaf{})))
	b.counts(1, 0)
	b.q().Forward(c, 5, 5)
	b.own(b.todo(b.q().Dispatch(b.now, deaf{})))
	b.counts(0, 0)
}

// deaf takes deliveries without reading them.
type deaf struct{}

func (deaf) Deliver(*Queue, *Consumer, Delivery)      {}
func (deaf) Answer(*Queue, *Get, Delivery, int, bool) {}

func TestGet(t *testing.T) {
	b := newBench(t, plain())
	b.get("g")
	b.expect("g:empty")
	b.publish("a", "b", "c")
	b.get("g")
	b.get("h").Consumer.NoAck = true
	b.expect("g:a/2 h:b/1")
	b.counts(1, 1)
	b.nack(1)
	b.get("i")
	b.get("j")
	b.expect("i:a!/1 j:c/0")
	b.ack(1, 3)
	b.expect("")
	b.counts(0, 0)
	if known := b.q().Known(); len(known) != 0 {
		t.Fatalf("%d consumers are still known", len(known))
	}
}

func TestAGetEndsWithItsConsumer(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a")
	g := b.get("g") // it waits for a mark
	b.once()
	if held := b.q().Down(g.Consumer); len(held) != 0 {
		t.Fatalf("held %v", held)
	}
	b.consume("X", Consumer{Prefetch: 1}) // takes the place in the table
	b.expect("X:a")
	if n := b.consumers["X"].Held(); n != 1 {
		t.Fatalf("X holds %d", n)
	}
	b.ack(1)
	b.expect("")
	b.counts(0, 0)
}

func TestPurgeTakesWhatIsReady(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c", "d")
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:a")
	purged := b.q().Purge()
	if !slices.Equal(purged, []Range{{2, 4}}) {
		t.Fatalf("purged %v", purged)
	}
	b.counts(0, 1)
	b.ack(1) // before the purge is applied: nothing of it goes out
	b.expect("")
	b.own(AppendSettle(nil, 1, purged))
	b.publish("e")
	b.expect("X:e")
	b.counts(0, 1)
}

func TestADeadConsumersMessagesComeBackOnce(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c")
	b.consume("X", Consumer{})
	b.expect("X:a X:b X:c")
	b.consume("Y", Consumer{})
	held := b.q().Down(b.consumers["X"])
	// Words of X that were on their way.
	b.ack(1)
	b.nack(2)
	b.expect("")
	b.own(AppendReturn(nil, 1, true, held))
	b.expect("Y:b! Y:c!")
	b.counts(0, 2)
	b.own(AppendReturn(nil, 1, true, held)) // of a leader that started again: Y keeps them
	b.expect("")
	b.counts(0, 2)
}
