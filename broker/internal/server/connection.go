package server

import (
	"context"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// connectionMethod does what a method on channel 0 asks, once the connection is open.
func (s *session) connectionMethod(ctx context.Context, m amqp.Method) error {
	switch m := m.(type) {
	case *amqp.ConnectionClose:
		s.log.Info("client closes", "code", m.ReplyCode, "text", m.ReplyText)
		s.leave() // before the answer: what was exclusive is free when the client has it
		s.send(0, &amqp.ConnectionCloseOK{})
		s.ended = true
		s.flush()
		return nil
	case *amqp.ConnectionUpdateSecret:
		return s.updateSecret(ctx, m)
	}
	return amqp.Errorf(amqp.ChannelError, "unexpected method in connection state running")
}

// updateSecret lets a client prove anew who it is. What it may do is looked at anew, too.
func (s *session) updateSecret(ctx context.Context, m *amqp.ConnectionUpdateSecret) error {
	if err := s.srv.broker.Authenticate(s.user, m.NewSecret); err != nil {
		s.log.Warn("secret update refused", "user", s.user, "reason", m.Reason, "error", err)
		return amqp.Errorf(amqp.NotAllowed, "New secret was refused by one of the backends")
	}
	lost, err := s.link.Reauthorize()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	for _, nc := range lost {
		if err := s.link.Cancel(ctx, nc); err != nil {
			return err
		}
		s.hear(ctx) // its last deliveries go before its end
		s.consumerCancelled(nc)
	}
	if !s.closing && !s.ended {
		s.send(0, &amqp.ConnectionUpdateSecretOK{})
	}
	return nil
}

// closeConnection tells the client, gives all back and waits for close-ok, though not
// for long.
func (s *session) closeConnection(x exception, id amqp.MethodID) {
	if s.closing {
		return
	}
	s.send(0, &amqp.ConnectionClose{
		ReplyCode: uint16(x.code), ReplyText: x.text, ClassID: id.Class(), MethodID: id.Method(),
	})
	s.leave()
	s.deadline = time.After(closeTimeout)
}

// closingMethod handles a method after connection.close was sent: no other counts.
func (s *session) closingMethod(m amqp.Method) {
	switch m.(type) {
	case *amqp.ConnectionCloseOK:
		s.ended = true
	case *amqp.ConnectionClose:
		s.send(0, &amqp.ConnectionCloseOK{})
		s.ended = true
		s.flush()
	}
}

// abort ends the connection because the broker wants so.
func (s *session) abort(reason string) {
	if reason == ReasonShutdown {
		reason = "broker forced connection closure with reason 'shutdown'"
	}
	s.log.Info("connection forced to close", "reason", reason)
	s.closeConnection(exception{
		code: amqp.ConnectionForced, text: replyText(amqp.ConnectionForced, reason), hard: true,
	}, 0)
}
