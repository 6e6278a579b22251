package queue

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/warren-mq/warren/broker/internal/message"
)

// world is a shard of two members, its log, and the clients around it. What a command
// does happens when its entry is applied; before, others come in between.
type world struct {
	t        *rapid.T
	members  [2]*Shard
	leader   int
	disks    [2]*disk
	writing  [2]func() []byte
	now      int64
	proposed [][]byte // entries that are not applied yet
	serial   uint64
	clients  map[uint64]*client
	nextID   uint64
	bodies   int
	base     Config // what no command changes

	live      map[uint64]bool // messages that must be somewhere: enqueued, and not asked to go
	gone      map[uint64]bool // messages that somebody asked to go
	delivered map[uint64]bool
	buried    map[uint64]bool
}

// client is a consumer's side: what it has and has not settled.
type client struct {
	spec   Consumer
	held   map[uint64]bool
	ended  bool
	flying map[uint64]bool // settled, and the word is on its way
	nacked []uint64        // ever; if it dies before the leader knows, that is a failure
}

func (w *world) q() *Queue { return w.members[w.leader].Queue(1) }

func (w *world) propose(commands []byte) {
	if len(commands) > 0 {
		w.proposed = append(w.proposed, AppendLeader(BeginEntry(nil), commands))
	}
}

func (w *world) say(command []byte) {
	w.serial++
	entry := AppendLane(BeginEntry(nil), Origin{1, 1}, 1, w.serial, command)
	w.proposed = append(w.proposed, entry)
	if w.serial%5 == 0 {
		w.proposed = append(w.proposed, entry) // sent twice
	}
}

// applyOne applies the next entry on both members.
func (w *world) applyOne() {
	entry := w.proposed[0]
	w.proposed = w.proposed[1:]
	for _, m := range w.members {
		before := uint64(1)
		if q := m.Queue(1); q != nil {
			before = q.next
		}
		m.Apply(bytes.Clone(entry))
		for seq := before; seq < m.Queue(1).next; seq++ {
			w.live[seq] = true
			if sl := m.Queue(1).slots.at(seq); sl != nil && sl.discard != 0 {
				w.gone[seq] = true // it was refused
			}
		}
	}
}

func (w *world) applyAll() {
	for len(w.proposed) > 0 {
		w.applyOne()
	}
}

// Deliver implements Sink.
func (w *world) Deliver(q *Queue, c *Consumer, d Delivery) {
	w.handOut(q, d)
	cl := w.clients[c.Key.ID]
	if cl == nil || cl.ended {
		w.t.Fatalf("%d delivered to consumer %d, which is gone", d.Seq, c.Key.ID)
	}
	q.Forward(c, 1, int64(max(bodyLength(d.Raw), 0)))
	if c.NoAck {
		return
	}
	cl.held[d.Seq] = true
	if c.Prefetch > 0 && len(cl.held)+len(cl.flying) > int(c.Prefetch) {
		w.t.Fatalf("consumer %d holds %d, prefetch is %d", c.Key.ID, len(cl.held), c.Prefetch)
	}
}

// Answer implements Sink.
func (w *world) Answer(q *Queue, g *Get, d Delivery, remaining int, ok bool) {
	if !ok {
		if q.lead.ready != 0 {
			w.t.Fatalf("empty, but %d are ready", q.lead.ready)
		}
		return
	}
	w.handOut(q, d)
	if remaining != q.lead.ready {
		w.t.Fatalf("remaining %d, ready %d", remaining, q.lead.ready)
	}
	w.clients[g.ID] = &client{spec: Consumer{Key: g.Consumer.Key}, ended: true, held: map[uint64]bool{d.Seq: true}, flying: map[uint64]bool{}}
}

func (w *world) handOut(q *Queue, d Delivery) {
	for id, c := range w.clients {
		if c.held[d.Seq] {
			w.t.Fatalf("%d delivered while consumer %d holds it", d.Seq, id)
		}
	}
	if w.buried[d.Seq] {
		w.t.Fatalf("%d delivered after it was dead-lettered", d.Seq)
	}
	if w.delivered[d.Seq] && !d.Redelivered {
		w.t.Fatalf("%d delivered again as if it were new", d.Seq)
	}
	if d.Seq > q.mark {
		w.t.Fatalf("%d delivered beyond the mark %d", d.Seq, q.mark)
	}
	w.delivered[d.Seq] = true
	level := q.slots.at(d.Seq).level
	view(q, func(seq uint64, sl *slot, _ *chunk) {
		if sl.holder == 0 && sl.discard == 0 && (sl.level > level || sl.level == level && seq < d.Seq) {
			w.t.Fatalf("%d of priority %d delivered before %d of priority %d, which is ready", d.Seq, level, seq, sl.level)
		}
	})
}

