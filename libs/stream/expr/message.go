package expr

import (
	"bytes"
	"encoding/json"
	"math"

	"github.com/warren-mq/warren/libs/stream"
)

// Of returns a message as a Subject. Its payload is decoded when it is asked for first, and once.
func Of(m stream.Raw) Subject { return &message{m: m} }

type message struct {
	m       stream.Raw
	decoded bool
	payload any
}

// Header implements [Subject].
func (s *message) Header(key string) any {
	switch v := s.m.Header(key).(type) {
	case stream.Headers:
		return map[string]any(v)
	default:
		return v
	}
}

// Payload implements [Subject].
func (s *message) Payload() any {
	if s.decoded {
		return s.payload
	}
	s.decoded = true
	d := json.NewDecoder(bytes.NewReader(s.m.Payload))
	d.UseNumber()
	if d.Decode(&s.payload) != nil || d.More() {
		s.payload = string(s.m.Payload)
	}
	return s.payload
}

// Key returns the partition key that e makes of a message: a whole number is an int32 where it fits and an int64 where it does
// not, as it is an Integer or a Long on the other side. An expression that fails makes the error itself, which is no key.
func (e *Expr) Key(m stream.Raw) any {
	v, err := e.Eval(Of(m))
	if err != nil {
		return err
	}
	if n, ok := v.(int64); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
		return int32(n)
	}
	return v
}

// KeySubject is the subject of a partition selector's expression: the key is its payload, and it has no headers.
type KeySubject struct{ Value any }

// Header implements [Subject].
func (KeySubject) Header(string) any { return nil }

// Payload implements [Subject].
func (k KeySubject) Payload() any { return k.Value }
