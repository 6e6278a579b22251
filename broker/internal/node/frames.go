package node

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/warren-mq/warren/broker/internal/queue"
)

// sender lets the groups' host send through the transport.
type sender struct{ n *Node }

// SendRaft implements raftnode.Sender.
func (s sender) SendRaft(to, group uint64, message [][]byte) {
	s.n.transport.Send(to, kindRaft, slices.Insert(message, 0, u64s(nil, group))...)
}

// SendSnapshot implements raftnode.Sender.
func (s sender) SendSnapshot(to, group uint64, write func(io.Writer) ([]byte, error), sent func(bool)) {
	s.n.transport.SendBulk(to, kindSnapshot, u64s(nil, group), write, sent)
}

// Bulk implements cluster.Handler.
func (n *Node) Bulk(_ uint64, kind byte, head []byte, body io.Reader) (func([]byte), error) {
	p := parse(head)
	group := p.u64()
	if kind != kindSnapshot || !p.ok {
		return nil, fmt.Errorf("kind %d with a head of %d bytes", kind, len(head))
	}
	if group == metaGroup {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return nil, err
		}
		return func(message []byte) { n.host.StepSnapshot(group, message, nil) }, nil
	}
	files, err := n.store.receive(group, body)
	return func(message []byte) { n.host.StepSnapshot(group, message, files) }, err
}

// Frame implements cluster.Handler.
func (n *Node) Frame(from uint64, kind byte, payload []byte) {
	p := parse(payload)
	switch kind {
	case kindRaft:
		if group := p.u64(); p.ok {
			n.host.Step(group, p.b)
		}
	case kindMeta:
		n.host.Post(metaGroup, proposal(payload))
	case kindApplied:
		n.spreadMu.Lock()
		n.peerApplied[from] = p.u64()
		n.spread.Broadcast()
		n.spreadMu.Unlock()
	case kindLeader:
		group, term := p.u64(), p.u64()
		n.gateFrom(group, from).led(from, term)
	case kindLane:
		n.laneFrame(from, p)
	case kindLaneAck, kindRewind:
		group, incarnation, number := p.u64(), p.u64(), p.u64()
		if !p.ok || incarnation != n.id.Incarnation {
			return
		}
		if g := n.gateFrom(group, from); kind == kindLaneAck {
			g.acked(number, p.rest64())
		} else {
			g.rewind(number)
		}
	case kindAttach:
		e := attachEvent{}
		group := p.u64()
		e.term = p.u64()
		if p.ok && json.Unmarshal(p.b, &e.attachment) == nil && e.attachment.Origin.Replica == from {
			n.host.Post(group, e)
		}
	case kindDeliver:
		n.deliverFrame(from, p)
	case kindCredit:
		group, incarnation, q, consumer, k, bytes := p.u64(), p.u64(), p.u64(), p.u64(), p.u64(), p.u64()
		if p.ok {
			key := queue.ConsumerKey{Origin: queue.Origin{Replica: from, Incarnation: incarnation}, ID: consumer}
			n.host.Post(group, creditEvent{q, key, int(k), int64(bytes)})
		}
	case kindRequest:
		n.requestFrame(from, payload)
	case kindReply:
		var a reply
		if json.Unmarshal(payload, &a) == nil {
			n.answered(a)
		}
	case kindAlarm:
		if a := Alarm(p.u8()); p.ok {
			n.alarmOf(from, a)
		}
	default:
		n.cfg.Logger.Warn("frame of a kind that this version does not know", "from", from, "kind", kind)
	}
}

func (n *Node) laneFrame(from uint64, p parser) {
	group, b := p.u64(), laneBatch{}
	b.origin = queue.Origin{Replica: from, Incarnation: p.u64()}
	b.base, b.first, b.count = p.u64(), p.u64(), uint64(p.u32())
	if p.ok {
		b.commands = p.b
		n.host.Post(group, b)
	}
}

func (n *Node) deliverFrame(from uint64, p parser) {
	group, epoch, consumer := p.u64(), p.u32(), p.u64()
	var ds []queue.Delivery
	for p.ok && len(p.b) > 0 {
		ds = append(ds, p.delivery())
	}
	if p.ok {
		n.gateFrom(group, from).deliver(epoch, consumer, ds)
	}
}

func (n *Node) requestFrame(from uint64, payload []byte) {
	var r request
	if json.Unmarshal(payload, &r) != nil || r.From.Replica != from {
		return
	}
	r.answer = func(a reply) {
		b, err := json.Marshal(a)
		if err != nil {
			panic("node: " + err.Error()) // plain data: can't fail
		}
		n.transport.Send(from, kindReply, b)
	}
	if !n.host.Post(r.Group, r) {
		r.answer(reply{ID: r.ID, NotLeader: true})
	}
}

// Reset implements cluster.Handler. The leaders here announce themselves again; the
// other side answers with its lanes and with what its consumers hold.
func (n *Node) Reset(replica uint64) { n.host.PostAll(announceEvent{replica}) }

// Down implements cluster.Handler.
func (n *Node) Down(replica uint64, refused bool) {
	n.host.PeerDown(replica, true)
	n.host.PostAll(replicaDown{replica, refused})
	if refused {
		for _, g := range n.allGates() {
			if g.home == replica {
				g.abandon()
			}
		}
	}
	n.alarmOf(replica, 0) // who is away runs out of nothing
	n.wakeSpread()
	n.kickControl()
}

// Up implements cluster.Handler.
func (n *Node) Up(replica uint64) {
	n.host.PeerDown(replica, false)
	n.host.PostAll(replicaUp{replica})
	n.host.PostAll(announceEvent{replica})
	n.kickControl()
}
