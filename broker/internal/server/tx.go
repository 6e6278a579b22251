package server

import "github.com/warren-mq/warren/broker/internal/amqp"

// tx refuses transactions: they would hold back a channel's publishes and settles
// without making them atomic, and publisher confirms do what they are used for.
func (s *session) tx(m amqp.Method) error {
	return amqp.Errorf(amqp.NotImplemented, "%s: transactions are not supported, use publisher confirms", m.ID())
}
