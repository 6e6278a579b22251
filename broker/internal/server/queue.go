package server

import (
	"context"
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// cleanName takes line breaks out of a name, as RabbitMQ does: they are there by mistake.
func cleanName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}

// queueName resolves the empty name: it means the queue declared last on the channel.
func (ch *channel) queueName(name string) (string, error) {
	if name != "" {
		return cleanName(name), nil
	}
	if ch.lastQueue == "" {
		return "", fault.New(fault.NotFound, "no previously declared queue")
	}
	return ch.lastQueue, nil
}

// bindingOf resolves a bind's or unbind's names. With neither queue nor routing key the
// key becomes the queue's name too.
func (ch *channel) bindingOf(queue, exchange, key string) (node.BindingSpec, error) {
	name, err := ch.queueName(queue)
	switch {
	case err != nil:
		return node.BindingSpec{}, err
	case strings.HasPrefix(name, directReplyTo+"."):
		return node.BindingSpec{}, fault.New(fault.AccessRefused, "cannot bind or unbind to a volatile (direct reply-to) queue")
	}
	if queue == "" && key == "" {
		key = name
	}
	return node.BindingSpec{Source: cleanName(exchange), Destination: name, Key: key}, nil
}

func (s *session) queueDeclare(ctx context.Context, ch *channel, m *amqp.QueueDeclare) error {
	name := cleanName(m.Queue)
	if ok, err := s.probeReplies(ctx, name); ok {
		return s.reply(ch, m.NoWait, &amqp.QueueDeclareOK{Queue: name, ConsumerCount: 1}, err)
	}
	info, err := s.link.QueueDeclare(ctx, node.QueueSpec{
		Name: name, Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete, Args: m.Arguments,
	}, m.Passive)
	if err != nil {
		return err
	}
	ch.lastQueue = info.Name
	return s.reply(ch, m.NoWait, &amqp.QueueDeclareOK{
		Queue: info.Name, MessageCount: info.Ready, ConsumerCount: info.Consumers,
	}, nil)
}

func (s *session) queueBind(ctx context.Context, ch *channel, m *amqp.QueueBind) error {
	b, err := ch.bindingOf(m.Queue, m.Exchange, m.RoutingKey)
	if err != nil {
		return err
	}
	b.Args = m.Arguments
	return s.reply(ch, m.NoWait, &amqp.QueueBindOK{}, s.link.Bind(ctx, b))
}

func (s *session) queueUnbind(ctx context.Context, ch *channel, m *amqp.QueueUnbind) error {
	b, err := ch.bindingOf(m.Queue, m.Exchange, m.RoutingKey)
	if err != nil {
		return err
	}
	b.Args = m.Arguments
	return s.reply(ch, false, &amqp.QueueUnbindOK{}, s.link.Unbind(ctx, b))
}

func (s *session) queuePurge(ctx context.Context, ch *channel, m *amqp.QueuePurge) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	n, err := s.link.QueuePurge(ctx, name)
	return s.reply(ch, m.NoWait, &amqp.QueuePurgeOK{MessageCount: n}, err)
}

func (s *session) queueDelete(ctx context.Context, ch *channel, m *amqp.QueueDelete) error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	n, err := s.link.QueueDelete(ctx, name, m.IfUnused, m.IfEmpty)
	return s.reply(ch, m.NoWait, &amqp.QueueDeleteOK{MessageCount: n}, err)
}
