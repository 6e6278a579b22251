// Package message holds the unit that the broker moves: a body, the address it was
// published to and its properties, together with AMQP's field tables, which messages,
// declarations and bindings share. It has no state and does no I/O.
package message

// Message is one message as a client published it. It is immutable once published:
// every queue and every consumer shares the same value.
type Message struct {
	// Exchange and RoutingKey are where it was published to; each at most 255 bytes.
	Exchange, RoutingKey string
	// Properties is the content header's flags and property list exactly as they came,
	// kept raw so that nothing is lost or encoded twice. Empty means no properties.
	// CheckProperties has accepted it.
	Properties []byte
	// Body is the content, opaque to the broker.
	Body []byte
	// Died says that header x-death is the broker's own account; a client's is not
	// believed.
	Died bool
}

// Size returns the bytes that the message holds, as limits and statistics count them.
func (m *Message) Size() int {
	return len(m.Exchange) + len(m.RoutingKey) + len(m.Properties) + len(m.Body)
}
