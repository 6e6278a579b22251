package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// A request asks the leader of a queue's group for something, and gets one reply. A
// node that does not lead says so, and the asker tries again.
type request struct {
	ID     uint64
	From   queue.Origin
	Group  uint64
	Queue  uint64
	Op     requestOp
	Spec   consumerSpec
	Unused bool // delete: only if nobody consumes
	Empty  bool // delete: only if no message is in it
	// After is the last command in the asker's lane: a client that publishes and then
	// asks finds what it published.
	After uint64

	answer   func(reply)
	deadline time.Time
}

type requestOp string

const (
	opStat    requestOp = "stat"    // counts; waits until the queue is there
	opConsume requestOp = "consume" // adds a consumer
	opLimit   requestOp = "limit"   // changes its prefetch count
	opCancel  requestOp = "cancel"  // ends its deliveries, not what it holds
	opDown    requestOp = "down"    // ends it, and returns what it holds
	opGet     requestOp = "get"     // one message
	opPurge   requestOp = "purge"   // removes what is ready
	opProbe   requestOp = "probe"   // checks the conditions of a delete
	opMoved   requestOp = "moved"   // waits until all that came to a queue's old place is at the new one
)

// reply is the answer to a request.
type reply struct {
	ID        uint64
	NotLeader bool
	Kind      fault.Kind
	Text      string // set: refused
	Ready     int
	Unacked   int
	Consumers int
	Deleted   bool // the queue goes with its last consumer
	Found     bool
	Delivery  queue.Delivery
	Remaining int
}

func (r *reply) fault() error {
	if r.Text == "" {
		return nil
	}
	return &fault.Error{Kind: r.Kind, Text: r.Text}
}

// ask sends a request to the leader of a gate's group until it is answered.
func (n *Node) ask(ctx context.Context, g *gate, r request) (reply, error) {
	if h := n.holdOf(r.Queue); h != nil && r.Op != opMoved { // what was published comes first
		select {
		case <-h.done:
		case <-ctx.Done():
		}
	}
	r.From, r.Group, r.After = n.origin(), g.group, g.lastWaiting()
	answer := make(chan reply, 1)
	n.waitersMu.Lock()
	n.serial++
	r.ID = n.serial
	n.asked[r.ID] = answer
	n.waitersMu.Unlock()
	defer func() {
		n.waitersMu.Lock()
		delete(n.asked, r.ID)
		n.waitersMu.Unlock()
	}()
	retry := time.NewTicker(requestRetry)
	defer retry.Stop()
	// A get that was carried out has handed out a message: a request goes again only if
	// the leader refused it, or may never have got it.
	epoch, sent := n.sendRequest(g, r)
	for {
		select {
		case a := <-answer:
			if !a.NotLeader {
				err := a.fault()
				return a, err
			}
			sent = false
		case <-retry.C:
			if to := n.whereIs(r.Queue); to != nil && to != g && r.Op != opMoved {
				g, r.Group, r.After, sent = to, to.group, to.lastWaiting(), false
			}
			if now := g.currentEpoch(); !sent || now != epoch {
				epoch, sent = n.sendRequest(g, r)
			}
		case <-n.stopped:
			return reply{}, fault.Hard(fault.Unavailable, "node is stopping")
		case <-ctx.Done():
			return reply{}, n.unavailable(g, r.Queue)
		}
	}
}

// whereIs returns the gate to a queue's group, nil if the queue is gone.
func (n *Node) whereIs(id uint64) *gate {
	n.topologyMu.RLock()
	q := n.topology.QueueByID(id)
	n.topologyMu.RUnlock()
	if q == nil {
		return nil
	}
	g, err := n.gateOf(q)
	if err != nil {
		return nil
	}
	return g
}

// unavailable explains why a queue did not answer.
func (n *Node) unavailable(g *gate, id uint64) error {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	q := n.topology.QueueByID(id)
	if q == nil {
		return fault.New(fault.NotFound, "the queue was deleted")
	}
	if g.home != 0 {
		return homeDown(q.Node, q.Name, q.VHost)
	}
	return fault.New(fault.Unavailable, "queue '%s' in vhost '%s' has no leader: fewer than a majority of its members are up", q.Name, q.VHost)
}

