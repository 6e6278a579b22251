package rabbit

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// deadLetters publishes failed messages with their reason.
type deadLetters struct {
	outlet *outlet
	to     address
	cfg    Config
	stop   context.CancelFunc
}

// publish returns when the broker has confirmed the dead letter. Its clock is its own: a message that failed is put away even
// while the binding stops.
func (d *deadLetters) publish(original amqp.Delivery, reason error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.DeadLetterTimeout)
	defer cancel()
	l := newLetter(d.to.exchange, d.to.key, true, deadLetter(original, reason))
	return d.outlet.deliver(ctx, []*letter{l})[0]
}

// deadLetter is the original with the reason beside it; id, type, trace and all other headers stay. x-death goes: the broker
// counts it for what it dead-letters itself.
func deadLetter(d amqp.Delivery, reason error) amqp.Publishing {
	headers := amqp.Table{}
	for k, v := range d.Headers {
		if !stream.BrokerOwned(k) {
			headers[k] = v
		}
	}
	for k, v := range stream.DeadLetterHeaders(stream.Delivery{Exchange: d.Exchange, RoutingKey: d.RoutingKey}, reason, stackBytesMax) {
		headers[k] = v
	}
	return amqp.Publishing{
		Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, MessageId: d.MessageId,
		Timestamp: d.Timestamp, Type: d.Type, AppId: d.AppId, Body: d.Body,
	}
}

// stackBytesMax fits the header frame: RabbitMQ's default frame without Spring's headroom for everything else.
const stackBytesMax = 131072 - frameMaxHeadroomBytes
