package server

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// errUnimplemented refuses what is not a client's to send on a channel.
var errUnimplemented = amqp.Errorf(amqp.CommandInvalid, "unimplemented method")

// handle does what one frame asks.
func (s *session) handle(ctx context.Context, f amqp.Frame) {
	if s.parks(f) {
		return
	}
	if f.Type == amqp.FrameHeartbeat {
		if f.Channel != 0 {
			s.fail(ctx, 0, 0, amqp.Errorf(amqp.UnexpectedFrame, "type %d, all octets = <<>>", f.Type))
		}
		return
	}
	if f.Type != amqp.FrameMethod {
		s.content(ctx, f)
		return
	}
	m, err := s.decoder.Method(f.Payload)
	switch {
	case s.closing:
		if err == nil && f.Channel == 0 {
			s.closingMethod(m)
		}
	case err != nil:
		e, _ := err.(*amqp.Error)
		s.fail(ctx, 0, e.Method, err)
	case f.Channel == 0:
		if err := s.connectionMethod(ctx, m); err != nil {
			s.fail(ctx, 0, m.ID(), err)
		}
	default:
		id := s.blame(f.Channel, m) // the decoder may use m again
		if err := s.channelMethod(ctx, f.Channel, m); err != nil {
			s.fail(ctx, f.Channel, id, err)
		}
	}
}

// blame returns the method that an error names: a publish that was begun, or none if
// there is no channel yet.
func (s *session) blame(number uint16, m amqp.Method) amqp.MethodID {
	ch := s.channels[number]
	_, opens := m.(*amqp.ChannelOpen)
	switch {
	case ch == nil && opens:
		return 0
	case ch != nil && !opens && ch.assembly.open():
		return amqp.IDBasicPublish
	}
	return m.ID()
}

// content takes a content header or a body frame.
func (s *session) content(ctx context.Context, f amqp.Frame) {
	ch := s.channels[f.Channel]
	switch {
	case s.closing || ch != nil && ch.closing:
		return
	case ch == nil:
		s.fail(ctx, 0, 0, errMethodExpected)
		return
	}
	complete, err := ch.assembly.add(f, s.srv.cfg.MessageBytesMax)
	if err == nil && complete {
		err = s.publish(ch)
	}
	switch {
	case err == errMethodExpected: //nolint:errorlint // never wrapped
		s.fail(ctx, 0, 0, err)
	case err != nil:
		s.fail(ctx, ch.number, amqp.IDBasicPublish, err)
	}
}

// channelMethod does what a method on a channel other than 0 asks.
func (s *session) channelMethod(ctx context.Context, number uint16, m amqp.Method) error {
	if _, ok := m.(*amqp.ChannelOpen); ok {
		return s.channelOpen(ctx, number)
	}
	ch := s.channels[number]
	switch {
	case ch == nil:
		return amqp.Errorf(amqp.ChannelError, "expected 'channel.open'")
	case ch.closing:
		s.channelClosing(ch, m)
		return nil
	case ch.tx != nil && ch.tx.committing:
		return amqp.Errorf(amqp.ChannelError, "unexpected command while processing 'tx.commit'")
	case ch.assembly.open():
		return ch.assembly.unexpected()
	}
	switch m := m.(type) {
	case *amqp.BasicPublish:
		return s.basicPublish(ch, m)
	case *amqp.BasicAck:
		return s.settle(ch, m.DeliveryTag, m.Multiple, ack)
	case *amqp.BasicNack:
		return s.settle(ch, m.DeliveryTag, m.Multiple, rejected(m.Requeue, node.Requeue))
	case *amqp.BasicReject:
		return s.settle(ch, m.DeliveryTag, false, rejected(m.Requeue, node.Failed))
	case *amqp.ChannelClose:
		return s.channelClose(ctx, ch)
	case *amqp.ChannelFlow:
		return s.channelFlow(ch, m)
	case *amqp.AccessRequest:
		s.send(ch.number, &amqp.AccessRequestOK{Ticket: 1}) // a relic of 0-8: all is granted
		return nil
	case *amqp.ConfirmSelect:
		return s.confirmSelect(ch, m)
	case *amqp.TxSelect:
		return s.txSelect(ch)
	case *amqp.TxCommit:
		return s.txCommit(ch)
	case *amqp.TxRollback:
		return s.txRollback(ch)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	return s.operation(ctx, ch, m)
}

// operation does what asks the node and may take its time.
func (s *session) operation(ctx context.Context, ch *channel, m amqp.Method) error {
	s.flushSettles() // it may ask how many messages there are
	switch m := m.(type) {
	case *amqp.ExchangeDeclare:
		return s.exchangeDeclare(ctx, ch, m)
	case *amqp.ExchangeDelete:
		return s.exchangeDelete(ctx, ch, m)
	case *amqp.ExchangeBind:
		return s.exchangeBind(ctx, ch, m)
	case *amqp.ExchangeUnbind:
		return s.exchangeUnbind(ctx, ch, m)
	case *amqp.QueueDeclare:
		return s.queueDeclare(ctx, ch, m)
	case *amqp.QueueBind:
		return s.queueBind(ctx, ch, m)
	case *amqp.QueueUnbind:
		return s.queueUnbind(ctx, ch, m)
	case *amqp.QueuePurge:
		return s.queuePurge(ctx, ch, m)
	case *amqp.QueueDelete:
		return s.queueDelete(ctx, ch, m)
	case *amqp.BasicQos:
		return s.basicQos(ch, m)
	case *amqp.BasicConsume:
		return s.basicConsume(ctx, ch, m)
	case *amqp.BasicCancel:
		return s.basicCancel(ctx, ch, m)
	case *amqp.BasicGet:
		return s.basicGet(ctx, ch, m)
	case *amqp.BasicRecover:
		if err := s.recover(ch, m.Requeue); err != nil {
			return err
		}
		s.send(ch.number, &amqp.BasicRecoverOK{})
		return nil
	case *amqp.BasicRecoverAsync:
		return s.recover(ch, m.Requeue)
	}
	return errUnimplemented
}