func homeDown(node, name, vhost string) error {
	return fault.New(fault.NotFound, "home node '%s' of durable queue '%s' in vhost '%s' is down or inaccessible", node, name, vhost)
}

// sendRequest sends a request to whom the gate takes for the leader; sent is false if
// it knows none. epoch changes when what was sent may be lost.
func (n *Node) sendRequest(g *gate, r request) (epoch uint32, sent bool) {
	g.mu.Lock()
	leader, epoch := g.leader, g.epoch
	g.mu.Unlock()
	switch leader {
	case 0:
		return epoch, false
	case n.id.Replica:
		r.answer = n.answered
		return epoch, n.host.Post(g.group, r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("node: " + err.Error()) // plain data: can't fail
	}
	n.transport.Send(leader, kindRequest, b)
	return epoch, n.transport.Alive(leader)
}

// lastWaiting returns the number of the last command that waits in the lane, 0 if none
// does.
func (g *gate) lastWaiting() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		return 0
	}
	return g.base + uint64(len(g.waiting)) - 1
}

func (g *gate) currentEpoch() uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.epoch
}

// answered hands a reply to whoever asked.
func (n *Node) answered(a reply) {
	n.waitersMu.Lock()
	w := n.asked[a.ID]
	n.waitersMu.Unlock()
	if w != nil {
		select {
		case w <- a:
		default: // answered twice
		}
	}
}

// tell sends a request without waiting for the answer.
func (n *Node) tell(g *gate, r request) {
	r.From, r.Group = n.origin(), g.group
	n.sendRequest(g, r)
}

// request carries out a request, on the leader.
func (m *shardMachine) request(r request) {
	if r.answer == nil {
		r.answer = func(reply) {}
	}
	if !m.leading {
		r.answer(reply{ID: r.ID, NotLeader: true})
		return
	}
	q := m.shard.Queue(r.Queue)
	if r.Op == opMoved {
		if q == nil || m.shard.LaneAt(r.From) >= r.After && q.Forwarded() {
			r.answer(reply{ID: r.ID})
			return
		}
		r.deadline = m.n.now().Add(holdMax)
		m.requests = append(m.requests, r)
		return
	}
	if q != nil && q.Sealed() {
		r.answer(reply{ID: r.ID, NotLeader: true}) // it moves: the asker looks again where it is
		return
	}
	if q == nil || !m.serving || m.shard.LaneAt(r.From) < r.After || m.stale(q) {
		// The topology has it, this shard not yet; or what consumers hold is not known
		// yet; or the asker's lane is still on its way, or a policy.
		r.deadline = m.n.now().Add(proposeTimeout)
		m.requests = append(m.requests, r)
		if q == nil {
			m.expect(r.Queue)
		}
		return
	}
	a := reply{ID: r.ID, Found: true}
	key := queue.ConsumerKey{Origin: r.From, ID: r.Spec.ID}
	if r.Op == opGet || r.Op == opStat && !q.Config.Quorum {
		q.Use(m.n.now().UnixMilli())
	}
	switch r.Op {
	case opConsume:
		if f := m.mayConsume(q, r.Spec, key); f != nil {
			a.Kind, a.Text = f.Kind, f.Text
		} else if q.Find(key) == nil {
			q.Attach(newConsumer(r.From, r.Spec), nil)
			m.used[q.ID] = true
		}
	case opLimit:
		if c := q.Find(key); c != nil {
			c.Prefetch = uint32(r.Spec.Prefetch)
			q.Touch()
		}
	case opCancel:
		if c := q.Find(key); c != nil {
			q.Cancel(c)
			a.Deleted = m.autoDelete(q)
		}
	case opDown:
		if c := q.Find(key); c != nil {
			a.Deleted = m.endConsumer(q, c)
		}
	case opGet:
		if q.Config.SingleActive && q.Config.Quorum {
			a.Kind, a.Text = fault.ResourceLocked, fmt.Sprintf("cannot obtain access to locked queue '%s' in vhost '%s'. "+
				"basic.get operations are not supported by <<\"quorum\">> queues with single active consumer", q.Config.Name, q.Config.VHost)
			break
		}
		m.get(q, r)
		return
	case opPurge:
		a.Ready, _, _ = q.Counts()
		m.own = queue.AppendSettle(m.own, q.ID, q.Purge())
		r.answer(a)
		return
	case opStat:
	case opProbe:
		if f := mayDelete(q, r); f != nil {
			a.Kind, a.Text = f.Kind, f.Text
		}
	}
	a.Ready, a.Unacked, a.Consumers = q.Counts()
	r.answer(a)
}

