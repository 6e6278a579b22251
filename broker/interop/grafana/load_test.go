package grafana_test

import (
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// deadline is how long a client waits for anything.
const deadline = 20 * time.Second

// client is one whose calls end the test if they fail.
type client struct {
	t          *testing.T
	connection *amqp.Connection
	channel    *amqp.Channel
}

func newClient(t *testing.T, n *brokertest.Node) *client {
	t.Helper()
	connection, channel := brokertest.Dial(t, n.URL())
	c := &client{t, connection, channel}
	c.must(channel.Confirm(false))
	return c
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) declare(queue string, args amqp.Table) {
	c.t.Helper()
	_, err := c.channel.QueueDeclare(queue, true, false, false, false, args)
	c.must(err)
}

// publish sends messages and waits for their confirms.
func (c *client) publish(key string, mandatory bool, n int) {
	c.t.Helper()
	for range n {
		d, err := c.channel.PublishWithDeferredConfirmWithContext(c.t.Context(), "", key, mandatory, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("a message")})
		c.must(err)
		select {
		case <-d.Done():
		case <-time.After(deadline):
			c.t.Fatal("no confirm in time")
		}
	}
}

func (c *client) consume(queue string, autoAck bool) (tag string, deliveries <-chan amqp.Delivery) {
	c.t.Helper()
	tag = queue + fmt.Sprint(autoAck)
	deliveries, err := c.channel.Consume(queue, tag, autoAck, false, false, false, nil)
	c.must(err)
	return tag, deliveries
}

func (c *client) receive(deliveries <-chan amqp.Delivery) amqp.Delivery {
	c.t.Helper()
	select {
	case d, ok := <-deliveries:
		if !ok {
			c.t.Fatal("the consumer was cancelled")
		}
		return d
	case <-time.After(deadline):
		c.t.Fatal("no delivery in time")
	}
	return amqp.Delivery{}
}

func (c *client) get(queue string, autoAck bool) (amqp.Delivery, bool) {
	c.t.Helper()
	d, ok, err := c.channel.Get(queue, autoAck)
	c.must(err)
	return d, ok
}

// standing leaves a connection with a consumer, and messages ready and unacknowledged.
func standing(t *testing.T, n *brokertest.Node) {
	t.Helper()
	c := newClient(t, n)
	queue := "standing-" + n.Name()
	c.declare(queue, amqp.Table{"x-queue-type": "quorum"})
	c.must(c.channel.Qos(1, 0, false))
	_, deliveries := c.consume(queue, false)
	c.publish(queue, true, 5)
	c.receive(deliveries)
}

// everything is done once on a node: publish, lose, return, consume, redeliver, fetch,
// dead-letter, declare, delete, connect and leave.
func everything(t *testing.T, n *brokertest.Node) {
	t.Helper()
	c := newClient(t, n)
	queue := "passing-" + n.Name()
	c.declare(queue, amqp.Table{
		"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "standing-" + n.Name(),
	})
	c.publish("nowhere", true, 2)
	c.publish("nowhere", false, 2)
	c.publish(queue, true, 6)

	tag, deliveries := c.consume(queue, false)
	first := c.receive(deliveries)
	c.must(first.Nack(false, true))
	for i := range 6 {
		d := c.receive(deliveries)
		if i == 5 && !d.Redelivered {
			d = c.receive(deliveries)
		}
		c.must(d.Ack(false))
	}
	c.must(c.channel.Cancel(tag, false))
	for range deliveries { // what came since goes back to the queue
		continue
	}

	c.publish(queue, true, 2)
	if d, ok := c.get(queue, false); ok {
		c.must(d.Reject(false))
	}
	c.get(queue, true)
	c.get(queue, true) // there is none left

	_, deliveries = c.consume(queue, true)
	c.publish(queue, true, 2)
	c.receive(deliveries)
	c.receive(deliveries)
	_, err := c.channel.QueueDelete(queue, false, false, false)
	c.must(err)
	c.must(c.channel.Close())
	c.must(c.connection.Close())
}
