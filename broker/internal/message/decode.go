package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	errShort = errors.New("field table ends too early")
	errDepth = fmt.Errorf("tables are nested deeper than %d levels", tableDepthMax)
)

// ParseTable reads a table with its length from the front of b and returns what
// follows it. The result shares no memory with b. An empty table is nil.
func ParseTable(b []byte) (t Table, rest []byte, err error) {
	body, rest, err := cutLong(b)
	if err != nil {
		return nil, nil, err
	}
	t, err = parseFields(body, 1)
	return t, rest, err
}

// ParseFields reads a table without the length in front: all of b are its fields.
func ParseFields(b []byte) (Table, error) { return parseFields(b, 1) }

// CheckTable says what is wrong with the table at the front of b, and returns what
// follows it. It allocates nothing for a good table.
func CheckTable(b []byte) (rest []byte, err error) {
	body, rest, err := cutLong(b)
	if err != nil {
		return nil, err
	}
	return rest, skipFields(body, 1)
}

// FindField returns the first field of that key in the table at the front of b,
// decoding nothing else. ok is false if there is none or if the table is malformed.
func FindField(b []byte, key string) (value any, ok bool) {
	body, _, err := cutLong(b)
	for err == nil && len(body) > 0 {
		var k []byte
		if k, body, err = cutShort(body); err != nil {
			break
		}
		if string(k) == key {
			value, _, err = parseValue(body, 1)
			return value, err == nil
		}
		body, err = skipValue(body, 1)
	}
	return nil, false
}

func parseFields(b []byte, depth int) (Table, error) {
	if depth > tableDepthMax {
		return nil, errDepth
	}
	var t Table
	for len(b) > 0 {
		k, r, err := cutShort(b)
		if err != nil {
			return nil, err
		}
		key := string(k)
		v, r, err := parseValue(r, depth)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", key, err)
		}
		t, b = append(t, Field{Key: key, Value: v}), r
	}
	return t, nil
}

// width holds the size of each type of fixed size, by its letter, plus one: 0 marks the
// letters that are none.
var width = [256]uint8{
	'V': 1, 't': 2, 'b': 2, 'B': 2, 's': 3, 'u': 3, 'I': 5, 'i': 5, 'f': 5,
	'D': 6, 'l': 9, 'd': 9, 'T': 9,
}

// cutValue splits a value of fixed size, or the content of a value with a length, from
// the front of b.
func cutValue(b []byte) (letter byte, content, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, nil, errShort
	}
	letter, b = b[0], b[1:]
	if w := width[letter]; w > 0 {
		n := int(w - 1)
		if len(b) < n {
			return 0, nil, nil, errShort
		}
		return letter, b[:n], b[n:], nil
	}
	switch letter {
	case 'S', 'x', 'A', 'F':
		content, rest, err = cutLong(b)
		return letter, content, rest, err
	}
	return 0, nil, nil, fmt.Errorf("unknown field type %q", letter)
}

func parseValue(b []byte, depth int) (v any, rest []byte, err error) {
	letter, c, rest, err := cutValue(b)
	if err != nil {
		return nil, nil, err
	}
	be := binary.BigEndian
	switch letter {
	case 'V':
	case 't':
		v = c[0] != 0
	case 'b':
		v = int8(c[0])
	case 'B':
		v = c[0]
	case 's':
		v = int16(be.Uint16(c))
	case 'u':
		v = be.Uint16(c)
	case 'I':
		v = int32(be.Uint32(c))
	case 'i':
		v = be.Uint32(c)
	case 'l':
		v = int64(be.Uint64(c))
	case 'f':
		v = math.Float32frombits(be.Uint32(c))
	case 'd':
		v = math.Float64frombits(be.Uint64(c))
	case 'D':
		v = Decimal{Scale: c[0], Value: int32(be.Uint32(c[1:]))}
	case 'T':
		v = Timestamp(be.Uint64(c))
	case 'S':
		v = string(c)
	case 'x':
		v = append([]byte{}, c...)
	case 'A':
		v, err = parseArray(c, depth+1)
	case 'F':
		v, err = parseFields(c, depth+1)
	}
	return v, rest, err
}

func parseArray(b []byte, depth int) ([]any, error) {
	if depth > tableDepthMax {
		return nil, errDepth
	}
	a := []any{}
	for len(b) > 0 {
		v, r, err := parseValue(b, depth)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(a), err)
		}
		a, b = append(a, v), r
	}
	return a, nil
}

func skipFields(b []byte, depth int) error {
	if depth > tableDepthMax {
		return errDepth
	}
	for len(b) > 0 {
		key, r, err := cutShort(b)
		if err != nil {
			return err
		}
		if b, err = skipValue(r, depth); err != nil {
			return fmt.Errorf("field %q: %w", key, err)
		}
	}
	return nil
}

func skipValue(b []byte, depth int) (rest []byte, err error) {
	letter, c, rest, err := cutValue(b)
	if err != nil {
		return nil, err
	}
	switch letter {
	case 'F':
		return rest, skipFields(c, depth+1)
	case 'A':
		if depth+1 > tableDepthMax {
			return nil, errDepth
		}
		for len(c) > 0 {
			if c, err = skipValue(c, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return rest, nil
}

// cutShort splits a short string from the front of b.
func cutShort(b []byte) (s, rest []byte, err error) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, errShort
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], nil
}

// cutLong splits a value with a four-octet length from the front of b.
func cutLong(b []byte) (s, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := uint64(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n > uint64(len(b)) {
		return nil, nil, fmt.Errorf("length of %d bytes exceeds the %d that are left", n, len(b))
	}
	return b[:n:n], b[n:], nil
}
