package node

import (
	"encoding/binary"
	"encoding/json"
	"sync"

	"github.com/warren-mq/warren/broker/internal/meter"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// A gate is this node's side of one group, wherever the group is: who leads it, the
// ordered lane of commands on their way to it, and this node's consumers of its
// queues. Commands stay in the lane until the leader says that they are applied, and
// go again to each new leader: none is lost, and the group applies each once.
type gate struct {
	n     *Node
	group uint64
	home  uint64 // replica that a group of unreplicated queues lives on; else 0

	mu        sync.Mutex
	leader    uint64
	term      uint64
	epoch     uint32 // grows with each attachment; older deliveries are dropped
	base      uint64 // number of waiting[0]
	waiting   []laneCommand
	sent      uint64 // highest number sent to this leader
	scheduled bool
	consumers map[uint64]*Consumer
}

// laneCommand is one command that is not known to be applied, and who waits for it.
type laneCommand struct {
	bytes   []byte
	link    *Link
	channel uint16
	number  uint64    // publisher confirm; 0: none
	at      int64     // when it was published, in Unix microseconds
	fan     *fan      // publish to several groups
	settled *Consumer // whose deliveries seqs it settles
	seqs    []uint64
	done    func(lost bool)
	trace   *publishTrace // of a publish that is sampled
	refused bool          // a queue that is full did not take it
}

// fan counts the groups that one publish still waits for.
type fan struct {
	mu    sync.Mutex
	left  int
	lanes int // of them in all
	nack  bool
}

// finished notes one group's answer; last is true for the last of them.
func (f *fan) finished(lost bool) (last, nack bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left--
	f.nack = f.nack || lost
	return f.left == 0, f.nack
}

// gateKey names a gate: home tells the nodes' groups of unreplicated queues apart.
type gateKey struct{ group, home uint64 }

func (n *Node) gate(k gateKey) *gate {
	n.gatesMu.RLock()
	g := n.gates[k]
	n.gatesMu.RUnlock()
	if g != nil {
		return g
	}
	n.gatesMu.Lock()
	defer n.gatesMu.Unlock()
	if g = n.gates[k]; g == nil {
		g = &gate{n: n, group: k.group, home: k.home, leader: k.home, base: 1, consumers: map[uint64]*Consumer{}}
		n.gates[k] = g
	}
	return g
}

func (n *Node) allGates() []*gate {
	n.gatesMu.RLock()
	defer n.gatesMu.RUnlock()
	gs := make([]*gate, 0, len(n.gates))
	for _, g := range n.gates {
		gs = append(gs, g)
	}
	return gs
}

// gateFrom returns the gate that a frame of the group's leader is for.
func (n *Node) gateFrom(group, leader uint64) *gate {
	if isAlone(group) {
		return n.gate(gateKey{group, leader})
	}
	return n.gate(gateKey{group: group})
}

// add puts a command into the lane. It goes out with whatever else is added before
// the group's worker comes by.
func (g *gate) add(c laneCommand) {
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if g.scheduled {
		g.mu.Unlock()
		return
	}
	g.scheduled = true
	g.mu.Unlock()
	if !g.n.host.Post(g.group, flushGate{g}) {
		g.flush()
	}
}

// flushGate asks a worker to send what waits in a gate.
type flushGate struct{ g *gate }

// laneBatch is commands of one node's lane, as the group's leader gets them.
type laneBatch struct {
	origin   queue.Origin
	base     uint64
	first    uint64
	count    uint64
	commands []byte
}

// flush sends what was not sent to this leader yet.
func (g *gate) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.scheduled = false
	g.sendLocked()
}

func (g *gate) sendLocked() {
	first := max(g.sent+1, g.base)
	end := g.base + uint64(len(g.waiting))
	for g.leader != 0 && first < end {
		b := laneBatch{origin: g.n.origin(), base: g.base, first: first}
		size := 0
		for first < end && (b.count == 0 || size < laneBatchBytesMax) {
			size += len(g.waiting[first-g.base].bytes)
			b.count++
			first++
		}
		b.commands = make([]byte, 0, size)
		for i := range b.count {
			b.commands = append(b.commands, g.waiting[b.first-g.base+i].bytes...)
		}
		g.sent = first - 1
		if g.leader == g.n.id.Replica {
			g.n.host.Post(g.group, b)
			continue
		}
		head := u64s(nil, g.group, b.origin.Incarnation, b.base, b.first)
		head = binary.LittleEndian.AppendUint32(head, uint32(b.count))
		g.n.transport.Send(g.leader, kindLane, head, b.commands)
	}
}

// laneBatchBytesMax bounds what one frame and one log entry carry.
const laneBatchBytesMax = 512 << 10

