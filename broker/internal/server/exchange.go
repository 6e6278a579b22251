package server

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (s *session) exchangeDeclare(ctx context.Context, ch *channel, m *amqp.ExchangeDeclare) error {
	err := s.link.ExchangeDeclare(ctx, node.ExchangeSpec{
		Name: cleanName(m.Exchange), Type: m.Type, Durable: m.Durable, AutoDelete: m.AutoDelete, Internal: m.Internal,
		Args: m.Arguments,
	}, m.Passive)
	return s.reply(ch, m.NoWait, &amqp.ExchangeDeclareOK{}, err)
}

func (s *session) exchangeDelete(ctx context.Context, ch *channel, m *amqp.ExchangeDelete) error {
	err := s.link.ExchangeDelete(ctx, cleanName(m.Exchange), m.IfUnused)
	return s.reply(ch, m.NoWait, &amqp.ExchangeDeleteOK{}, err)
}

func (s *session) exchangeBind(ctx context.Context, ch *channel, m *amqp.ExchangeBind) error {
	err := s.link.Bind(ctx, node.BindingSpec{
		Source: cleanName(m.Source), Destination: cleanName(m.Destination), ToExchange: true, Key: m.RoutingKey, Args: m.Arguments,
	})
	return s.reply(ch, m.NoWait, &amqp.ExchangeBindOK{}, err)
}

func (s *session) exchangeUnbind(ctx context.Context, ch *channel, m *amqp.ExchangeUnbind) error {
	err := s.link.Unbind(ctx, node.BindingSpec{
		Source: cleanName(m.Source), Destination: cleanName(m.Destination), ToExchange: true, Key: m.RoutingKey, Args: m.Arguments,
	})
	return s.reply(ch, m.NoWait, &amqp.ExchangeUnbindOK{}, err)
}

// reply sends a method's answer, unless the client wants none or there was an error.
func (s *session) reply(ch *channel, noWait bool, ok amqp.Method, err error) error {
	if err == nil && !noWait {
		s.send(ch.number, ok)
	}
	return err
}
