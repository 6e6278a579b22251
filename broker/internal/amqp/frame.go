package amqp

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The types of frame.
const (
	FrameMethod    = 1
	FrameHeader    = 2
	FrameBody      = 3
	FrameHeartbeat = 8
)

const (
	frameEnd = 0xCE
	// FrameMinSize is the smallest frame size that peers may agree on, and the limit
	// until they have.
	FrameMinSize = 4096
	// FrameOverhead is what a frame has around its payload; the agreed size counts it.
	FrameOverhead = frameHeaderBytes + 1

	frameHeaderBytes = 7
	methodIDBytes    = 4
	// frameSlackBytes is by how much a payload may exceed the agreed size: some
	// clients take the agreed size for the payload's.
	frameSlackBytes = 8
)

// Frame is one frame. Payload is a part of the buffer it was found in.
type Frame struct {
	Type    uint8
	Channel uint16
	Payload []byte
}

// Next returns the frame at the front of b and its length on the wire, both zero if b
// does not hold a whole frame yet; need is then how many bytes b must have for the next
// step. sizeMax is the agreed frame size. An error with a length concerns that frame
// only; after one without, nobody knows where the next frame begins.
//
//	0      1         3      7           7+size
//	+------+---------+------+-----------+------+
//	| type | channel | size | payload   | 0xCE |
//	+------+---------+------+-----------+------+
func Next(b []byte, sizeMax uint32) (f Frame, length, need int, err error) {
	if len(b) < frameHeaderBytes {
		return Frame{}, 0, frameHeaderBytes, nil
	}
	size := binary.BigEndian.Uint32(b[3:])
	f = Frame{Type: b[0], Channel: binary.BigEndian.Uint16(b[1:])}
	if payloadMax := sizeMax - FrameOverhead + frameSlackBytes; size > payloadMax {
		return Frame{}, 0, 0, Errorf(FrameError, "type %d, all octets = <<>>: {frame_too_large,%d,%d}", f.Type, size, sizeMax-FrameOverhead)
	}
	length = frameHeaderBytes + int(size) + 1
	if len(b) < length {
		return Frame{}, 0, length, nil
	}
	if end := b[length-1]; end != frameEnd {
		return Frame{}, 0, 0, Errorf(FrameError, "type %d, all octets = %s: {invalid_frame_end_marker,%d}",
			f.Type, octets(b[frameHeaderBytes:length-1]), end)
	}
	f.Payload = b[frameHeaderBytes : length-1 : length-1]
	switch {
	case f.Type == FrameMethod && size >= methodIDBytes, f.Type == FrameHeader && size >= contentHeaderBytes,
		f.Type == FrameBody, f.Type == FrameHeartbeat && size == 0:
		return f, length, 0, nil
	}
	return Frame{}, length, 0, unknownFrame(f.Type, f.Payload)
}

// unknownFrame says that a frame is none. The texts of frame errors are RabbitMQ's.
func unknownFrame(frameType uint8, payload []byte) *Error {
	return Errorf(FrameError, "type %d, all octets = %s: unknown_frame", frameType, octets(payload))
}

// octetsShownMax is how many octets an error text shows: it will be cut anyway.
const octetsShownMax = 100

// octets writes bytes as RabbitMQ's texts do: <<0,50,0,10>>.
func octets(b []byte) string {
	var s strings.Builder
	for i, o := range b[:min(len(b), octetsShownMax)] {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprint(&s, o)
	}
	return "<<" + s.String() + ">>"
}

// BeginFrame appends a frame's start. The caller appends the payload and gives at to
// EndFrame.
func BeginFrame(dst []byte, frameType uint8, channel uint16) (b []byte, at int) {
	at = len(dst)
	return append(dst, frameType, byte(channel>>8), byte(channel), 0, 0, 0, 0), at
}

// EndFrame ends the frame that BeginFrame began.
func EndFrame(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at+3:], uint32(len(dst)-at-frameHeaderBytes))
	return append(dst, frameEnd)
}

// AppendMethod appends a method's frame.
func AppendMethod(dst []byte, channel uint16, m Method) []byte {
	dst, at := BeginFrame(dst, FrameMethod, channel)
	return EndFrame(m.Append(dst), at)
}

// AppendHeartbeat appends a heartbeat.
func AppendHeartbeat(dst []byte) []byte {
	return append(dst, FrameHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd)
}

// AppendBodyStart appends what stands in front of n bytes of body; AppendBodyEnd what
// stands behind them. So a large body need not be copied between the two.
func AppendBodyStart(dst []byte, channel uint16, n int) []byte {
	dst = append(dst, FrameBody, byte(channel>>8), byte(channel))
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// AppendBodyEnd appends the end of a body frame.
func AppendBodyEnd(dst []byte) []byte { return append(dst, frameEnd) }
