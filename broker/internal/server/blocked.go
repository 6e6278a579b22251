package server

import (
	"bytes"
	"context"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// A connection that publishes while the broker runs out of something is blocked: its
// publishes wait here, and on their channels all that comes after them, but for the
// acknowledgements, which make room. Past parkedBytesMax its socket is read no more.

// block begins or, with reason "", ends it.
func (s *session) block(ctx context.Context, reason string) {
	s.alarm = reason
	if reason != "" {
		return // the client hears of it when it publishes
	}
	if s.toldBlocked {
		s.toldBlocked = false
		s.send(0, &amqp.ConnectionUnblocked{})
	}
	frames := s.parked
	s.parked, s.parkedBytes = nil, 0
	clear(s.parking)
	for _, f := range frames {
		if s.ended || s.closing {
			return
		}
		s.handle(ctx, f)
	}
}

// jammed says that no more may be read.
func (s *session) jammed() bool { return s.parkedBytes > parkedBytesMax }

// parks takes a frame that has to wait; false if it has not.
func (s *session) parks(f amqp.Frame) bool {
	if f.Channel == 0 || s.closing || s.alarm == "" {
		return false
	}
	if ch := s.channels[f.Channel]; ch == nil || ch.closing {
		return false
	}
	id := methodOf(f)
	if _, behind := s.parking[f.Channel]; behind {
		if id == amqp.IDBasicAck || id == amqp.IDBasicNack || id == amqp.IDBasicReject {
			return false
		}
	} else if id != amqp.IDBasicPublish {
		return false
	}
	if s.parking == nil {
		s.parking = map[uint16]struct{}{}
	}
	s.parking[f.Channel] = struct{}{}
	f.Payload = bytes.Clone(f.Payload) // the read buffer is used again
	s.parked = append(s.parked, f)
	s.parkedBytes += len(f.Payload) + amqp.FrameOverhead
	if s.blockedNotify && !s.toldBlocked {
		s.toldBlocked = true
		s.send(0, &amqp.ConnectionBlocked{Reason: s.alarm})
	}
	return true
}

// methodOf returns a method frame's method, 0 for other frames.
func methodOf(f amqp.Frame) amqp.MethodID {
	if f.Type != amqp.FrameMethod || len(f.Payload) < 4 {
		return 0
	}
	return amqp.MethodID(uint32(f.Payload[0])<<24 | uint32(f.Payload[1])<<16 | uint32(f.Payload[2])<<8 | uint32(f.Payload[3]))
}
