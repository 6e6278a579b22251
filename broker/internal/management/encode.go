package management

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// encoder appends JSON to b, as encoding/json writes it with the objects' keys in order.
// It exists for lists of thousands of entries, which tools ask for again and again: the
// keys of every entry go through one slice, and what answers are made of is written
// without reflection.
type encoder struct {
	b    []byte
	keys []string // of the objects that are open, the innermost last
	err  error    // the first
}

// value appends anything.
func (e *encoder) value(v any) {
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "null"...)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case string:
		e.text(v)
	case int:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case uint64:
		e.b = strconv.AppendUint(e.b, v, 10)
	case float64:
		e.float(v)
	case map[string]any:
		e.object(v)
	case []map[string]any:
		list(e, v, e.object)
	case []string:
		list(e, v, e.text)
	default:
		e.other(v)
	}
}

// other leaves a value to encoding/json.
func (e *encoder) other(v any) {
	b, err := json.Marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.b = append(e.b, b...)
}

func (e *encoder) object(m map[string]any) {
	if m == nil {
		e.b = append(e.b, "null"...)
		return
	}
	from := len(e.keys)
	for key := range m {
		e.keys = append(e.keys, key)
	}
	to := len(e.keys)
	slices.Sort(e.keys[from:])
	e.b = append(e.b, '{')
	for i := from; i < to; i++ {
		if i > from {
			e.b = append(e.b, ',')
		}
		key := e.keys[i]
		e.text(key)
		e.b = append(e.b, ':')
		e.value(m[key])
	}
	e.b = append(e.b, '}')
	e.keys = e.keys[:from]
}

func list[T any, S []T](e *encoder, s S, each func(T)) {
	if s == nil {
		e.b = append(e.b, "null"...)
		return
	}
	e.b = append(e.b, '[')
	for i, v := range s {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		each(v)
	}
	e.b = append(e.b, ']')
}

// text appends a string. What would need an escape, in JSON or in HTML, is left to
// encoding/json.
func (e *encoder) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			e.other(s)
			return
		}
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

// float appends a number. Beyond what is written without an exponent, encoding/json does it.
func (e *encoder) float(f float64) {
	const least, most = 1e-6, 1e21
	if abs := math.Abs(f); f == 0 || abs >= least && abs < most {
		e.b = strconv.AppendFloat(e.b, f, 'f', -1, 64)
		return
	}
	e.other(f)
}
