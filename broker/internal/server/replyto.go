package server

import (
	"context"
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// directReplyTo is the name under which a client consumes the answers to its requests
// without declaring a queue. Behind it stands a queue of the connection's own, which goes
// with its consumer: so answers find their way from any node of the cluster.
const directReplyTo = "amq.rabbitmq.reply-to"

// replyConsumer is a channel's consumer of answers; the zero value is none.
type replyConsumer struct{ tag, queue string }

// replyQueue makes the queue behind a consume of directReplyTo.
func (s *session) replyQueue(ctx context.Context, ch *channel, m *amqp.BasicConsume) (string, error) {
	switch {
	case !m.NoAck:
		return "", fault.New(fault.PreconditionFailed, "reply consumer cannot acknowledge")
	case ch.replies.queue != "":
		return "", fault.New(fault.PreconditionFailed, "reply consumer already set")
	}
	info, err := s.link.QueueDeclare(ctx, node.QueueSpec{
		Name: generatedName(directReplyTo + "."), Exclusive: true, AutoDelete: true, Internal: true,
	}, false)
	return info.Name, err
}

// probeReplies answers a declare, passive or not, of a name that answers go to: whoever
// answers may ask if anybody still waits. ok is false if it is no such name.
func (s *session) probeReplies(ctx context.Context, name string) (ok bool, err error) {
	switch {
	case name == directReplyTo:
		return true, nil
	case !strings.HasPrefix(name, directReplyTo+"."):
		return false, nil
	}
	_, err = s.link.QueueDeclare(ctx, node.QueueSpec{Name: name}, true)
	if fault.KindOf(err) == fault.ResourceLocked { // another connection's: it is there
		err = nil
	}
	return true, err
}

// addressReplies puts the true name into a request that names directReplyTo.
func (ch *channel) addressReplies(m *message.Message) error {
	to, ok := message.PeekShort(m.Properties, message.HasReplyTo)
	if !ok || string(to) != directReplyTo {
		return nil
	}
	if ch.replies.queue == "" {
		return fault.New(fault.PreconditionFailed, "fast reply consumer does not exist")
	}
	p, err := message.ParseProperties(m.Properties)
	if err != nil {
		return err // the codec has checked them: not reached
	}
	p.ReplyTo = ch.replies.queue
	m.Properties = p.Append(nil)
	return nil
}
