// Package protobuf converts payloads that are protocol buffers.
package protobuf

import (
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/warren-mq/warren/libs/stream"
)

// ContentType is the type under which protocol buffers are sent. They are read under application/protobuf and
// application/vnd.google.protobuf, too.
const ContentType = "application/x-protobuf"

// Converter encodes generated messages (pointers, as protoc-gen-go makes them): in the binary format under a protobuf content
// type, as canonical protobuf JSON under a JSON one. Everything else is Next's.
type Converter struct {
	// Next converts payloads that are no protocol buffers; stream.JSON when nil.
	Next stream.Converter
}

var _ stream.Converter = Converter{}

// Encode implements [stream.Converter].
func (c Converter) Encode(v any, contentType string) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return c.next().Encode(v, contentType)
	}
	switch {
	case isProtobuf(contentType):
		return proto.Marshal(m)
	case isJSON(contentType):
		return protojson.Marshal(m)
	}
	return nil, fmt.Errorf("protobuf: %T has no form as %s, use %s or application/json", v, contentType, ContentType)
}

// Decode implements [stream.Converter].
func (c Converter) Decode(data []byte, contentType string, v any) error {
	m, ok := target(v)
	if !ok {
		return c.next().Decode(data, contentType, v)
	}
	switch {
	case isProtobuf(contentType):
		return proto.Unmarshal(data, m)
	case isJSON(contentType):
		return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
	}
	return fmt.Errorf("protobuf: %T cannot be read from %s, only from %s and application/json", m, contentType, ContentType)
}

func (c Converter) next() stream.Converter {
	if c.Next == nil {
		return stream.JSON{}
	}
	return c.Next
}

// target makes the message that v, a pointer to a nil pointer to a generated struct, shall point to. Only reflection knows its
// type here.
func target(v any) (proto.Message, bool) {
	p := reflect.ValueOf(v).Elem()
	if p.Kind() != reflect.Pointer || !p.Type().Implements(reflect.TypeFor[proto.Message]()) {
		return nil, false
	}
	if p.IsNil() {
		p.Set(reflect.New(p.Type().Elem()))
	}
	m, ok := p.Interface().(proto.Message)
	return m, ok
}

func isProtobuf(contentType string) bool {
	switch base(contentType) {
	case ContentType, "application/protobuf", "application/vnd.google.protobuf":
		return true
	}
	return false
}

func isJSON(contentType string) bool {
	b := base(contentType)
	return b == stream.ContentTypeJSON || strings.HasSuffix(b, "+json")
}

func base(contentType string) string {
	b, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(b))
}
