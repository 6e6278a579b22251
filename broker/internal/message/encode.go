package message

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Append appends the table's wire form: a four-octet length, then the fields. It
// panics if the table would not pass Check, since the caller built what can't exist.
func (t Table) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, f := range t {
		dst = AppendField(dst, f)
	}
	return patchLength(dst, at)
}

// AppendField appends one field of a table: key, type letter, value.
func AppendField(dst []byte, f Field) []byte {
	return appendValue(AppendShort(dst, f.Key), f.Value)
}

// AppendShort appends a short string: one octet of length, then the bytes. It panics
// if s is longer than 255 bytes.
func AppendShort(dst []byte, s string) []byte {
	if len(s) > shortBytesMax {
		panic(fmt.Sprintf("message: short string of %d bytes: %.40q…", len(s), s))
	}
	return append(append(dst, byte(len(s))), s...)
}

// patchLength writes how many bytes follow the four octets at position at.
func patchLength(dst []byte, at int) []byte {
	n := len(dst) - at - 4
	if n > lengthBytesMax {
		panic(fmt.Sprintf("message: field table of %d bytes", n))
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(n))
	return dst
}

func appendValue(dst []byte, v any) []byte {
	be := binary.BigEndian
	switch v := v.(type) {
	case nil:
		return append(dst, 'V')
	case bool:
		if v {
			return append(dst, 't', 1)
		}
		return append(dst, 't', 0)
	case int8:
		return append(dst, 'b', byte(v))
	case uint8:
		return append(dst, 'B', v)
	case int16:
		return be.AppendUint16(append(dst, 's'), uint16(v))
	case uint16:
		return be.AppendUint16(append(dst, 'u'), v)
	case int32:
		return be.AppendUint32(append(dst, 'I'), uint32(v))
	case uint32:
		return be.AppendUint32(append(dst, 'i'), v)
	case int64:
		return be.AppendUint64(append(dst, 'l'), uint64(v))
	case float32:
		return be.AppendUint32(append(dst, 'f'), math.Float32bits(v))
	case float64:
		return be.AppendUint64(append(dst, 'd'), math.Float64bits(v))
	case Decimal:
		return be.AppendUint32(append(dst, 'D', v.Scale), uint32(v.Value))
	case Timestamp:
		return be.AppendUint64(append(dst, 'T'), uint64(v))
	case string:
		return append(be.AppendUint32(append(dst, 'S'), uint32(len(v))), v...)
	case []byte:
		return append(be.AppendUint32(append(dst, 'x'), uint32(len(v))), v...)
	case Table:
		return v.Append(append(dst, 'F'))
	case []any:
		dst = append(dst, 'A')
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for _, e := range v {
			dst = appendValue(dst, e)
		}
		return patchLength(dst, at)
	default:
		panic(fmt.Sprintf("message: type %T has no form in a field table", v))
	}
}