// led says that a replica leads the group now, or that what was sent to it may be
// lost: the lane starts again from the first command that waits, and the leader
// learns what this node's consumers hold.
func (g *gate) led(replica, term uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if term < g.term {
		return
	}
	g.leader, g.term = replica, term
	g.epoch++
	g.sent = g.base - 1
	g.sendLocked()
	g.attachLocked()
}

// attachment is all that one node's consumers of a group's queues have and hold.
type attachment struct {
	Origin    queue.Origin
	Epoch     uint32
	Consumers []attached
}

type attached struct {
	Queue    uint64
	Spec     consumerSpec
	Held     []queue.Range
	Settling []settling // of what it holds, in the order of the lane
}

// settling is a command in the lane that settles deliveries.
type settling struct {
	Number uint64
	Seqs   []queue.Range
}

// heldAt returns what the consumer holds once the lane is applied up to a number: what was
// returned by then is anybody's.
func (a *attached) heldAt(applied uint64) []queue.Range {
	held := a.Held
	for _, s := range a.Settling {
		if s.Number <= applied {
			held = queue.Without(held, s.Seqs)
		}
	}
	return held
}

// consumerSpec is a consumer as the leader needs to know it.
type consumerSpec struct {
	ID        uint64
	Tag       string
	Prefetch  uint16
	NoAck     bool
	Exclusive bool
	Priority  int32
	Since     int64 // Unix nanoseconds
	Ended     bool  // takes nothing any more
}

func (g *gate) attachLocked() {
	a := attachment{Origin: g.n.origin(), Epoch: g.epoch}
	under := map[*Consumer][]settling{}
	for i := range g.waiting {
		if w := &g.waiting[i]; w.settled != nil {
			under[w.settled] = append(under[w.settled], settling{g.base + uint64(i), queue.Ranges(w.seqs)})
		}
	}
	for _, c := range g.consumers {
		a.Consumers = append(a.Consumers, attached{Queue: c.queueID, Spec: c.spec, Held: queue.Ranges(c.holds()), Settling: under[c]})
	}
	if g.leader == g.n.id.Replica {
		g.n.host.Post(g.group, attachEvent{term: g.term, attachment: a})
		return
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic("node: " + err.Error()) // plain data: can't fail
	}
	g.n.transport.Send(g.leader, kindAttach, u64s(nil, g.group, g.term), b)
}

// acked says that the group has applied the lane up to number upTo; refused are those
// that a full queue did not take, by rising number.
func (g *gate) acked(upTo uint64, refused []uint64) {
	g.mu.Lock()
	if upTo < g.base || len(g.waiting) == 0 {
		g.mu.Unlock()
		return
	}
	k := min(upTo-g.base+1, uint64(len(g.waiting)))
	done := g.waiting[:k:k]
	for _, number := range refused {
		if number >= g.base && number < g.base+k {
			done[number-g.base].refused = true
		}
	}
	g.waiting = g.waiting[k:]
	if len(g.waiting) == 0 {
		g.waiting = nil
	}
	g.base += k
	for i := range done {
		if c := done[i].settled; c != nil {
			c.settledNow(done[i].seqs)
			g.forgetLocked(c)
		}
	}
	g.mu.Unlock()
	g.n.finish(done, false)
}

// rewind says that the group's leader misses commands from number next on.
func (g *gate) rewind(next uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next <= g.sent {
		g.sent = max(next, g.base) - 1
		g.sendLocked()
	}
}

// abandon gives up everything that waits: the group's only home is gone.
func (g *gate) abandon() {
	g.mu.Lock()
	lost := g.waiting
	g.base += uint64(len(lost))
	g.waiting = nil
	for _, c := range g.consumers {
		c.settledNow(c.holds())
	}
	g.mu.Unlock()
	g.n.finish(lost, true)
}

// finish tells those who wait for commands what became of them.
func (n *Node) finish(done []laneCommand, lost bool) {
	var link *Link
	var batch []Confirmation
	var waited meter.Snapshot
	now := n.now().UnixMicro()
	flush := func() {
		if link != nil && len(batch) > 0 {
			link.confirm(batch)
		}
		batch = batch[:0]
	}
	for i := range done {
		c := &done[i]
		nack := lost || c.refused
		if c.done != nil {
			c.done(nack)
		}
		if c.link == nil {
			continue
		}
		c.link.release(len(c.bytes))
		if c.trace != nil {
			c.trace.finished(c.fan, nack)
		}
		if c.number == 0 {
			continue
		}
		if c.fan != nil {
			var last bool
			if last, nack = c.fan.finished(nack); !last {
				continue
			}
		}
		if c.link != link {
			flush()
			link = c.link
		}
		waited.Observe(uint64(max(now-c.at, 0)))
		batch = append(batch, Confirmation{Channel: c.channel, Number: c.number, Nack: nack})
	}
	flush()
	n.meters.confirm.Add(&waited)
}
