package server

import (
	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
)

// assembly puts a publish together: method, content header, any number of body frames.
// The body is copied once, from the read buffer into memory of its own.
type assembly struct {
	stage     stage
	mandatory bool
	msg       *message.Message
	want      int // bytes of body
}

type stage uint8

const (
	idle       stage = iota
	wantHeader       // basic.publish was seen
	wantBody         // and its header
)

// open says that the next frame on the channel must be content.
func (a *assembly) open() bool { return a.stage != idle }

// begin starts with the method.
func (a *assembly) begin(m *amqp.BasicPublish) {
	*a = assembly{
		stage: wantHeader, mandatory: m.Mandatory,
		msg: &message.Message{Exchange: m.Exchange, RoutingKey: m.RoutingKey},
	}
}

// add takes a content frame, and says if the message is complete.
func (a *assembly) add(f amqp.Frame, bytesMax int) (complete bool, err error) {
	switch {
	case f.Type == amqp.FrameHeader && a.stage == wantHeader:
		err = a.header(f.Payload, bytesMax)
	case f.Type == amqp.FrameBody && a.stage == wantBody:
		err = a.body(f.Payload)
	default:
		err = a.unexpected()
	}
	return err == nil && a.stage == wantBody && len(a.msg.Body) == a.want, err
}

// unexpected is the error for a frame that does not come next.
func (a *assembly) unexpected() error {
	switch a.stage {
	case wantHeader:
		return amqp.ErrHeaderExpected
	case wantBody:
		return errBodyExpected
	default:
		return errMethodExpected
	}
}

// What a client is told whose frames come in a wrong order.
var (
	errBodyExpected   = amqp.Errorf(amqp.UnexpectedFrame, "expected content body, got non content body frame instead")
	errMethodExpected = amqp.Errorf(amqp.UnexpectedFrame, "expected method frame, got non method frame instead")
)

// bodyBytesCeiling is the size beyond which a message ends the connection: nobody means it.
const bodyBytesCeiling = 512 << 20

func (a *assembly) header(payload []byte, bytesMax int) error {
	c, err := amqp.ParseContent(payload)
	if err != nil {
		return err
	}
	if c.Class != amqp.ClassBasic {
		return amqp.Errorf(amqp.UnexpectedFrame, "expected content header for class %d, got one for class %d instead", amqp.ClassBasic, c.Class)
	}
	if c.BodySize > bodyBytesCeiling {
		return amqp.Errorf(amqp.FrameError, "content body size %d exceeds maximum allowed size %d", c.BodySize, bodyBytesCeiling)
	}
	if c.BodySize > uint64(bytesMax) {
		return fault.New(fault.PreconditionFailed, "message size %d is larger than configured max size %d", c.BodySize, bytesMax)
	}
	a.stage, a.want = wantBody, int(c.BodySize)
	// A small message is one allocation with its properties. A large body gets its own
	// when it begins to arrive: a promise alone costs no memory.
	n := len(c.Properties)
	buf := make([]byte, n, n+a.small())
	copy(buf, c.Properties)
	a.msg.Properties, a.msg.Body = buf[:n:n], buf[n:]
	return nil
}

// small returns the body's size if it is so small that it can be allocated in advance.
func (a *assembly) small() int {
	if a.want <= bodyCopyBytesMax {
		return a.want
	}
	return 0
}

func (a *assembly) body(payload []byte) error {
	if got := len(a.msg.Body) + len(payload); got > a.want {
		return amqp.Errorf(amqp.FrameError, "content body frame exceeds remaining content size")
	}
	if cap(a.msg.Body) < a.want {
		a.msg.Body = make([]byte, 0, a.want)
	}
	a.msg.Body = append(a.msg.Body, payload...)
	return nil
}

// take ends the assembly and returns the message.
func (a *assembly) take() (m *message.Message, mandatory bool) {
	m, mandatory = a.msg, a.mandatory
	*a = assembly{}
	return m, mandatory
}
