package stream

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Converter turns payloads into bytes and back. []byte never reaches it: bytes pass as they are.
type Converter interface {
	Encode(v any, contentType string) ([]byte, error)
	// Decode fills the pointer v.
	Decode(data []byte, contentType string, v any) error
}

// JSON is the default converter: JSON for everything, but strings under a text/* content type are plain UTF-8.
type JSON struct{}

var _ Converter = JSON{}

// Encode implements [Converter].
func (JSON) Encode(v any, contentType string) ([]byte, error) {
	if s, ok := v.(string); ok && isText(contentType) {
		return []byte(s), nil
	}
	return json.Marshal(v)
}

// Decode implements [Converter].
func (JSON) Decode(data []byte, contentType string, v any) error {
	if p, ok := v.(*string); ok && isText(contentType) {
		*p = string(data)
		return nil
	}
	return json.Unmarshal(data, v)
}

func isText(contentType string) bool { return strings.HasPrefix(contentType, "text/") }

// encode converts m to a Raw with the binding's content type as the default, an id and a timestamp.
func encode[T any](c Converter, b Binding, m Message[T]) (Raw, error) {
	m.ContentType = or(m.ContentType, b.ContentType)
	data, ok := any(m.Payload).([]byte)
	if !ok {
		var err error
		if data, err = c.Encode(m.Payload, m.ContentType); err != nil {
			return Raw{}, fmt.Errorf("stream: encode payload for %s: %w", b.Name, err)
		}
	}
	return WithPayload(m, data), nil
}

// decode converts a delivery to a typed message; the error wraps ErrUndecodable.
func decode[T any](c Converter, b Binding, raw Raw) (Message[T], error) {
	raw.ContentType = or(raw.ContentType, b.ContentType)
	m := WithPayload(raw, *new(T))
	if p, ok := any(&m.Payload).(*[]byte); ok {
		*p = raw.Payload
		return m, nil
	}
	if err := c.Decode(raw.Payload, raw.ContentType, &m.Payload); err != nil {
		return m, fmt.Errorf("%w as %s: %w", ErrUndecodable, raw.ContentType, err)
	}
	return m, nil
}

// decodeAll decodes a batch: the messages that can be, where each of them stood, and an error for each of the others.
func decodeAll[T any](c Converter, b Binding, raws []Raw) (ms []Message[T], index []int, errs []error) {
	errs = make([]error, len(raws))
	ms, index = make([]Message[T], 0, len(raws)), make([]int, 0, len(raws))
	for i, raw := range raws {
		m, err := decode[T](c, b, raw)
		if errs[i] = err; err == nil {
			ms, index = append(ms, m), append(index, i)
		}
	}
	return ms, index, errs
}
