package amqp

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/warren-mq/warren/broker/internal/message"
)

// namesMax limits the strings that a decoder keeps; beyond it the decoder forgets all.
const namesMax = 512

// Decoder decodes methods. It keeps the short strings it has seen, since a connection
// repeats its few exchanges, routing keys and tags, and it reuses the methods that come
// with each message: they allocate nothing. Not for concurrent use.
type Decoder struct {
	kept  kept
	names map[string]string
	r     reader // here and not on the stack of Method, where it would be allocated
}

// NewDecoder returns a decoder.
func NewDecoder() *Decoder { return &Decoder{names: map[string]string{}} }

type readMethod interface {
	Method
	read(r *reader)
}

// Method decodes a method frame's payload. The method may be overwritten by the next
// call; its strings and tables stay, and share no memory with payload.
func (d *Decoder) Method(payload []byte) (Method, error) {
	if len(payload) < methodIDBytes {
		return nil, unknownFrame(FrameMethod, payload)
	}
	id := MethodID(binary.BigEndian.Uint32(payload))
	m := d.kept.place(id)
	if m == nil {
		return nil, &Error{Code: CommandInvalid, Text: "unknown method " + id.String(), Method: id}
	}
	r := &d.r
	*r = reader{b: payload[4:], d: d}
	m.read(r)
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	switch {
	case r.err == nil:
		return m, nil
	case r.err == errUTF8: //nolint:errorlint // never wrapped
		return nil, Errorf(FrameError, "%s", r.err)
	case r.err == errEarly || r.err == errTrailing: //nolint:errorlint // never wrapped
		return nil, &Error{Code: FrameError, Text: "cannot decode " + octets(payload[4:]), Method: id}
	}
	return nil, &Error{Code: SyntaxError, Text: id.String() + ": " + r.err.Error(), Method: id}
}

// name returns b as a string, the same one for the same bytes as far as possible.
func (d *Decoder) name(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	if len(d.names) >= namesMax {
		clear(d.names)
	}
	s := string(b)
	if !utf8.ValidString(s) && d.r.err == nil {
		d.r.err = errUTF8
		return ""
	}
	d.names[s] = s
	return s
}

var (
	errEarly    = errors.New("arguments end too early")
	errTrailing = errors.New("bytes follow the last argument")
	errUTF8     = errors.New("Malformed UTF-8 in shortstr") //nolint:staticcheck // it goes to the client as it stands
)

// reader reads a method's arguments. After the first error it returns zero values.
type reader struct {
	b      []byte
	d      *Decoder
	octets uint8 // the octet that bit looks at
	err    error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.b) < n {
		if r.err == nil {
			r.err = errEarly
		}
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) octet() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// bits reads the octet that the following bits share.
func (r *reader) bits() { r.octets = r.octet() }

func (r *reader) bit(n uint) bool { return r.octets>>n&1 == 1 }

func (r *reader) short() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) long() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) longlong() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) shortstr() string {
	return r.d.name(r.take(int(r.octet())))
}

func (r *reader) longstr() string {
	n := r.long()
	if uint64(n) > uint64(len(r.b)) {
		n = uint32(len(r.b)) + 1 // take reports it
	}
	return string(r.take(int(n)))
}

func (r *reader) table() message.Table {
	if r.err != nil {
		return nil
	}
	if len(r.b) < 4 || uint64(len(r.b)-4) < uint64(binary.BigEndian.Uint32(r.b)) {
		r.err = errEarly
		return nil
	}
	var t message.Table
	t, r.b, r.err = message.ParseTable(r.b)
	return t
}