func (w *world) dispatch(t *rapid.T) {
	w.t = t
	s := w.members[w.leader]
	for _, q := range s.Touched() {
		todo := q.Dispatch(w.now, w)
		w.disks[w.leader].load(t, q, todo.Load)
		var own []byte
		for _, d := range []struct {
			seqs []uint64
			cmd  func(rs []Range) []byte
		}{
			{todo.Settled, func(rs []Range) []byte { return AppendSettle(nil, 1, rs) }},
			{todo.Expired, func(rs []Range) []byte { return AppendDiscard(nil, 1, Expired, rs) }},
			{todo.Dropped, func(rs []Range) []byte { return AppendDiscard(nil, 1, MaxLen, rs) }},
		} {
			for _, seq := range d.seqs {
				w.gone[seq] = true
			}
			own = append(own, d.cmd(Ranges(d.seqs))...)
		}
		if todo.Mark != 0 {
			own = AppendMark(own, 1, todo.Mark)
		}
		w.propose(own)
	}
	for _, d := range s.DeadLetters() {
		w.buried[d.Seq], w.gone[d.Seq] = true, true
		w.propose(AppendSettle(nil, 1, []Range{{d.Seq, d.Seq}}))
	}
}

func (w *world) publish(t *rapid.T) {
	ttl := rapid.SampledFrom([]int64{-1, -1, -1, 0, 5, 50}).Draw(t, "ttl")
	w.bodies++
	m := &message.Message{Body: fmt.Appendf(nil, "%d", w.bodies)}
	if p := rapid.SampledFrom([]uint8{0, 0, 0, 1, 2, 9}).Draw(t, "priority"); p > 0 {
		m.Properties = withPriority(p)
	}
	w.say(w.members[w.leader].Admit(AppendEnqueue(nil, []uint64{1}, w.now, ttl, m)))
}

// flood publishes a chunk full of messages at once.
func (w *world) flood(t *rapid.T) {
	if w.bodies > 2*chunkSlots {
		return
	}
	ttl := rapid.SampledFrom([]int64{-1, 30}).Draw(t, "ttl")
	var commands []byte
	for range chunkSlots {
		w.bodies++
		commands = AppendEnqueue(commands, []uint64{1}, w.now, ttl, &message.Message{Body: fmt.Appendf(nil, "%d", w.bodies)})
	}
	w.proposed = append(w.proposed, AppendLane(BeginEntry(nil), Origin{1, 1}, 1, w.serial+1, commands))
	w.serial += chunkSlots
}

func (w *world) consume(t *rapid.T) {
	w.nextID++
	c := &client{held: map[uint64]bool{}, flying: map[uint64]bool{}, spec: Consumer{
		Key: ConsumerKey{Origin{1, 1}, w.nextID}, Prefetch: rapid.Uint32Range(0, 3).Draw(t, "prefetch"),
		NoAck: rapid.IntRange(0, 4).Draw(t, "kind") == 0, Priority: rapid.Int32Range(0, 1).Draw(t, "priority"),
	}}
	w.clients[w.nextID] = c
	fresh := c.spec
	w.q().Attach(&fresh, nil)
}

func (w *world) get(t *rapid.T) {
	w.nextID++
	g := &Get{ID: w.nextID, Consumer: &Consumer{Key: ConsumerKey{Origin{1, 1}, w.nextID}, cancelled: true}}
	w.q().AddGet(g)
	if rapid.IntRange(0, 5).Draw(t, "gone at once") == 0 {
		w.returnHeld(w.q().Down(g.Consumer))
	}
}

func (w *world) returnHeld(rs []Range) {
	if len(rs) > 0 {
		w.propose(AppendReturn(nil, 1, true, rs))
	}
}

