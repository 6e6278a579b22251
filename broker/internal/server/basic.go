package server

import (
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// basicPublish begins a publish; its content follows.
func (s *session) basicPublish(ch *channel, m *amqp.BasicPublish) error {
	if m.Immediate {
		return amqp.Errorf(amqp.NotImplemented, "immediate=true")
	}
	ch.assembly.begin(m)
	return nil
}

// publish passes a complete message to the node. An unroutable one is settled here: the
// client sees the return, if it asked for one, before the confirm.
func (s *session) publish(ch *channel) error {
	m, mandatory := ch.assembly.take()
	ch.state.Add(node.StatPublish, 1)
	if err := ch.addressReplies(m); err != nil {
		return err
	}
	if ch.tx != nil {
		p, err := s.link.Prepare(m)
		if err == nil {
			ch.tx.publishes = append(ch.tx.publishes, txPublish{p, mandatory})
		}
		return err
	}
	var n uint64
	if ch.confirms != nil {
		ch.confirms.published++
		n = ch.confirms.published
		ch.state.Add(node.StatPublishConfirm, 1)
	}
	routed, err := s.link.Publish(ch.number, ch.confirmNumber(n), m)
	if err != nil || routed {
		return err
	}
	if mandatory {
		s.returnMessage(ch, m)
	} else {
		ch.state.Add(node.StatDrop, 1)
	}
	if n > 0 {
		s.confirm(ch, n, false)
	}
	return nil
}

// returnMessage gives a message back that goes nowhere.
func (s *session) returnMessage(ch *channel, m *message.Message) {
	ch.state.Add(node.StatReturn, 1)
	s.send(ch.number, &amqp.BasicReturn{
		ReplyCode: uint16(amqp.NoRoute), ReplyText: amqp.NoRoute.String(),
		Exchange: m.Exchange, RoutingKey: m.RoutingKey,
	})
	s.sendContent(ch.number, m, 0, 0)
}

// deliver sends deliveries to the client. Those of a consumer that is no more go back.
func (s *session) deliver(nc *node.Consumer, ds []node.Delivery) {
	c := s.consumers[nc]
	if c == nil {
		if !nc.NoAck {
			seqs := make([]uint64, len(ds))
			for i := range ds {
				seqs[i] = ds[i].Seq
			}
			s.link.Settle(nc, seqs, node.Requeue)
		}
		return
	}
	n, bytes := 0, int64(0)
	for ; n < len(ds) && (c.noAck || !c.ch.limiter.full()); n++ {
		s.sendDelivery(c, &ds[n])
		bytes += int64(len(ds[n].Message.Body))
	}
	for i := range ds[n:] {
		c.ch.limiter.parked = append(c.ch.limiter.parked, parked{c, ds[n+i]})
	}
	s.handOver(c, n, bytes)
}

// sendDelivery sends one delivery.
func (s *session) sendDelivery(c *consumer, d *node.Delivery) {
	m := amqp.BasicDeliver{
		ConsumerTag: c.tag, Redelivered: d.Redelivered, Exchange: d.Message.Exchange, RoutingKey: d.Message.RoutingKey,
	}
	if c.noAck {
		c.ch.state.Add(node.StatDeliverNoAck, 1)
		m.DeliveryTag = c.ch.unacked.tag()
	} else {
		c.ch.state.Add(node.StatDeliver, 1)
		m.DeliveryTag = s.hold(c.ch, c, d.Seq)
		c.ch.limiter.held++
	}
	if d.Redelivered {
		c.ch.state.Add(node.StatRedeliver, 1)
	}
	buf, at := amqp.BeginFrame(s.pkt.buf, amqp.FrameMethod, c.ch.number)
	s.pkt.buf = amqp.EndFrame(m.Append(buf), at)
	s.sendContent(c.ch.number, d.Message, d.DeliveryCount, d.AcquiredCount)
}

// hold gives a delivery its tag and begins to wait for its acknowledgement.
func (s *session) hold(ch *channel, c *consumer, seq uint64) uint64 {
	if s.now == 0 {
		s.now = time.Since(s.began)
	}
	s.watchAck(c.node.AckTimeout(), s.now)
	return ch.unacked.hold(c, seq, s.now)
}

// handOver notes that n deliveries of c leave with the packet.
func (s *session) handOver(c *consumer, n int, bytes int64) {
	if n > 0 {
		s.pkt.handed = append(s.pkt.handed, handed{c, n, bytes})
	}
}

// The headers that count deliveries, for queues that do: the failed ones, and all.
const (
	deliveryCountHeader = "x-delivery-count"
	acquiredCountHeader = "x-acquired-count"
)

// sendContent sends a message's header and body.
func (s *session) sendContent(channel uint16, m *message.Message, failed, acquired uint32) {
	p := s.pkt
	if len(m.Body) <= bodyCopyBytesMax {
		p.room(contentHeadBytes + len(m.Properties) + len(m.Body))
	}
	properties := message.WithoutHeader(m.Properties, "BCC") // blind copies
	if acquired == 0 {
		p.buf = amqp.AppendContent(p.buf, channel, len(m.Body), properties)
	} else {
		counts := message.Table{{Key: acquiredCountHeader, Value: int64(acquired)}}
		if failed > 0 {
			counts = append(counts, message.Field{Key: deliveryCountHeader, Value: int64(failed)})
		}
		buf, at := amqp.AppendContentStart(p.buf, channel, len(m.Body))
		p.buf = amqp.EndFrame(message.AppendWithHeaders(buf, properties, counts), at)
	}
	for rest := m.Body; len(rest) > 0; {
		part := rest[:min(len(rest), s.frameMax-amqp.FrameOverhead)]
		rest = rest[len(part):]
		p.buf = amqp.AppendBodyStart(p.buf, channel, len(part))
		if len(part) <= bodyCopyBytesMax {
			p.buf = append(p.buf, part...)
		} else {
			p.refs = append(p.refs, ref{at: len(p.buf), body: part})
		}
		p.buf = amqp.AppendBodyEnd(p.buf)
	}
}
