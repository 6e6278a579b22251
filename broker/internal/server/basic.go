package server

import (
	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
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
	if err := s.checkUser(m); err != nil {
		return err
	}
	if err := ch.addressReplies(m); err != nil {
		return err
	}
	var n uint64
	if ch.confirms != nil {
		ch.confirms.published++
		n = ch.confirms.published
	}
	routed, err := s.link.Publish(ch.number, ch.confirmNumber(n), m)
	if err != nil || routed {
		return err
	}
	if mandatory {
		s.send(ch.number, &amqp.BasicReturn{
			ReplyCode: uint16(amqp.NoRoute), ReplyText: amqp.NoRoute.String(),
			Exchange: m.Exchange, RoutingKey: m.RoutingKey,
		})
		s.sendContent(ch.number, m, 0)
	}
	if n > 0 {
		s.confirm(ch, n, false)
	}
	return nil
}

// checkUser refuses a message that claims another user as its sender.
func (s *session) checkUser(m *message.Message) error {
	id, ok := message.PeekShort(m.Properties, message.HasUserID)
	if ok && string(id) != s.user {
		return fault.New(fault.PreconditionFailed, "user_id property set to '%s' but authenticated user was '%s'", id, s.user)
	}
	return nil
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
	m := amqp.BasicDeliver{ConsumerTag: c.tag}
	for i := range ds {
		d := &ds[i]
		if c.noAck {
			m.DeliveryTag = c.ch.unacked.tag()
		} else {
			m.DeliveryTag = c.ch.unacked.hold(c, d.Seq)
		}
		m.Redelivered, m.Exchange, m.RoutingKey = d.Redelivered, d.Message.Exchange, d.Message.RoutingKey
		buf, at := amqp.BeginFrame(s.pkt.buf, amqp.FrameMethod, c.ch.number)
		s.pkt.buf = amqp.EndFrame(m.Append(buf), at)
		s.sendContent(c.ch.number, d.Message, d.DeliveryCount)
	}
	s.pkt.handed = append(s.pkt.handed, handed{c, len(ds)})
}

// deliveryCountHeader counts failed deliveries, for queues that do.
const deliveryCountHeader = "x-delivery-count"

// sendContent sends a message's header and body.
func (s *session) sendContent(channel uint16, m *message.Message, deliveryCount uint32) {
	p := s.pkt
	if deliveryCount == 0 {
		p.buf = amqp.AppendContent(p.buf, channel, len(m.Body), m.Properties)
	} else {
		buf, at := amqp.AppendContentStart(p.buf, channel, len(m.Body))
		p.buf = amqp.EndFrame(message.AppendWithHeader(buf, m.Properties, message.Field{
			Key: deliveryCountHeader, Value: int64(deliveryCount),
		}), at)
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
