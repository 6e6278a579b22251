package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Limits of one look into a queue.
const (
	PeekMax     = 500       // messages
	PeekSkipMax = 1_000_000 // messages before them
	// peekBytesMax is from where on no more messages are added to an answer.
	peekBytesMax = 16 << 20
	peekTries    = 2 // a file may be written anew while it is read
)

// peekRequest asks a queue's leader what is ready in it.
type peekRequest struct {
	queue   uint64
	skip, n int
	answer  chan<- peekAnswer
}

// peekAnswer is what is ready, and how to read it: that is not the worker's task.
type peekAnswer struct {
	notLeader bool
	list      []queue.Delivery // without the messages
	read      map[uint64]func() ([]byte, error)
}

// Peek shows up to count of a queue's ready messages behind the first skip, in the order
// in which they would go out. Nothing happens to them: they count as neither delivered nor
// redelivered, and stay where they are.
func (l *Link) Peek(ctx context.Context, queueName string, skip, count int) ([]Delivery, error) {
	if err := l.may(read, aQueue, queueName); err != nil {
		return nil, err
	}
	q, err := l.ownQueue(queueName)
	if err != nil {
		return nil, err
	}
	g, err := l.n.gateOf(q)
	if err != nil {
		return nil, err
	}
	list, err := l.n.peek(ctx, g, q.ID, min(skip, PeekSkipMax), min(count, PeekMax))
	if err != nil {
		return nil, err
	}
	out := make([]Delivery, 0, len(list))
	for _, d := range list {
		m, err := fromQueue(d)
		if err != nil {
			return nil, fault.New(fault.Internal, "queue '%s': message %d: %v", queueName, d.Seq, err)
		}
		out = append(out, m)
	}
	return out, nil
}

func (n *Node) peek(ctx context.Context, g *gate, id uint64, skip, count int) ([]queue.Delivery, error) {
	g.mu.Lock()
	leader := g.leader
	g.mu.Unlock()
	if leader == n.id.Replica {
		return n.peekHere(ctx, g.group, id, skip, count)
	}
	addr, known := n.peerReplicas()[leader]
	if !known {
		return nil, n.unavailable(g, id)
	}
	r, err := n.callNode(ctx, addr, call{Op: callPeek, Group: g.group, Queue: id, Skip: skip, Count: count})
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the queue's leader does not answer: %v", err)
	}
	return r.Peeked, nil
}

var errNotLeader = errors.New("the queue has another leader now: try again")

// peekHere looks into a queue that this node leads.
func (n *Node) peekHere(ctx context.Context, group, id uint64, skip, count int) ([]queue.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for try := 1; ; try++ {
		answer := make(chan peekAnswer, 1)
		if !n.host.Post(group, peekRequest{id, skip, count, answer}) {
			return nil, fault.New(fault.Unavailable, "%v", errNotLeader)
		}
		select {
		case a := <-answer:
			list, err := a.messages(id)
			if err == nil || a.notLeader || try == peekTries {
				return list, err
			}
		case <-ctx.Done():
			return nil, fault.New(fault.Unavailable, "the queue's leader is busy: no answer within %s", callTimeout)
		}
	}
}

// messages reads the messages of an answer.
func (a *peekAnswer) messages(id uint64) ([]queue.Delivery, error) {
	if a.notLeader {
		return nil, fault.New(fault.Unavailable, "%v", errNotLeader)
	}
	raws, have, size := map[uint64][]byte{}, map[uint64]bool{}, 0
	for i := range a.list {
		d := &a.list[i]
		if base := queue.Base(d.Seq); !have[base] {
			have[base] = true
			block, err := a.read[base]()
			if err == nil {
				err = queue.Messages(block, id, base, func(seq uint64, raw []byte) { raws[seq] = raw })
			}
			if err != nil {
				return nil, fault.New(fault.Unavailable, "messages not read: %v", err)
			}
		}
		if d.Raw = raws[d.Seq]; d.Raw == nil {
			return nil, fault.New(fault.Internal, "message %d is not in its block", d.Seq)
		}
		if size += len(d.Raw); size > peekBytesMax && i > 0 {
			return a.list[:i], nil
		}
	}
	return a.list, nil
}

// peek answers what is ready. The blocks are those of the chunks that hold it.
func (m *shardMachine) peek(r peekRequest) {
	q := m.shard.Queue(r.queue)
	if !m.leading || !m.serving || q == nil || q.Sealed() {
		r.answer <- peekAnswer{notLeader: true}
		return
	}
	a := peekAnswer{list: q.Peek(m.n.now().UnixMilli(), r.skip, r.n), read: map[uint64]func() ([]byte, error){}}
	for _, d := range a.list {
		base := queue.Base(d.Seq)
		if a.read[base] != nil {
			continue
		}
		im, read := m.shard.ImageOfChunk(r.queue, base), m.block
		a.read[base] = func() ([]byte, error) {
			var b bytes.Buffer
			if err := im.WriteRun(0, &b, read); err != nil {
				return nil, fmt.Errorf("messages from %d: %w", base, err)
			}
			return b.Bytes(), nil
		}
	}
	r.answer <- a
}
