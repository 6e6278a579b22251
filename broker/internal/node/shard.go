package node

import (
	"encoding/binary"
	"time"

	"github.com/warren-mq/warren/broker/internal/queue"
	"github.com/warren-mq/warren/broker/internal/raftnode"
)

// shardMachine drives the queues of one group. On the leader it also takes in the
// nodes' lanes, gives messages to consumers, and answers requests.
type shardMachine struct {
	runs     *runs
	swept    bool      // the runs of an earlier life are removed
	captured time.Time // when the state was written down last
	obsolete []uint64  // runs of a state that was replaced

	n     *Node
	g     *raftnode.Group
	shard *queue.Shard

	leading  bool // leads, and knows the group's state
	serving  bool // has heard what the consumers hold
	serveAt  time.Time
	awaited  map[uint64]bool // replicas that have not said what they hold
	epochs   map[uint64]uint32
	lanes    map[queue.Origin]*laneIn
	own      []byte   // commands of the leader's own, to be proposed
	entries  [][]byte // to be proposed
	entry    []byte   // the last of them, still growing
	out      map[uint64]*outbox
	requests []request // that wait for their queue
	silent   map[uint64]time.Time
	dying    map[deadKey]*burial           // messages being dead-lettered
	wakes    int64                         // when the clock comes by next
	toBury   []queue.DeadLetter            // messages to be dead-lettered
	setting  map[uint64]queue.Config       // configurations on their way to the log
	used     map[uint64]bool               // queues that have had a consumer
	late     map[lateKey]bool              // consumers came before their queue
	getting  map[uint64]map[uint64]request // gets without answer, by queue
	probe    probe
	tracks   *tracks // nil: nobody wants spans
}

// laneIn is a lane at the leader.
type laneIn struct {
	next  uint64 // the number that comes next
	acked uint64 // what the origin was told
	again bool   // tell it again: what it was told was lost
	waits bool   // for a queue that this node does not know yet
}

type deadKey struct{ queue, seq uint64 }

// entryBytesMax is where a turn's commands are split into several entries.
const entryBytesMax = 1 << 20

func newShardMachine(n *Node, g *raftnode.Group) *shardMachine {
	return &shardMachine{
		n: n, g: g, shard: queue.NewShard(), captured: n.now(),
		runs: n.store.runsOf(g.ID),
	}
}

// Apply implements raftnode.Machine.
func (m *shardMachine) Apply(_ uint64, data []byte) {
	m.shard.Apply(data)
	if m.probe.applied(m.leading) {
		m.n.meters.replicate.Since(m.probe.at)
	}
}

// Lead implements raftnode.Machine.
func (m *shardMachine) Lead(r raftnode.Role) {
	if !r.Self {
		m.resign()
	}
	if m.leading { // a new term of the same leader: everything starts again
		m.resign()
	}
}

func (m *shardMachine) resign() {
	if m.leading {
		if m.tracks != nil {
			m.tracks.resigned(m.shard)
			m.tracks = nil
			m.shard.Watch(nil)
		}
		m.shard.Lead(false)
	}
	m.leading, m.serving = false, false
	m.entries, m.entry, m.own, m.out, m.toBury = nil, nil, nil, nil, nil
	m.failRequests()
}

// begin takes up leadership once the state is current.
func (m *shardMachine) begin() {
	m.leading, m.serving = true, false
	m.probe = probe{}
	if m.n.cfg.Tracer != nil {
		m.tracks = &tracks{n: m.n, of: map[deadKey]*track{}, takeover: true}
		m.shard.Watch(m.tracks)
	}
	m.shard.Lead(true)
	if m.tracks != nil {
		m.tracks.takeover = false
	}
	m.lanes = map[queue.Origin]*laneIn{}
	m.epochs = map[uint64]uint32{}
	m.awaited = map[uint64]bool{m.n.id.Replica: true}
	m.silent = map[uint64]time.Time{}
	m.dying = map[deadKey]*burial{}
	m.used = map[uint64]bool{}
	m.late = map[lateKey]bool{}
	m.setting = map[uint64]queue.Config{}
	m.out = map[uint64]*outbox{}
	for replica := range m.n.peerReplicas() {
		if m.n.transport.Alive(replica) {
			m.awaited[replica] = true
		}
	}
	m.serveAt = m.n.now().Add(attachWindow)
	m.reconcile()
	m.n.transport.Broadcast(kindLeader, u64s(nil, m.g.ID, m.g.Role().Term))
	m.announce(m.n.id.Replica)
}

