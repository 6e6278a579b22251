// Package amqp is the wire codec of AMQP 0-9-1 with RabbitMQ's extensions: frames,
// methods, content headers, reply codes. It keeps no connection state and does no I/O:
// it works on byte slices that the caller has read or will write. The methods come from
// the protocol's XML.
package amqp

//go:generate go run ./gen

import (
	"bytes"
	"errors"
	"fmt"
)

// Code is a reply code.
type Code uint16

// ReplySuccess is the code of a close without an error.
const ReplySuccess Code = 200

// String returns the code's name as reply texts begin with it: NOT_FOUND.
func (c Code) String() string {
	if n, ok := codeNames[c]; ok {
		return n
	}
	return fmt.Sprintf("CODE_%d", uint16(c))
}

// Hard says if an error of that code ends the connection; others end the channel.
func (c Code) Hard() bool { return hardCodes[c] }

// Error is a violation of the protocol, or a refusal in its terms.
type Error struct {
	Code Code
	Text string
	// Method is the one that failed; 0 if none did.
	Method MethodID
}

// Error returns the reply text: the code's name, a dash and the text.
func (e *Error) Error() string { return e.Code.String() + " - " + e.Text }

// Errorf returns an Error.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Text: fmt.Sprintf(format, args...)}
}

// MethodID is class << 16 | method.
type MethodID uint32

// Class returns the class's number.
func (id MethodID) Class() uint16 { return uint16(id >> 16) }

// Method returns the method's number within its class.
func (id MethodID) Method() uint16 { return uint16(id) }

// String returns the specification's name: basic.publish.
func (id MethodID) String() string {
	if n, ok := methodNames[id]; ok {
		return n
	}
	return fmt.Sprintf("%d.%d", id.Class(), id.Method())
}

// Method is a decoded method, or one to encode.
type Method interface {
	ID() MethodID
	Append(dst []byte) []byte
}

// ClassBasic is the one class whose methods carry content.
const ClassBasic = 60

// Header is the protocol header, which opens a connection: the client sends it, and the
// server answers with it to a client that asked for another version.
var header = [8]byte{'A', 'M', 'Q', 'P', 0, 0, 9, 1}

// HeaderBytes is the length of the protocol header.
const HeaderBytes = len(header)

// Header returns the protocol header of 0-9-1.
func Header() [HeaderBytes]byte { return header }

// CheckHeader says why b, of HeaderBytes, opens no AMQP 0-9-1 connection; nil if it does.
// It also takes the header of 0-9, whose clients speak the same.
func CheckHeader(b []byte) error {
	switch {
	case bytes.Equal(b, header[:]), bytes.Equal(b, []byte("AMQP\x01\x01\x00\x09")):
		return nil
	case bytes.HasPrefix(b, []byte("AMQP")):
		return fmt.Errorf("protocol version %d %d %d %d is not supported, only AMQP 0-9-1", b[4], b[5], b[6], b[7])
	case bytes.HasPrefix(b, []byte("GET ")), bytes.HasPrefix(b, []byte("POST ")), bytes.HasPrefix(b, []byte("HEAD ")):
		return errors.New("the client speaks HTTP, this port AMQP 0-9-1")
	case b[0] == 0x16 && b[1] == 0x03:
		return errors.New("the client speaks TLS, this port plain AMQP 0-9-1")
	}
	return fmt.Errorf("the client sent %q, no AMQP protocol header", b)
}
