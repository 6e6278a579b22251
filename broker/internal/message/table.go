package message

import (
	"bytes"
	"fmt"
)

// Limits of a field table.
const (
	tableDepthMax  = 32  // tables and arrays inside one another
	shortBytesMax  = 255 // a key or a short string: its length is one octet
	lengthBytesMax = 1<<31 - 1
)

// Field is one entry of a table. Value holds one of the types that Table lists.
type Field struct {
	Key   string
	Value any
}

// Table is an AMQP field table, in the order it was written. A value is one of:
//
//	nil                                          V  void
//	bool                                         t
//	int8, uint8, int16, uint16, int32, uint32    b B s u I i
//	int64                                        l
//	float32, float64                             f d
//	Decimal                                      D
//	string                                       S  long string
//	[]byte                                       x  byte array
//	[]any                                        A  array of these types
//	Timestamp                                    T
//	Table                                        F
//
// The letters are those that RabbitMQ and its clients use, not those of the 0-9-1 PDF.
type Table []Field

// Decimal is Value / 10^Scale.
type Decimal struct {
	Scale uint8
	Value int32
}

// Timestamp is in seconds since 1970.
type Timestamp int64

// Get returns the value of the first field with that key.
func (t Table) Get(key string) (any, bool) {
	for i := range t {
		if t[i].Key == key {
			return t[i].Value, true
		}
	}
	return nil, false
}

// Set returns a table with that field: in the place of an older value, else at the end.
// t itself stays as it was.
func (t Table) Set(key string, value any) Table {
	out := make(Table, len(t), len(t)+1)
	copy(out, t)
	for i := range out {
		if out[i].Key == key {
			out[i].Value = value
			return out
		}
	}
	return append(out, Field{Key: key, Value: value})
}

// Without returns a table that lacks the key. t itself stays as it was.
func (t Table) Without(key string) Table {
	if _, ok := t.Get(key); !ok {
		return t
	}
	out := make(Table, 0, len(t)-1)
	for _, f := range t {
		if f.Key != key {
			out = append(out, f)
		}
	}
	return out
}

// Equal says if both tables hold the same fields in the same order, types included.
func (t Table) Equal(o Table) bool {
	if len(t) != len(o) {
		return false
	}
	return bytes.Equal(t.Append(nil), o.Append(nil))
}

// Check says what in the table can't be encoded: a type that AMQP lacks, a key longer
// than 255 bytes, too deep a nesting. Tables that ParseTable made always pass; call it
// for tables from other sources (definitions, HTTP).
func (t Table) Check() error { return t.check(1) }

func (t Table) check(depth int) error {
	if depth > tableDepthMax {
		return fmt.Errorf("tables are nested deeper than %d levels", tableDepthMax)
	}
	for _, f := range t {
		if len(f.Key) > shortBytesMax {
			return fmt.Errorf("table key of %d bytes is longer than %d", len(f.Key), shortBytesMax)
		}
		if err := checkGo(f.Value, depth); err != nil {
			return fmt.Errorf("field %q: %w", f.Key, err)
		}
	}
	return nil
}

func checkGo(v any, depth int) error {
	switch v := v.(type) {
	case nil, bool, int8, uint8, int16, uint16, int32, uint32, int64, float32, float64,
		Decimal, Timestamp:
		return nil
	case string:
		return checkLength(len(v))
	case []byte:
		return checkLength(len(v))
	case Table:
		return v.check(depth + 1)
	case []any:
		if depth+1 > tableDepthMax {
			return fmt.Errorf("tables are nested deeper than %d levels", tableDepthMax)
		}
		for i, e := range v {
			if err := checkGo(e, depth+1); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	default:
		return fmt.Errorf("type %T has no form in a field table", v)
	}
}

func checkLength(n int) error {
	if n > lengthBytesMax {
		return fmt.Errorf("value of %d bytes is longer than %d", n, lengthBytesMax)
	}
	return nil
}

// Integer returns the value of any of AMQP's integer types.
func Integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// TypeName returns what RabbitMQ calls the type of a table's value in its texts.
func TypeName(v any) string {
	switch v.(type) {
	case bool:
		return "bool"
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case []any:
		return "array"
	case Table:
		return "table"
	case Timestamp:
		return "timestamp"
	case Decimal:
		return "decimal"
	}
	return "void"
}