// Flush implements raftnode.Machine.
func (m *shardMachine) Flush() {
	m.makeRoom()
	if !m.swept {
		m.swept = true
		if err := m.runs.sweep(m.shard.Runs()); err != nil {
			m.n.cfg.Logger.Warn("run files not removed", "group", m.g.ID, "error", err)
		}
	}
	if !m.leading {
		if !m.g.Leads() || !m.g.Current() {
			return
		}
		m.begin()
	}
	if !m.serving && (len(m.awaited) == 0 || m.n.now().After(m.serveAt)) {
		m.serving = true
	}
	if len(m.late) > 0 {
		m.welcome()
	}
	if m.serving {
		m.dispatch()
	}
	m.ackLanes()
	m.proposeAll()
	m.flushOut()
}

// dispatch gives messages to consumers, and notes what must be proposed for it.
func (m *shardMachine) dispatch() {
	now := m.n.now().UnixMilli()
	for _, q := range m.shard.Touched() {
		m.move(q)
		todo := q.Dispatch(now, m)
		m.wake(q.Wake(now), now)
		if todo.Empty() {
			continue
		}
		if len(todo.Settled) > 0 {
			m.own = queue.AppendSettle(m.own, q.ID, queue.Ranges(todo.Settled))
		}
		if len(todo.Expired) > 0 {
			m.own = queue.AppendDiscard(m.own, q.ID, queue.Expired, queue.Ranges(todo.Expired))
		}
		if len(todo.Dropped) > 0 {
			m.own = queue.AppendDiscard(m.own, q.ID, queue.MaxLen, queue.Ranges(todo.Dropped))
		}
		m.load(q, todo.Load)
		if todo.Mark != 0 {
			m.own = queue.AppendMark(m.own, q.ID, todo.Mark)
		}
	}
	for _, ms := range m.shard.Waits() {
		m.n.meters.queued.Observe(uint64(ms) * 1000)
	}
	m.buryDead()
	m.answerWaiting()
}

// wake makes the clock look at the shard at a time, in Unix milliseconds, unless it does
// so before; 0 asks for nothing.
func (m *shardMachine) wake(at, now int64) {
	if at <= now || m.wakes > now && m.wakes <= at {
		return
	}
	m.wakes = at
	n, group := m.n, m.g.ID
	time.AfterFunc(time.Duration(at-now)*time.Millisecond, func() { n.host.Post(group, timeEvent{}) })
}

// lane takes in a batch of another node's commands, or of this node's.
func (m *shardMachine) lane(b laneBatch) {
	if !m.leading {
		return
	}
	l := m.lanes[b.origin]
	applied := max(m.shard.LaneAt(b.origin), b.base-1)
	if l == nil {
		l = &laneIn{next: applied + 1}
		m.lanes[b.origin] = l
	}
	l.next = max(l.next, applied+1)
	switch {
	case l.waits:
		return
	case b.first > l.next:
		m.sendRewind(b.origin, l.next)
		return
	case b.first+b.count <= l.next:
		l.again = l.again || b.first+b.count-1 <= applied
		return
	}
	commands, err := queue.CutCommands(b.commands, l.next-b.first)
	if err != nil {
		m.n.cfg.Logger.Error("lane dropped", "group", m.g.ID, "error", err)
		return
	}
	if l.waits = !m.acquaint(commands); l.waits {
		return
	}
	commands = m.shard.Admit(commands)
	m.grow(len(commands))
	m.entry = queue.AppendLane(m.entry, b.origin, b.base, l.next, commands)
	l.next = b.first + b.count
}

// acquaint begins the queues that commands publish to and the shard does not have yet. It
// is false if this node, which just came or came back, has not heard of one: what went
// there now would be confirmed and lost.
func (m *shardMachine) acquaint(commands []byte) bool {
	strangers := m.shard.Strangers(commands)
	if len(strangers) == 0 {
		return true
	}
	m.n.topologyMu.RLock()
	defer m.n.topologyMu.RUnlock()
	for _, id := range strangers {
		switch q := m.n.topology.QueueByID(id); {
		case q == nil && id > m.n.topology.NextID:
			return false
		case q != nil && isAlone(m.g.ID) && m.n.placeOf(q).home != m.n.id.Replica:
			return false // the publisher knows more of this node than it does itself
		case q != nil:
			m.place(q)
		}
	}
	m.addOwn() // before what is published to them
	return true
}

