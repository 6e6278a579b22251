package message

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errPropertiesShort = errors.New("property list ends too early")
	errFlags           = errors.New("property flags have bits that class basic does not define")
)

// walker steps through a raw property list without allocating.
type walker struct {
	flags, todo Flag
	b           []byte
	err         error

	flag  Flag   // the property that next found
	value []byte // its bytes: a short string's or a table's; a table with its length
}

func walk(raw []byte) (walker, error) {
	if len(raw) == 0 {
		return walker{}, nil
	}
	if len(raw) < 2 {
		return walker{}, errPropertiesShort
	}
	f := Flag(binary.BigEndian.Uint16(raw))
	if f&flagsUndefined != 0 {
		return walker{}, errFlags
	}
	return walker{flags: f, todo: f, b: raw[2:]}, nil
}

// next moves to the next property that is present; false at the end and on an error.
func (w *walker) next() bool {
	if w.todo == 0 || w.err != nil {
		return false
	}
	f := HasContentType
	for w.todo&f == 0 {
		f >>= 1
	}
	w.flag = f
	w.todo &^= f
	switch f {
	case HasHeaders:
		var t []byte
		if t, _, w.err = cutLong(w.b); w.err == nil {
			w.cut(4 + len(t))
		}
	case HasDeliveryMode, HasPriority:
		w.cut(1)
	case HasTimestamp:
		w.cut(8)
	default:
		if w.value, w.b, w.err = cutShort(w.b); w.err != nil {
			w.err = errPropertiesShort
		}
	}
	return w.err == nil
}

func (w *walker) cut(n int) {
	if len(w.b) < n {
		w.err = errPropertiesShort
		return
	}
	w.value, w.b = w.b[:n:n], w.b[n:]
}

// end says what was wrong, bytes after the last property included.
func (w *walker) end() error {
	if w.err != nil {
		return w.err
	}
	if len(w.b) > 0 {
		return fmt.Errorf("%d bytes follow the last property", len(w.b))
	}
	return nil
}

// peek returns the bytes of one property, nil if it is absent.
func peek(raw []byte, f Flag) []byte {
	if len(raw) < 2 || Flag(binary.BigEndian.Uint16(raw))&f == 0 {
		return nil
	}
	w, err := walk(raw)
	if err != nil {
		return nil
	}
	for w.next() {
		if w.flag == f {
			return w.value
		}
	}
	return nil
}

// CheckProperties says what is wrong with a raw property list; nil if ParseProperties
// would accept it. It allocates nothing for a good one.
func CheckProperties(raw []byte) error {
	w, err := walk(raw)
	if err != nil {
		return err
	}
	for w.next() {
		if w.flag == HasHeaders {
			if _, err := CheckTable(w.value); err != nil {
				return fmt.Errorf("headers: %w", err)
			}
		}
	}
	return w.end()
}

// PeekFlags returns which properties are present.
func PeekFlags(raw []byte) Flag {
	if len(raw) < 2 {
		return 0
	}
	return Flag(binary.BigEndian.Uint16(raw))
}

// PeekPersistent says if the delivery mode is present and persistent.
func PeekPersistent(raw []byte) bool {
	v := peek(raw, HasDeliveryMode)
	return len(v) == 1 && v[0] == Persistent
}

// PeekPriority returns the priority, if present.
func PeekPriority(raw []byte) (uint8, bool) {
	v := peek(raw, HasPriority)
	if len(v) != 1 {
		return 0, false
	}
	return v[0], true
}

// PeekExpiration returns the expiration's text, if present. It is a part of raw.
func PeekExpiration(raw []byte) ([]byte, bool) {
	v := peek(raw, HasExpiration)
	return v, v != nil
}

// PeekShort returns the bytes of a property that is a short string, if present. They
// are a part of raw.
func PeekShort(raw []byte, f Flag) ([]byte, bool) {
	if (&Properties{}).short(f) == nil {
		return nil, false
	}
	v := peek(raw, f)
	return v, v != nil
}

// PeekHeaders returns the headers' bytes as ParseTable and FindField take them, with
// the length in front; nil if absent. They are a part of raw.
func PeekHeaders(raw []byte) []byte { return peek(raw, HasHeaders) }

// DelayHeader is the header that says, in milliseconds, how long an exchange that delays
// is to keep a message.
const DelayHeader = "x-delay"

// delayMax is the longest delay, about 49.7 days.
const delayMax = 1<<32 - 1

// PeekDelay returns the delay that a message asks for in milliseconds; 0 if it asks for
// none that is possible.
func PeekDelay(raw []byte) int64 {
	v, ok := FindField(PeekHeaders(raw), DelayHeader)
	if !ok {
		return 0
	}
	return Delay(v)
}

// Delay returns what a value of DelayHeader asks for in milliseconds; 0 if it asks for no
// delay that is possible.
func Delay(v any) int64 {
	if n, ok := Integer(v); ok && n > 0 && n <= delayMax {
		return n
	}
	return 0
}