// pick draws a client, nil if there is none.
func (w *world) pick(t *rapid.T) *client {
	if len(w.clients) == 0 {
		return nil
	}
	ids := make([]uint64, 0, len(w.clients))
	for id := range w.clients {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return w.clients[rapid.SampledFrom(ids).Draw(t, "client")]
}

func (w *world) settle(t *rapid.T) {
	c := w.pick(t)
	if c == nil || len(c.held) == 0 {
		return
	}
	var seqs []uint64
	for seq := range c.held {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	seqs = seqs[:rapid.IntRange(1, len(seqs)).Draw(t, "n")]
	for _, seq := range seqs {
		delete(c.held, seq)
	}
	switch rapid.SampledFrom([]string{"ack", "ack", "nack", "fail", "reject"}).Draw(t, "how") {
	case "ack":
		for _, seq := range seqs {
			w.gone[seq] = true
		}
		w.say(AppendSettle(nil, 1, Ranges(seqs)))
	case "nack":
		c.nacked = append(c.nacked, seqs...)
		w.say(AppendReturn(nil, 1, false, Ranges(seqs)))
	case "fail":
		for _, seq := range seqs {
			w.gone[seq] = true // the delivery limit may end it
		}
		w.say(AppendReturn(nil, 1, true, Ranges(seqs)))
	case "reject":
		for _, seq := range seqs {
			w.gone[seq] = true
		}
		w.say(AppendDiscard(nil, 1, Rejected, Ranges(seqs)))
	}
}

func (w *world) cancel(t *rapid.T) {
	if c := w.pick(t); c != nil {
		c.ended = true
		if known := w.q().Find(c.spec.Key); known != nil {
			w.q().Cancel(known)
		}
	}
}

// down ends a client: its connection broke.
func (w *world) down(t *rapid.T) {
	c := w.pick(t)
	if c == nil {
		return
	}
	delete(w.clients, c.spec.Key.ID)
	if known := w.q().Find(c.spec.Key); known != nil {
		for _, seq := range slices.AppendSeq(c.nacked, maps.Keys(c.held)) {
			w.gone[seq] = true // the delivery limit may end it
		}
		w.returnHeld(w.q().Down(known))
	}
}

func (w *world) purge(*rapid.T) {
	rs := w.q().Purge()
	for _, r := range rs {
		for seq := r.From; seq <= r.To; seq++ {
			w.gone[seq] = true
		}
	}
	w.propose(AppendSettle(nil, 1, rs))
}

func (w *world) configure(t *rapid.T) {
	c := w.base
	c.DeadLetter = rapid.Bool().Draw(t, "dead letter")
	c.Overflow = rapid.SampledFrom([]Overflow{DropHead, DropHead, RejectPublish, RejectDead}).Draw(t, "overflow")
	c.MaxLength = rapid.SampledFrom([]int64{-1, -1, 3}).Draw(t, "max length")
	c.DeliveryLimit = rapid.SampledFrom([]int64{-1, 1}).Draw(t, "delivery limit")
	w.propose(AppendSet(nil, 1, c))
}

// withPriority returns properties with nothing but a priority.
func withPriority(p uint8) []byte {
	return message.Properties{Flags: message.HasPriority, Priority: p}.Append(nil)
}

// checkpoint writes a member's state down; other things happen until that is done.
func (w *world) checkpoint(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "member")
	if w.writing[i] == nil {
		w.writing[i] = w.disks[i].begin(t, w.members[i])
		return
	}
	w.writing[i]()
	w.writing[i] = nil
}

// cool drops from a member's memory all that is on its disk.
func (w *world) cool(t *rapid.T) {
	m := w.members[rapid.IntRange(0, 1).Draw(t, "member")]
	for _, q := range m.queues {
		q.slots.eachChunk(func(_ uint64, c *chunk) { q.slots.cool(c) })
	}
}

// reboot restores a member from its own disk, and what the log has behind it: nothing.
func (w *world) reboot(t *rapid.T) {
	i := 1 - w.leader
	if w.writing[i] != nil {
		w.writing[i]()
		w.writing[i] = nil
	}
	manifest := w.disks[i].checkpoint(t, w.members[i])
	if _, err := w.members[i].Restore(manifest, 0); err != nil {
		t.Fatal(err)
	}
}

// elect makes one of the members the leader of a new term. Some clients are with nodes
// that died; the others say what they hold.
func (w *world) elect(t *rapid.T) {
	w.applyAll() // a leader is current before it leads
	w.members[w.leader].Lead(false)
	w.leader = rapid.IntRange(0, 1).Draw(t, "leader")
	if rapid.Bool().Draw(t, "restart") {
		w.disks[w.leader].restore(t, w.members[w.leader], w.members[1-w.leader], w.disks[1-w.leader])
	}
	w.members[w.leader].Lead(true)
	w.buried = map[uint64]bool{}
	for id, c := range w.clients {
		if id%3 == 0 && rapid.Bool().Draw(t, "died") {
			delete(w.clients, id)
			continue
		}
		w.attach(c)
	}
}

func (w *world) attach(c *client) {
	fresh := c.spec
	if c.ended {
		fresh.Ended()
	}
	var held []uint64
	for seq := range c.held {
		held = append(held, seq)
	}
	w.q().Attach(&fresh, Ranges(held))
}

// again attaches a client that the leader knows.
func (w *world) again(t *rapid.T) {
	w.applyAll()
	if c := w.pick(t); c != nil {
		w.attach(c)
	}
}

func (w *world) check(t *rapid.T) {
	q := w.q()
	l := q.lead
	ready, unacked, other, discarded := 0, 0, 0, 0
	var readyBytes int64
	due := map[deadline]bool{}
	for _, d := range l.deadlines {
		due[d] = true
	}
	held, there := map[uint32]uint32{}, map[uint64]bool{}
	view(q, func(seq uint64, sl *slot, c *chunk) {
		there[seq] = true
		known := due[deadline{sl.expires, seq}]
		for d := range due { // of a cold chunk the first stands for all
			known = known || c.hot == nil && Base(d.seq) == Base(seq) && d.at <= sl.expires
		}
		if sl.expires != 0 && sl.holder == 0 && sl.discard == 0 && !known {
			t.Fatalf("nobody knows when message %d expires", seq)
		}
		switch {
		case sl.discard != 0:
			discarded++
		case sl.holder == 0:
			ready++
			readyBytes += int64(sl.size)
		case sl.holder >= holderReturn:
			other++
		default:
			unacked++
			held[sl.holder]++
		}
	})
	if ready != l.ready || unacked != l.unacked || readyBytes != l.readyBytes {
		t.Fatalf("ready %d, unacked %d, %d bytes; counted as %d, %d, %d", ready, unacked, readyBytes, l.ready, l.unacked, l.readyBytes)
	}
	if l.dead != discarded {
		t.Fatalf("%d dead letters, counted as %d", discarded, l.dead)
	}
	if q.Len() != ready+unacked+other+discarded {
		t.Fatalf("%d messages, not %d + %d + %d + %d", q.Len(), ready, unacked, other, discarded)
	}
	for i, c := range l.table {
		if c != nil && held[uint32(i)] != c.held {
			t.Fatalf("consumer %d holds %d, counted as %d", c.Key.ID, held[uint32(i)], c.held)
		}
		delete(held, uint32(i))
	}
	if len(held) > 0 {
		t.Fatalf("held by nobody that is known: %v", held)
	}
	for seq := range w.live {
		if !w.gone[seq] && !there[seq] {
			t.Fatalf("message %d is lost", seq)
		}
	}
	for _, m := range w.members {
		books(t, m)
	}
	if a, b := w.disks[0].dump(t, w.members[0]), w.disks[1].dump(t, w.members[1]); a != b {
		t.Fatalf("the members differ:\n%s\n%s", a, b)
	}
}

// finish lets everything come to rest, and drains the queue: what nobody asked to go
// must come out.
func (w *world) finish(t *rapid.T) {
	w.rest(t)
	for _, c := range w.clients {
		if known := w.q().Find(c.spec.Key); known != nil {
			w.returnHeld(w.q().Down(known))
		}
	}
	w.clients = map[uint64]*client{}
	w.rest(t)
	last := &client{spec: Consumer{Key: ConsumerKey{ID: 1 << 40}, NoAck: true}}
	w.clients[last.spec.Key.ID] = last
	w.attach(last)
	w.rest(t)
	if q := w.q(); q.lead.coming != 0 || q.lead.comingBytes != 0 {
		t.Fatalf("%d messages of %d bytes are still to come", q.lead.coming, q.lead.comingBytes)
	}
	if q := w.q(); q.Len() != 0 || q.lead.expiring != 0 || q.Bytes() != 0 {
		t.Fatalf("%d messages, %d expiring, %d bytes are left", q.Len(), q.lead.expiring, q.Bytes())
	}
}

func (w *world) rest(t *rapid.T) {
	for range 50 {
		w.q().Touch()
		w.dispatch(t)
		w.applyAll()
		w.check(t)
	}
}

func TestNothingIsLostHeldTwiceOrOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, members: [2]*Shard{NewShard(), NewShard()}, disks: [2]*disk{newDisk(), newDisk()}, now: 1000, clients: map[uint64]*client{},
			live: map[uint64]bool{}, gone: map[uint64]bool{}, delivered: map[uint64]bool{}, buried: map[uint64]bool{},
		}
		w.members[0].Lead(true)
		w.base = plain()
		w.base.Quorum = rapid.Bool().Draw(t, "quorum")
		w.base.Priorities = rapid.SampledFrom([]uint8{0, 2, 255}).Draw(t, "priorities")
		w.propose(AppendSet(nil, 1, w.base))
		w.applyAll()
		for _, m := range w.members { // so that chunks end and begin in between
			m.Queue(1).next = chunkSlots - 10
		}
		apply := func(*rapid.T) {
			if len(w.proposed) > 0 {
				w.applyOne()
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": w.check, "publish": w.publish, "publish2": w.publish, "consume": w.consume, "get": w.get,
			"settle": w.settle, "settle2": w.settle, "cancel": w.cancel, "down": w.down, "purge": w.purge, "flood": w.flood,
			"configure": w.configure, "checkpoint": w.checkpoint, "checkpoint2": w.checkpoint, "cool": w.cool, "reboot": w.reboot, "elect": w.elect, "again": w.again, "dispatch": w.dispatch, "dispatch2": w.dispatch,
			"apply": apply, "apply2": apply, "apply3": apply,
			"time": func(t *rapid.T) { w.now += rapid.Int64Range(1, 20).Draw(t, "ms"); w.q().Touch() },
		})
		w.finish(t)
	})
}