// goOn asks for what lanes held back when a queue was not known.
func (m *shardMachine) goOn() {
	for o, l := range m.lanes {
		if l.waits {
			l.waits = false
			m.sendRewind(o, l.next)
		}
	}
}

// grow makes room in the entry, or begins the next.
func (m *shardMachine) grow(n int) {
	if len(m.entry) > 0 && len(m.entry)+n > entryBytesMax {
		m.entries = append(m.entries, m.entry)
		m.entry = nil
	}
	if len(m.entry) == 0 {
		m.entry = queue.BeginEntry(make([]byte, 0, n+64))
	}
}

// addOwn puts the leader's own commands into the entry.
func (m *shardMachine) addOwn() {
	if len(m.own) > 0 {
		m.grow(len(m.own))
		m.entry = queue.AppendLeader(m.entry, m.own)
		m.own = nil
	}
}

func (m *shardMachine) proposeAll() {
	m.addOwn()
	if len(m.entry) > 0 {
		m.entries = append(m.entries, m.entry)
		m.entry = nil
	}
	if m.g.Transferring() {
		return // if it comes to nothing, the next turn proposes
	}
	for i, e := range m.entries {
		if err := m.g.Propose(e); err != nil {
			// Too much is under way. The lanes come again; what the leader wanted for
			// itself it finds again after taking stock.
			m.n.cfg.Logger.Warn("proposals dropped", "group", m.g.ID, "entries", len(m.entries)-i, "error", err)
			m.resign()
			return
		}
		m.probe.proposed(m.n)
	}
	m.entries = m.entries[:0]
}

// ackLanes tells the origins how far their lanes were applied.
func (m *shardMachine) ackLanes() {
	for o, l := range m.lanes {
		applied := m.shard.LaneAt(o)
		if applied <= l.acked && !l.again {
			continue
		}
		refused := m.shard.Refused(o, l.acked)
		if l.again { // it may not have heard of older ones
			refused = m.shard.Refused(o, 0)
		}
		l.acked, l.again = applied, false
		if o.Replica == m.n.id.Replica {
			m.n.gateFrom(m.g.ID, o.Replica).acked(applied, refused)
			continue
		}
		m.n.transport.Send(o.Replica, kindLaneAck, u64s(u64s(nil, m.g.ID, o.Incarnation, applied), refused...))
	}
}

func (m *shardMachine) sendRewind(o queue.Origin, next uint64) {
	if o.Replica == m.n.id.Replica {
		g := m.n.gateFrom(m.g.ID, o.Replica)
		g.rewind(next)
		return
	}
	m.n.transport.Send(o.Replica, kindRewind, u64s(nil, m.g.ID, o.Incarnation, next))
}

// Deliver implements queue.Sink.
func (m *shardMachine) Deliver(q *queue.Queue, c *queue.Consumer, d queue.Delivery) {
	replica := c.Key.Origin.Replica
	o := m.out[replica]
	if o == nil {
		o = &outbox{}
		m.out[replica] = o
	}
	o.add(c.Key.ID, d)
}

// outbox gathers one turn's deliveries to one node.
type outbox struct {
	consumers []uint64
	lists     [][]queue.Delivery
}

func (o *outbox) add(consumer uint64, d queue.Delivery) {
	for i := len(o.consumers) - 1; i >= 0; i-- {
		if o.consumers[i] == consumer {
			o.lists[i] = append(o.lists[i], d)
			return
		}
	}
	o.consumers = append(o.consumers, consumer)
	o.lists = append(o.lists, []queue.Delivery{d})
}

func (m *shardMachine) flushOut() {
	for replica, o := range m.out {
		if len(o.consumers) == 0 {
			continue
		}
		for i, id := range o.consumers {
			m.handOver(replica, id, o.lists[i])
		}
		o.consumers, o.lists = o.consumers[:0], o.lists[:0]
	}
}

func (m *shardMachine) handOver(replica, consumer uint64, ds []queue.Delivery) {
	epoch := m.epochs[replica]
	if replica == m.n.id.Replica {
		m.n.gateFrom(m.g.ID, replica).deliver(epoch, consumer, ds)
		return
	}
	var b []byte
	flush := func() {
		if len(b) > 0 {
			head := binary.LittleEndian.AppendUint32(u64s(nil, m.g.ID), epoch)
			m.n.transport.Send(replica, kindDeliver, u64s(head, consumer), b)
			b = nil // it is the transport's now
		}
	}
	for _, d := range ds {
		if len(b) > laneBatchBytesMax {
			flush()
		}
		b = appendDelivery(b, d)
	}
	flush()
}
