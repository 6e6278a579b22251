package node

import (
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Events of a shard machine besides requests.
type (
	attachEvent struct {
		term       uint64
		attachment attachment
	}
	creditEvent struct {
		queue uint64
		key   queue.ConsumerKey
		n     int
		bytes int64
	}
	replicaDown struct {
		replica uint64
		refused bool
	}
	replicaUp     struct{ replica uint64 }
	announceEvent struct{ replica uint64 }
	configEvent   struct{ queue *metadata.Queue } // it changed, or is gone
	timeEvent     struct{}                        // for what waits for the clock
	buriedEvent   struct {
		key  deadKey
		fate fate
	}
)

// Handle implements raftnode.Machine.
func (m *shardMachine) Handle(event any) {
	switch e := event.(type) {
	case flushGate:
		e.g.flush()
		return
	case request:
		m.request(e)
		return
	case timeEvent:
		m.collectGarbage(m.n.now())
	case blockRequest:
		m.answerBlock(e)
		return
	case peekRequest:
		m.peek(e)
		return
	}
	if !m.leading {
		return
	}
	switch e := event.(type) {
	case laneBatch:
		m.lane(e)
	case attachEvent:
		m.attach(e)
	case creditEvent:
		if q := m.shard.Queue(e.queue); q != nil {
			if c := q.Find(e.key); c != nil {
				q.Forward(c, e.n, e.bytes)
			}
		}
	case replicaDown:
		m.replicaDown(e)
	case replicaUp:
		delete(m.silent, e.replica)
	case announceEvent:
		m.announce(e.replica)
	case configEvent:
		m.configure(e.queue)
		m.goOn()
	case statEvent:
		e.answer(m.stats())
	case timeEvent:
		m.tick()
	case keptEvent:
		if m.shard.Queue(e.queue) != nil {
			m.own = queue.AppendForwarded(m.own, e.queue, e.n)
		}
	case blockEvent:
		m.loaded(e)
	case buriedEvent:
		m.buried(e)
	}
}

// attach takes in what a node's consumers have and hold; consumers of that node that
// it does not name are gone.
func (m *shardMachine) attach(e attachEvent) {
	if e.term != m.g.Role().Term {
		return
	}
	o := e.attachment.Origin
	delete(m.awaited, o.Replica)
	delete(m.silent, o.Replica)
	m.epochs[o.Replica] = e.attachment.Epoch
	if out := m.out[o.Replica]; out != nil {
		*out = outbox{} // those hold them no more, as the attachment says
	}
	named := map[queue.ConsumerKey]bool{}
	for _, a := range e.attachment.Consumers {
		named[queue.ConsumerKey{Origin: o, ID: a.Spec.ID}] = true
	}
	m.endConsumers(func(k queue.ConsumerKey) bool { return k.Origin.Replica == o.Replica && !named[k] })
	applied := m.shard.LaneAt(o)
	for _, a := range e.attachment.Consumers {
		if q := m.shard.Queue(a.Queue); q != nil {
			q.Attach(newConsumer(o, a.Spec), a.heldAt(applied))
			m.used[q.ID] = true
		} else {
			m.late[lateKey{a.Queue, o.Replica}] = true
		}
	}
}

// lateKey is a queue that the shard did not have when a node named its consumers.
type lateKey struct{ queue, replica uint64 }

// welcome asks nodes again for their consumers of queues that have come since.
func (m *shardMachine) welcome() {
	again := map[uint64]bool{}
	m.n.topologyMu.RLock()
	for k := range m.late {
		switch {
		case m.shard.Queue(k.queue) != nil:
			again[k.replica] = true
			delete(m.late, k)
		case k.queue <= m.n.topology.NextID && m.n.topology.QueueByID(k.queue) == nil:
			delete(m.late, k) // it was deleted
		}
	}
	m.n.topologyMu.RUnlock()
	for replica := range again {
		m.announce(replica)
	}
}

// announce tells a node who leads: it says what its consumers hold, and begins its lane
// anew.
func (m *shardMachine) announce(replica uint64) {
	term := m.g.Role().Term
	if replica == m.n.id.Replica {
		m.n.gateFrom(m.g.ID, replica).led(replica, term)
		return
	}
	m.n.transport.Send(replica, kindLeader, u64s(nil, m.g.ID, term))
}

func newConsumer(o queue.Origin, s consumerSpec) *queue.Consumer {
	c := &queue.Consumer{
		Key: queue.ConsumerKey{Origin: o, ID: s.ID}, Tag: s.Tag, Prefetch: uint32(s.Prefetch),
		NoAck: s.NoAck, Exclusive: s.Exclusive, Priority: s.Priority, Since: s.Since,
	}
	if s.Ended {
		c.Ended()
	}
	return c
}

// endConsumers ends the consumers whose key matches; what they held goes back.
func (m *shardMachine) endConsumers(match func(queue.ConsumerKey) bool) {
	m.shard.Queues(func(q *queue.Queue) {
		for _, c := range q.Known() {
			if match(c.Key) {
				m.endConsumer(q, c)
			}
		}
	})
}

// endConsumer says if the queue goes with its last consumer.
func (m *shardMachine) endConsumer(q *queue.Queue, c *queue.Consumer) bool {
	// Of a queue that moves, the new place only knows what consumers claim to hold: a return
	// that is forwarded there would take it from them.
	if held := q.Down(c); len(held) > 0 && !q.Sealed() {
		m.own = queue.AppendReturn(m.own, q.ID, true, held)
	}
	return m.autoDelete(q)
}

// autoDelete deletes an auto-delete queue whose last consumer went, and says if it does.
func (m *shardMachine) autoDelete(q *queue.Queue) bool {
	if !q.Idle() || !m.used[q.ID] {
		return false
	}
	m.n.topologyMu.RLock()
	meta := m.n.topology.QueueByID(q.ID)
	m.n.topologyMu.RUnlock()
	if meta == nil || !meta.AutoDelete {
		return false
	}
	m.n.proposeLater(&metadata.Command{QueueDelete: &metadata.QueueDelete{ID: q.ID}})
	return true
}

// replicaDown returns what the consumers of a dead node held: at once if its process
// is gone, after a while if it is only silent.
func (m *shardMachine) replicaDown(e replicaDown) {
	delete(m.awaited, e.replica)
	if !e.refused {
		m.silent[e.replica] = m.n.now().Add(silentGrace)
		return
	}
	delete(m.silent, e.replica)
	m.endConsumers(func(k queue.ConsumerKey) bool { return k.Origin.Replica == e.replica })
}

func (m *shardMachine) tick() {
	now := m.n.now()
	for replica, until := range m.silent {
		if now.After(until) {
			delete(m.silent, replica)
			m.endConsumers(func(k queue.ConsumerKey) bool { return k.Origin.Replica == replica })
		}
	}
	ms := now.UnixMilli()
	m.shard.Queues(func(q *queue.Queue) {
		if at := q.Wake(ms); at > 0 && at <= ms {
			q.Touch()
		}
		if q.Unused(ms) && m.serving {
			q.Use(ms) // until it is gone
			m.n.proposeLater(&metadata.Command{QueueDelete: &metadata.QueueDelete{ID: q.ID}})
		}
	})
	m.goOn()
	m.buryAgain(now)
	m.expireRequests(now)
}

// reconcile makes the shard's queues those that the topology places here: it begins
// what is missing, renews configurations, ends what is gone.
func (m *shardMachine) reconcile() {
	m.n.topologyMu.RLock()
	defer m.n.topologyMu.RUnlock()
	m.shard.Queues(func(q *queue.Queue) {
		if m.n.topology.QueueByID(q.ID) == nil {
			m.dropIfGone(q.ID)
		}
	})
	m.n.topology.EachQueue(m.place)
}

// configure does the same for one queue.
func (m *shardMachine) configure(q *metadata.Queue) {
	m.n.topologyMu.RLock()
	defer m.n.topologyMu.RUnlock()
	if now := m.n.topology.QueueByID(q.ID); now != nil {
		m.place(now)
	} else {
		m.dropIfGone(q.ID)
	}
}

// expect begins a queue that somebody asks for, if the topology has it.
func (m *shardMachine) expect(id uint64) {
	m.n.topologyMu.RLock()
	defer m.n.topologyMu.RUnlock()
	if q := m.n.topology.QueueByID(id); q != nil {
		m.place(q)
	}
}

// dropIfGone ends a queue that the topology does not have. This node's topology may be
// behind: only if it has seen the queue's id, the queue was deleted.
func (m *shardMachine) dropIfGone(id uint64) {
	if id <= m.n.topology.NextID && m.shard.Queue(id) != nil {
		m.own = queue.AppendDrop(m.own, id)
	}
}

func (m *shardMachine) place(q *metadata.Queue) {
	here := m.n.placeOf(q) == gateKey{m.g.ID, m.home()}
	have := m.shard.Queue(q.ID)
	if !here {
		switch {
		case have == nil || q.Target == m.g.ID:
		case have.Sealed():
			have.Touch() // it has moved: see move
		default:
			m.own = queue.AppendDrop(m.own, q.ID)
		}
		return
	}
	if c := m.n.topology.Config(q); have == nil || have.Config != c {
		m.own = queue.AppendSet(m.own, q.ID, c)
		m.setting[q.ID] = c
	}
	if q.Target != 0 && have != nil && !have.Sealed() {
		m.own = queue.AppendSeal(m.own, q.ID)
	}
}

// home is this node if the group is one of its own unreplicated groups.
func (m *shardMachine) home() uint64 {
	if isAlone(m.g.ID) {
		return m.n.id.Replica
	}
	return 0
}

// now is the clock, for deadlines and times to live.
func (n *Node) now() time.Time { return time.Now() }
