package server

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// channel is one channel's state.
type channel struct {
	number    uint16
	closing   bool   // channel.close was sent: all but the answer is ignored
	lastQueue string // declared here last: what an empty queue name means
	prefetch  uint16 // for consumers to come
	assembly  assembly
	consumers map[string]*consumer // by tag
	unacked   unacked
	confirms  *confirms // nil until confirm.select
	tx        *tx       // nil until tx.select
	limiter   limiter
	late      []uint64 // tags of deliveries that were taken back
	replies   replyConsumer
	state     node.ChannelState // for tools
	epoch     uint64            // tells this channel from an older one of the same number
}

func (s *session) channelOpen(ctx context.Context, number uint16) error {
	if ch := s.channels[number]; ch != nil {
		return amqp.Errorf(amqp.ChannelError, "second 'channel.open' seen")
	}
	if len(s.channels) >= int(s.channelMax) { // RabbitMQ does not mind a higher number either
		return amqp.Errorf(amqp.NotAllowed, "number of channels opened (%d) has reached the negotiated channel_max (%d)",
			len(s.channels), s.channelMax)
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	ch := &channel{number: number, consumers: map[string]*consumer{}}
	if err := s.link.OpenChannel(ctx, number, &ch.state); err != nil {
		s.fail(ctx, 0, 0, err) // not the method's fault: it is not named
		return nil
	}
	s.epoch++
	ch.epoch = s.epoch
	s.channels[number] = ch
	s.send(number, &amqp.ChannelOpenOK{})
	return nil
}

// channelClose answers the client's channel.close.
func (s *session) channelClose(ctx context.Context, ch *channel) error {
	s.release(ctx, ch)
	s.forgetChannel(ch)
	s.send(ch.number, &amqp.ChannelCloseOK{})
	return nil
}

// closeChannel ends a channel with an exception.
func (s *session) closeChannel(ctx context.Context, ch *channel, x exception, id amqp.MethodID) {
	s.release(ctx, ch)
	ch.closing = true
	s.send(ch.number, &amqp.ChannelClose{
		ReplyCode: uint16(x.code), ReplyText: x.text, ClassID: id.Class(), MethodID: id.Method(),
	})
}

// channelClosing handles a method on a channel whose channel.close awaits its answer.
func (s *session) channelClosing(ch *channel, m amqp.Method) {
	switch m.(type) {
	case *amqp.ChannelCloseOK:
		s.forgetChannel(ch)
	case *amqp.ChannelClose: // both closed at once
		s.send(ch.number, &amqp.ChannelCloseOK{})
	}
}

// forgetChannel makes room for another channel of that number.
func (s *session) forgetChannel(ch *channel) {
	delete(s.channels, ch.number)
	s.link.CloseChannel(ch.number)
}

// release gives back what a channel held.
func (s *session) release(ctx context.Context, ch *channel) {
	s.flushConfirms() // so far all went well
	if len(ch.consumers) > 0 {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		for _, c := range ch.consumers {
			s.forget(c)
			if err := s.link.Cancel(ctx, c.node); err != nil {
				s.log.Warn("cancel failed", "channel", ch.number, "consumer", c.tag, "error", err)
			}
		}
	}
	s.giveBack(ch)
	ch.confirms = nil
	ch.assembly = assembly{}
}

// giveBack returns the deliveries that a channel holds: the client gave up on them, which
// counts as a failed delivery.
func (s *session) giveBack(ch *channel) {
	s.unparkBack(ch, nil)
	ch.unacked.takeAll(func(d held) { s.settleLater(ch, d.c, d.seq, node.Failed) })
	if ch.tx != nil {
		for _, x := range ch.tx.settles {
			s.settleLater(ch, x.d.c, x.d.seq, node.Failed)
		}
		ch.tx = nil
	}
}

// channelFlow answers the client's wish to pause or resume deliveries.
func (s *session) channelFlow(ch *channel, m *amqp.ChannelFlow) error {
	if !m.Active {
		return amqp.Errorf(amqp.NotImplemented, "active=false")
	}
	s.send(ch.number, &amqp.ChannelFlowOK{Active: true})
	return nil
}
