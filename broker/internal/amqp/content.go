package amqp

import (
	"encoding/binary"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Content is a content header.
type Content struct {
	Class    uint16
	BodySize uint64
	// Properties is the flags and the property list, a part of the frame; they have
	// passed message.CheckProperties.
	Properties []byte
}

// ParseContent reads a content header frame's payload.
//
//	0       2        4           12      14
//	+-------+--------+-----------+-------+-----------------+
//	| class | weight | body size | flags | property list   |
//	+-------+--------+-----------+-------+-----------------+
func ParseContent(payload []byte) (Content, error) {
	if len(payload) < contentHeaderBytes {
		return Content{}, unknownFrame(FrameHeader, payload)
	}
	be := binary.BigEndian
	c := Content{Class: be.Uint16(payload), BodySize: be.Uint64(payload[4:]), Properties: payload[12:]}
	if weight := be.Uint16(payload[2:]); weight != 0 {
		return Content{}, ErrHeaderExpected
	}
	if err := message.CheckProperties(c.Properties); err != nil {
		return Content{}, Errorf(SyntaxError, "content header: %s", err)
	}
	return c, nil
}

// contentHeaderBytes is the least a content header's payload may have.
const contentHeaderBytes = 14

// ErrHeaderExpected is what a client is told whose publish goes on with another frame.
var ErrHeaderExpected = Errorf(UnexpectedFrame, "expected content header for class %d, got non content header frame instead", ClassBasic)

// noProperties is the wire form of an empty property list.
var noProperties = []byte{0, 0}

// AppendContentStart appends a content header frame up to the properties: the caller
// appends those and gives at to EndFrame.
func AppendContentStart(dst []byte, channel uint16, bodySize int) (b []byte, at int) {
	dst, at = BeginFrame(dst, FrameHeader, channel)
	dst = append(dst, 0, ClassBasic, 0, 0)
	return binary.BigEndian.AppendUint64(dst, uint64(bodySize)), at
}

// AppendContent appends a content header frame. No properties at all count as an empty
// list.
func AppendContent(dst []byte, channel uint16, bodySize int, properties []byte) []byte {
	dst, at := AppendContentStart(dst, channel, bodySize)
	if len(properties) == 0 {
		properties = noProperties
	}
	return EndFrame(append(dst, properties...), at)
}
