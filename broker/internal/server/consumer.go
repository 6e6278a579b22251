package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// consumer is a subscription, or the handle of a get, as the session knows it.
type consumer struct {
	node     *node.Consumer
	ch       *channel // nil for a get
	tag      string
	noAck    bool
	prefetch uint16
	// settles collects what the turn settled, by outcome; dirty says that there is some.
	settles [node.Discard + 1][]uint64
	dirty   bool
}

// generatedName returns a name that nobody else has.
func generatedName(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func (s *session) basicConsume(ctx context.Context, ch *channel, m *amqp.BasicConsume) error {
	queue, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	tag := m.ConsumerTag
	if tag == "" {
		tag = generatedName("amq.ctag-")
	}
	if ch.consumers[tag] != nil {
		return amqp.Errorf(amqp.NotAllowed, "attempt to reuse consumer tag '%s'", tag)
	}
	if most := s.srv.cfg.ConsumersMax; most > 0 && len(ch.consumers) >= most {
		return amqp.Errorf(amqp.NotAllowed, "reached maximum (%d) of consumers per channel", most)
	}
	internal := queue == directReplyTo
	if internal {
		if queue, err = s.replyQueue(ctx, ch, m); err != nil {
			return err
		}
		ch.replies = replyConsumer{tag, queue}
	}
	c, err := s.link.Consume(ctx, node.ConsumeSpec{
		Channel: ch.number, Tag: tag, Queue: queue, NoAck: m.NoAck, Exclusive: m.Exclusive,
		Prefetch: ch.limiter.own(ch.prefetch), Shared: ch.limiter.limit > 0, Args: m.Arguments,
		Internal: internal,
	})
	if err != nil {
		return err
	}
	// Deliveries may be in the inbox already: they are looked at after this.
	n := &consumer{node: c, ch: ch, tag: tag, noAck: m.NoAck, prefetch: ch.prefetch}
	ch.consumers[tag] = n
	s.consumers[c] = n
	return s.reply(ch, m.NoWait, &amqp.BasicConsumeOK{ConsumerTag: tag}, nil)
}

func (s *session) basicCancel(ctx context.Context, ch *channel, m *amqp.BasicCancel) error {
	if c := ch.consumers[m.ConsumerTag]; c != nil {
		if err := s.link.Cancel(ctx, c.node); err != nil {
			return err
		}
		s.hear(ctx) // the last deliveries go before cancel-ok
		if s.closing || s.ended || ch.closing {
			return nil
		}
		s.unparkBack(ch, c)
		s.forget(c)
	}
	return s.reply(ch, m.NoWait, &amqp.BasicCancelOK{ConsumerTag: m.ConsumerTag}, nil)
}

// consumerCancelled tells the client that the broker ended a consumer.
func (s *session) consumerCancelled(nc *node.Consumer) {
	c := s.consumers[nc]
	if c == nil {
		return
	}
	s.unparkBack(c.ch, c)
	s.forget(c)
	if s.cancelNotify {
		s.send(c.ch.number, &amqp.BasicCancel{ConsumerTag: c.tag, NoWait: true})
	}
}

// forget ends a consumer as far as the session goes; what it holds stays unacked.
func (s *session) forget(c *consumer) {
	if c.ch.replies.tag == c.tag {
		c.ch.replies = replyConsumer{}
	}
	delete(c.ch.consumers, c.tag)
	delete(s.consumers, c.node)
}

func (s *session) basicGet(ctx context.Context, ch *channel, m *amqp.BasicGet) error {
	queue, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	nc, d, remaining, ok, err := s.link.Get(ctx, queue, m.NoAck)
	if err != nil {
		return err
	}
	if !ok {
		ch.state.Add(node.StatGetEmpty, 1)
		s.send(ch.number, &amqp.BasicGetEmpty{})
		return nil
	}
	if s.getter == nil || s.getter.node != nc {
		s.getter = &consumer{node: nc}
	}
	var tag uint64
	if d.Redelivered {
		ch.state.Add(node.StatRedeliver, 1)
	}
	if m.NoAck {
		ch.state.Add(node.StatGetNoAck, 1)
		tag = ch.unacked.tag()
	} else {
		ch.state.Add(node.StatGet, 1)
		tag = s.hold(ch, s.getter, d.Seq)
	}
	s.send(ch.number, &amqp.BasicGetOK{
		DeliveryTag: tag, Redelivered: d.Redelivered, Exchange: d.Message.Exchange,
		RoutingKey: d.Message.RoutingKey, MessageCount: remaining,
	})
	s.sendContent(ch.number, d.Message, d.DeliveryCount, d.AcquiredCount)
	return nil
}
