package rabbit

import (
	"fmt"
	"maps"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// shortStringBytesMax is AMQP's limit of routing keys and most properties.
const shortStringBytesMax = 255

// publishing maps a message to AMQP as Spring's DefaultAmqpHeaderMapper does. Its error is final.
func publishing(m stream.Raw, transient bool) (amqp.Publishing, error) {
	headers, err := toTable(m.Headers)
	if err != nil {
		return amqp.Publishing{}, err
	}
	for _, short := range [...]string{
		m.ID, m.Type, m.CorrelationID, m.ContentType, m.ContentEncoding, m.RoutingKey, m.ReplyTo, m.AppID, m.UserID,
	} {
		if len(short) > shortStringBytesMax {
			return amqp.Publishing{}, fmt.Errorf("rabbit: %.20q… has %d bytes, a short string has at most %d", short, len(short), shortStringBytesMax)
		}
	}
	mode := amqp.Persistent
	if transient {
		mode = amqp.Transient
	}
	if m.Delay > 0 {
		headers = maps.Clone(headers)
		headers[headerDelay] = m.Delay.Milliseconds()
	}
	return amqp.Publishing{
		Headers: headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: mode, Priority: m.Priority,
		CorrelationId: m.CorrelationID, ReplyTo: m.ReplyTo, Expiration: expiration(m.TTL), MessageId: m.ID, Timestamp: m.Timestamp,
		Type: m.Type, UserId: m.UserID, AppId: m.AppID, Body: m.Payload,
	}, nil
}

// Headers that are no headers of the application.
const (
	headerDelay               = "x-delay"
	headerOriginalContentType = "originalContentType" // of Spring Cloud Stream 1
)

// received maps a delivery to a message.
func received(d *amqp.Delivery, queue string, b stream.Binding) stream.Raw {
	m := stream.Raw{
		ID: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, CorrelationID: d.CorrelationId, ContentType: d.ContentType,
		ContentEncoding: d.ContentEncoding, ReplyTo: d.ReplyTo, AppID: d.AppId, UserID: d.UserId, Priority: d.Priority,
		TTL: parseExpiration(d.Expiration), Headers: fromTable(d.Headers), Payload: d.Body,
		Delivery: stream.Delivery{
			Exchange: d.Exchange, RoutingKey: d.RoutingKey, Queue: queue, ConsumerTag: d.ConsumerTag, Tag: d.DeliveryTag,
			Transient: d.DeliveryMode == amqp.Transient, Redelivered: d.Redelivered, Count: count(d.Headers["x-delivery-count"]),
		},
	}
	if b.Consumer.Partitioned {
		m.Delivery.Partition = b.Consumer.InstanceIndex
	}
	if ms, ok := m.Headers.Int(headerDelay); ok {
		m.Delay = time.Duration(max(ms, -ms)) * time.Millisecond // the exchange turns its sign when it has waited
		delete(m.Headers, headerDelay)
	}
	switch m.ContentType {
	case stream.ContentTypeBytes, "application/x-java-object":
		m.ContentType = orDefault(m.Headers.String(headerOriginalContentType), m.ContentType)
	}
	return stream.Returned(m)
}

func count(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	}
	return 0
}

// toTable is h itself when AMQP has a type for all that is in it, else a copy. Nil becomes an empty table.
func toTable(h stream.Headers) (amqp.Table, error) {
	t, shared := amqp.Table(h), true
	if h == nil {
		t = amqp.Table{}
	}
	for k, v := range h {
		switch v.(type) {
		case string, bool, int32, int64, float64:
			continue
		}
		f, err := toField(v)
		if err != nil {
			return nil, fmt.Errorf("rabbit: header %s: %w", k, err)
		}
		if shared {
			t, shared = maps.Clone(t), false
		}
		t[k] = f
	}
	return t, nil
}

// toField keeps what AMQP has a type for. A Go string becomes a long string, which every peer reads.
func toField(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, []byte, int8, int16, int32, int64, float32, float64, time.Time, amqp.Decimal:
		return v, nil
	case int:
		return int64(v), nil
	case uint8:
		return int16(v), nil
	case uint16:
		return int32(v), nil
	case uint32:
		return int64(v), nil
	case time.Duration:
		return v.Milliseconds(), nil
	case fmt.Stringer:
		return v.String(), nil
	case stream.Headers:
		return toTable(v)
	case map[string]any:
		return toTable(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			f, err := toField(e)
			if err != nil {
				return nil, err
			}
			list[i] = f
		}
		return list, nil
	}
	return nil, fmt.Errorf("%T has no AMQP field type", v)
}

// fromTable is t itself, as nobody else has it, with small integers made wide.
func fromTable(t amqp.Table) stream.Headers {
	if t == nil {
		return stream.Headers{}
	}
	for k, v := range t {
		switch v.(type) {
		case string, bool, int32, int64, float64:
		default:
			t[k] = fromField(v)
		}
	}
	return stream.Headers(t)
}

// fromField widens small integers, so that a reader has two cases instead of eight.
func fromField(v any) any {
	switch v := v.(type) {
	case int8:
		return int32(v)
	case uint8:
		return int32(v)
	case int16:
		return int32(v)
	case uint16:
		return int32(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case amqp.Table:
		return fromTable(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = fromField(e)
		}
		return list
	}
	return v
}
