package stream

import (
	"maps"
	"time"

	"github.com/google/uuid"
)

// Content types that the default [JSON] converter knows.
const (
	ContentTypeJSON  = "application/json"
	ContentTypeText  = "text/plain"
	ContentTypeBytes = "application/octet-stream"
)

// Headers are the application's headers of a message. Values that every binder carries unchanged: string, bool, int32, int64,
// float64, []byte, time.Time (whole seconds), nil, Headers and []any of these. Keys are case-sensitive.
type Headers map[string]any

// String returns the header as text: a string as it is, bytes as UTF-8, and "" for anything else or a missing key.
func (h Headers) String(key string) string {
	switch v := h[key].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

// Int returns the header as a number: any integer type, and false for anything else or a missing key.
func (h Headers) Int(key string) (int64, bool) {
	switch v := h[key].(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

// Clone returns a copy that shares no map with h. The copy is never nil.
func (h Headers) Clone() Headers {
	if h == nil {
		return Headers{}
	}
	return maps.Clone(h)
}

// Message is a payload with what travels beside it.
type Message[T any] struct {
	// ID names the message for ever: a resend, a redelivery and a dead letter keep it. UUIDv7; set on send when empty.
	ID string
	// Timestamp is when the message was made; set on send when zero. On the wire it has whole seconds.
	Timestamp time.Time
	// Type names the kind of the payload, for example "OrderPlaced". Optional.
	Type string
	// CorrelationID ties a message to a conversation, for example an order id. Optional.
	CorrelationID string
	// ContentType of the encoded payload; the binding's when empty.
	ContentType string
	// ContentEncoding says how the encoded payload is packed, "gzip" for example. Bindings that compress set it themselves.
	ContentEncoding string
	// RoutingKey overrides the producer's routing key. Ignored on a received message: see Delivery.RoutingKey.
	RoutingKey string
	// ReplyTo names a queue for answers. Optional.
	ReplyTo string
	// AppID names the sending application. Optional.
	AppID string
	// UserID must be the connection's user when set: the broker verifies it. Optional.
	UserID string
	// Priority, 0 to 255, orders a queue that was declared with MaxPriority.
	Priority uint8
	// TTL, when positive, is how long the message may wait in a queue. Milliseconds on the wire.
	TTL time.Duration
	// Delay, when positive, holds the message back at an exchange that was declared with DelayedExchange. Milliseconds on the wire.
	// On a received message it is the delay that it had.
	Delay time.Duration
	// Headers of the application. Trace headers are added by the instrumentation, never by hand.
	Headers Headers
	// Payload is the value itself.
	Payload T
	// Delivery tells how a received message came; zero on a message to send.
	Delivery Delivery
}

// Raw is a message as a binder sees it: the payload encoded.
type Raw = Message[[]byte]

// Delivery describes one hand-over of a message to a consumer.
type Delivery struct {
	Exchange    string // where the message was published
	RoutingKey  string // with which key
	Queue       string // from which queue it came
	ConsumerTag string
	Tag         uint64 // the delivery tag, valid on its channel only
	Transient   bool   // it was published as one that a broker's restart may lose
	Redelivered bool   // the broker says somebody may have seen it before
	Count       int    // earlier deliveries that failed, when the broker counts them (x-delivery-count of a quorum queue)
	Attempt     int    // 1 on the first in-process attempt, up to MaxAttempts
	Retries     int    // how often the message went through a retry queue, see DelayedRetry
	BatchSize   int    // messages that the producer had put into one, when this was one of them
	LastInBatch bool   // it is the last of those
	Partition   int    // index of the partition consumed, when Partitioned

	settle *settlement // of AckManual
}

// NewMessage returns a message with a fresh id and the time of now.
func NewMessage[T any](payload T) Message[T] {
	return Message[T]{ID: NewID(), Timestamp: time.Now(), Headers: Headers{}, Payload: payload}
}

// NewID returns a new UUIDv7 as text: unique, and sortable by the time it was made.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// WithPayload returns m around another payload: id, time, headers and delivery stay.
func WithPayload[A, B any](m Message[A], payload B) Message[B] {
	return Message[B]{
		ID: m.ID, Timestamp: m.Timestamp, Type: m.Type, CorrelationID: m.CorrelationID, ContentType: m.ContentType,
		ContentEncoding: m.ContentEncoding, RoutingKey: m.RoutingKey, ReplyTo: m.ReplyTo, AppID: m.AppID, UserID: m.UserID,
		Priority: m.Priority, TTL: m.TTL, Delay: m.Delay, Headers: m.Headers, Payload: payload, Delivery: m.Delivery,
	}
}
