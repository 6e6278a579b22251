package server

import (
	"context"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// A delivery that is not acknowledged in time goes back to its queue, and its consumer
// is cancelled: it is stuck, and would only get the message again. What else it holds it
// may still settle; the late acknowledgement itself does nothing. Only a client that
// does not understand a cancellation loses its channel.

// watchAck makes the session look at a delivery that was just handed out.
func (s *session) watchAck(timeout time.Duration, at time.Duration) {
	if timeout <= 0 {
		return
	}
	if due := at + timeout; s.ackDue == 0 || due < s.ackDue {
		s.ackDue = due
		s.ackTimer.Reset(due - time.Since(s.began))
	}
}

// overdue takes back what was not acknowledged in time, and waits for the next.
func (s *session) overdue(ctx context.Context) {
	s.ackDue = 0
	now := time.Since(s.began)
	for _, ch := range s.channels {
		if s.closing || ch.closing {
			continue
		}
		var stuck []held
		ch.unacked.each(func(d held) {
			switch timeout := d.c.node.AckTimeout(); {
			case timeout <= 0:
			case now < d.at+timeout:
				s.watchAck(timeout, d.at)
			default:
				stuck = append(stuck, d)
			}
		})
		for _, d := range stuck {
			if s.closing || ch.closing {
				break
			}
			s.takeBack(ctx, ch, d)
		}
	}
}

func (s *session) takeBack(ctx context.Context, ch *channel, d held) {
	timeout := d.c.node.AckTimeout()
	s.log.Warn("delivery not acknowledged in time", "channel", ch.number, "consumer", d.c.tag,
		"queue", d.c.node.Queue, "delivery_tag", d.tag, "timeout", timeout)
	if !s.cancelNotify {
		s.fail(ctx, ch.number, 0, fault.New(fault.PreconditionFailed,
			"delivery acknowledgement on channel %d timed out. Timeout value used: %d ms. "+
				"This timeout value can be configured, see consumers doc guide to learn more", ch.number, timeout.Milliseconds()))
		return
	}
	ch.unacked.take(d.tag)
	ch.late = append(ch.late, d.tag)
	if c := d.c; c.ch != nil && ch.consumers[c.tag] == c { // else a get, or cancelled before
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		if err := s.link.Cancel(ctx, c.node); err != nil {
			s.log.Warn("cancel failed", "channel", ch.number, "consumer", c.tag, "error", err)
		}
		s.unparkBack(ch, c)
		s.forget(c)
		s.send(ch.number, &amqp.BasicCancel{ConsumerTag: c.tag, NoWait: true})
	}
	s.settleLater(ch, d.c, d.seq, node.Requeue)
}