// stale reports whether the queue's configuration is to change in a moment.
func (m *shardMachine) stale(q *queue.Queue) bool {
	want, changes := m.setting[q.ID]
	if changes && want == q.Config {
		delete(m.setting, q.ID)
		return false
	}
	return changes
}

func (m *shardMachine) mayConsume(q *queue.Queue, s consumerSpec, key queue.ConsumerKey) *fault.Error {
	if q.Config.Quorum {
		return nil // such a queue does not know exclusive consumers
	}
	taken := q.Config.SingleActive && s.Exclusive // one of them at a time is another way to say the same
	q.Consumers(func(c *queue.Consumer) {
		if c.Key != key && (c.Exclusive || s.Exclusive) {
			taken = true
		}
	})
	if taken {
		return fault.New(fault.AccessRefused, "queue '%s' in vhost '%s' in exclusive use", q.Config.Name, q.Config.VHost)
	}
	return nil
}

func mayDelete(q *queue.Queue, r request) *fault.Error {
	ready, _, consumers := q.Counts()
	if r.Empty && ready > 0 {
		return fault.New(fault.PreconditionFailed, "queue '%s' in vhost '%s' not empty", q.Config.Name, q.Config.VHost)
	}
	if r.Unused && consumers > 0 {
		return fault.New(fault.PreconditionFailed, "queue '%s' in vhost '%s' in use", q.Config.Name, q.Config.VHost)
	}
	return nil
}

func (m *shardMachine) get(q *queue.Queue, r request) {
	c := newConsumer(r.From, r.Spec)
	c.Ended()
	m.gets(q.ID)[r.ID] = r
	q.AddGet(&queue.Get{Consumer: c, ID: r.ID})
}

// Answer implements queue.Sink.
func (m *shardMachine) Answer(q *queue.Queue, g *queue.Get, d queue.Delivery, remaining int, ok bool) {
	pending := m.gets(q.ID)
	r, known := pending[g.ID]
	delete(pending, g.ID)
	if known {
		r.answer(reply{ID: r.ID, Found: ok, Delivery: d, Remaining: remaining})
	}
}

// gets returns the gets of a queue that wait for their answer.
func (m *shardMachine) gets(id uint64) map[uint64]request {
	if m.getting == nil {
		m.getting = map[uint64]map[uint64]request{}
	}
	if m.getting[id] == nil {
		m.getting[id] = map[uint64]request{}
	}
	return m.getting[id]
}

// answerWaiting carries out the requests whose queue has come.
func (m *shardMachine) answerWaiting() {
	if len(m.requests) == 0 {
		return
	}
	waiting := m.requests
	m.requests = nil
	for _, r := range waiting {
		if m.shard.Queue(r.Queue) != nil {
			m.request(r)
		} else {
			m.requests = append(m.requests, r)
		}
	}
}

// failRequests tells the askers to look for another leader.
func (m *shardMachine) failRequests() {
	for _, r := range m.requests {
		r.answer(reply{ID: r.ID, NotLeader: true})
	}
	for _, rs := range m.getting {
		for _, r := range rs {
			r.answer(reply{ID: r.ID, NotLeader: true})
		}
	}
	m.requests, m.getting = nil, nil
}

func (m *shardMachine) expireRequests(now time.Time) {
	kept := m.requests[:0]
	for _, r := range m.requests {
		if now.Before(r.deadline) {
			kept = append(kept, r)
		}
	}
	m.requests = kept
}
