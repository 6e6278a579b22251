package brokertest

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Dial opens a client connection and a channel of it. The connection is closed when the
// test ends, unless the test does that before.
func Dial(t testing.TB, url string) (*amqp.Connection, *amqp.Channel) {
	t.Helper()
	c, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return c, ch
}
