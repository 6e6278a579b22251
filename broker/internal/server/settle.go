package server

import (
	"slices"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// ack is the outcome that basic.ack stands for.
const ack = node.Ack

// rejected is the outcome that basic.nack and basic.reject stand for; requeued is what
// it is if the message goes back.
func rejected(requeue bool, requeued node.Outcome) node.Outcome {
	if requeue {
		return requeued
	}
	return node.Discard
}

// settle does what ack, nack and reject ask. Tag 0 with multiple means all that is
// outstanding, which may be nothing.
func (s *session) settle(ch *channel, tag uint64, multiple bool, how node.Outcome) error {
	later := func(d held) {
		if ch.tx != nil {
			ch.tx.settles = append(ch.tx.settles, txSettle{d, how})
			return
		}
		s.settleLater(ch, d.c, d.seq, how)
	}
	ok := true
	switch {
	case multiple && tag == 0:
		ch.unacked.takeAll(later)
	case multiple:
		ok = ch.unacked.takeTo(tag, later)
	default:
		var d held
		if d, ok = ch.unacked.take(tag); ok {
			later(d)
		}
	}
	if i := slices.Index(ch.late, tag); !ok && i >= 0 {
		ch.late = slices.Delete(ch.late, i, i+1)
		if multiple {
			ch.unacked.takeBelow(tag, later)
		}
		return nil
	}
	if !ok {
		return fault.New(fault.PreconditionFailed, "unknown delivery tag %d", tag)
	}
	return nil
}

// settleLater keeps a settle until the turn ends: a consumer's settles leave in one call
// for each outcome.
func (s *session) settleLater(ch *channel, c *consumer, seq uint64, how node.Outcome) {
	ch.state.Add(node.StatSettled, 1)
	if how == node.Ack {
		ch.state.Add(node.StatAck, 1)
	}
	if c.ch != nil {
		c.ch.limiter.held--
		s.relieve(c.ch)
	}
	s.collect(c, seq, how)
}

// settleUnsent gives back a delivery that the client has not seen.
func (s *session) settleUnsent(c *consumer, seq uint64) { s.collect(c, seq, node.Requeue) }

func (s *session) collect(c *consumer, seq uint64, how node.Outcome) {
	c.settles[how] = append(c.settles[how], seq)
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// settlesKeptMax is how long an emptied list of settles may be to be used again.
const settlesKeptMax = 4096

// flushSettles passes the turn's settles to the node.
func (s *session) flushSettles() {
	for i, c := range s.dirty {
		s.dirty[i] = nil
		c.dirty = false
		for how := range c.settles {
			seqs := c.settles[how]
			if len(seqs) == 0 {
				continue
			}
			s.link.Settle(c.node, seqs, node.Outcome(how))
			c.settles[how] = seqs[:0]
			if cap(seqs) > settlesKeptMax {
				c.settles[how] = nil
			}
		}
	}
	s.dirty = s.dirty[:0]
}

// recover requeues all that the channel holds.
func (s *session) recover(ch *channel, requeue bool) error {
	if !requeue {
		return amqp.Errorf(amqp.NotImplemented, "requeue=false")
	}
	ch.unacked.takeAll(func(d held) { s.settleLater(ch, d.c, d.seq, node.Requeue) })
	return nil
}
