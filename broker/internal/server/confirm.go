package server

import (
	"context"
	"math/bits"
	"slices"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// confirms is a channel's publisher confirms. Publishes count from 1; done remembers
// which above low are settled, so that a run of them can be confirmed by one frame.
type confirms struct {
	published uint64
	low       uint64 // all up to here are settled
	done      bitset // of those above
	fresh     []uint64
	nacked    []uint64 // nacks that were sent before the word on older publishes
	queued    bool     // in session.acking
}

// bitset is a window on an endless row of bits.
type bitset struct {
	words []uint64
	base  uint64 // the number of the first bit, a multiple of 64
}

func (b *bitset) set(n uint64) {
	i := int((n - b.base) / 64)
	for i >= len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[i] |= 1 << (n % 64)
}

// runFrom returns the end of the run of bits that begins after low; low if the next bit
// is not set. Words below it are dropped.
func (b *bitset) runFrom(low uint64) uint64 {
	n := low + 1
	for {
		i := int((n - b.base) / 64)
		if i >= len(b.words) {
			break
		}
		ones := bits.TrailingZeros64(^(b.words[i] >> (n % 64)))
		n += uint64(ones)
		if ones == 0 || n%64 != 0 {
			break
		}
	}
	if drop := int((n - b.base) / 64); drop > 0 {
		drop = min(drop, len(b.words))
		b.words = b.words[:copy(b.words, b.words[drop:])]
		b.base += uint64(drop) * 64
	}
	return n - 1
}

// confirmNumberBits is the part of a confirm's number, as the node sees it, that counts
// the channel's publishes. What is above tells channels of the same number apart: one may
// be closed and its successor open while the node still works on publishes of the first.
const confirmNumberBits = 40

func (ch *channel) confirmNumber(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	return ch.epoch<<confirmNumberBits | n
}

func (s *session) confirmSelect(ch *channel, m *amqp.ConfirmSelect) error {
	if ch.tx != nil {
		return fault.New(fault.PreconditionFailed, "cannot switch from tx to confirm mode")
	}
	if ch.confirms == nil {
		ch.confirms = new(confirms)
		ch.state.Confirms.Store(true)
	}
	return s.reply(ch, m.NoWait, &amqp.ConfirmSelectOK{}, nil)
}

// confirmed takes the node's word on one publish.
func (s *session) confirmed(ctx context.Context, c node.Confirmation) {
	ch := s.channels[c.Channel]
	switch {
	case ch == nil || ch.epoch != c.Number>>confirmNumberBits:
	case ch.tx != nil:
		if err := s.txConfirmed(ch, c.Nack); err != nil {
			s.fail(ctx, ch.number, amqp.IDTxCommit, err)
		}
	case ch.confirms != nil:
		s.confirm(ch, c.Number&(1<<confirmNumberBits-1), c.Nack)
	}
}

// confirm settles publish n. Nacks leave at once, acks together at the turn's end.
func (s *session) confirm(ch *channel, n uint64, nack bool) {
	c := ch.confirms
	c.done.set(n)
	ch.state.Add(node.StatConfirm, 1)
	if nack {
		// The flags are as RabbitMQ sets them. With nothing older open, and no ack of this
		// turn still to be sent, multiple says the same.
		c.low = c.done.runFrom(c.low)
		if c.low < n || len(c.fresh) > 0 {
			c.nacked = append(c.nacked, n)
		}
		s.send(ch.number, &amqp.BasicNack{DeliveryTag: n, Multiple: c.low >= n && len(c.fresh) == 0, Requeue: true})
	} else {
		c.fresh = append(c.fresh, n)
	}
	if !c.queued {
		c.queued = true
		s.acking = append(s.acking, ch)
	}
}

// flushConfirms sends the confirms of the turn: one frame for the run that leaves no
// older publish open, one each for those beyond. No frame covers a nack that went out
// before it: the Go client takes such a publish for acknowledged.
func (s *session) flushConfirms() {
	for i, ch := range s.acking {
		s.acking[i] = nil
		c := ch.confirms
		if c == nil || !c.queued {
			continue
		}
		c.queued = false
		c.low = c.done.runFrom(c.low)
		if len(c.nacked) > 0 {
			slices.Sort(c.nacked)
			slices.Sort(c.fresh)
		}
		var last uint64 // the highest fresh one within the run, or up to the next nack in it
		within := 0
		flush := func() {
			if within > 0 {
				s.ackPublish(ch, last, within > 1)
			}
			last, within = 0, 0
		}
		passed := 0 // nacks
		for _, n := range c.fresh {
			if n > c.low {
				s.ackPublish(ch, n, false)
				continue
			}
			for passed < len(c.nacked) && c.nacked[passed] < n {
				passed++
				flush()
			}
			last = max(last, n)
			within++
		}
		flush()
		c.fresh = c.fresh[:0]
		c.nacked = slices.DeleteFunc(c.nacked, func(n uint64) bool { return n <= c.low })
	}
	s.acking = s.acking[:0]
}

func (s *session) ackPublish(ch *channel, n uint64, multiple bool) {
	m := amqp.BasicAck{DeliveryTag: n, Multiple: multiple}
	buf, at := amqp.BeginFrame(s.pkt.buf, amqp.FrameMethod, ch.number)
	s.pkt.buf = amqp.EndFrame(m.Append(buf), at)
}
