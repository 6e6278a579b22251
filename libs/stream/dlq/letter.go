// Package dlq is the workbench for dead letters at RabbitMQ and everything else that speaks AMQP 0-9-1: look at them, change
// them, send them back, throw them away. It reads both kinds: those that a binder published with its reason, Spring's or this
// module's, and those that a broker dead-lettered itself. The command streamctl is made of it.
package dlq

import (
	"maps"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/libs/stream"
)

// HeaderReplayCount counts how often a message was sent back, an int64.
const HeaderReplayCount = "x-replay-count"

// headerOriginalQueue is where an edited letter came from: its routing key no longer tells.
const headerOriginalQueue = "x-original-queue"

// suffix of dead-letter queues, by custom.
const suffix = ".dlq"

// Letter is a dead letter.
type Letter struct {
	// Message as it lies in the queue, all headers included. Its Delivery names the queue it lies in.
	Message stream.Raw
	// Reason is the error's text, or the broker's word: rejected, expired, maxlen, delivery_limit.
	Reason string
	// Stacktrace is where it failed; empty when the broker dead-lettered it.
	Stacktrace string
	// Queue, Exchange and RoutingKey are where it came from.
	Queue, Exchange, RoutingKey string
	// Count is how often the broker dead-lettered it; 1 for a letter that was published with its reason.
	Count int64
	// Since is when it died; zero when the letter does not say.
	Since time.Time
	// Replays is how often it was sent back before.
	Replays int64

	delivery amqp.Delivery
}

// read makes a Letter of what lies in queue.
func read(d amqp.Delivery, queue string) Letter {
	h := headersOf(d.Headers)
	l := Letter{delivery: d, Count: 1}
	l.Message = stream.Raw{
		ID: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, CorrelationID: d.CorrelationId, ContentType: d.ContentType,
		ContentEncoding: d.ContentEncoding, ReplyTo: d.ReplyTo, AppID: d.AppId, Priority: d.Priority, Headers: h, Payload: d.Body,
		Delivery: stream.Delivery{Exchange: d.Exchange, RoutingKey: d.RoutingKey, Queue: queue, Tag: d.DeliveryTag, Redelivered: d.Redelivered},
	}
	l.Replays, _ = h.Int(HeaderReplayCount)
	l.Queue = strings.TrimSuffix(queue, suffix)
	if death := lastDeath(d.Headers); death != nil {
		l.Reason, l.Queue, l.Exchange = death.String("reason"), death.String("queue"), death.String("exchange")
		if keys, _ := death["routing-keys"].([]any); len(keys) > 0 {
			l.RoutingKey, _ = keys[0].(string)
		}
		l.Count, _ = death.Int("count")
		l.Since, _ = death["time"].(time.Time)
	}
	if _, published := h[stream.HeaderExceptionMessage]; published {
		l.Reason, l.Stacktrace = h.String(stream.HeaderExceptionMessage), h.String(stream.HeaderExceptionStacktrace)
		l.Exchange, l.RoutingKey = h.String(stream.HeaderOriginalExchange), h.String(stream.HeaderOriginalRoutingKey)
		if strings.HasPrefix(d.RoutingKey, l.Queue+"-") {
			l.Queue = d.RoutingKey // binders publish by the name of the queue, partition included
		}
	}
	if q := h.String(headerOriginalQueue); q != "" {
		l.Queue = q
	}
	return l
}

// lastDeath is the newest entry of x-death.
func lastDeath(t amqp.Table) stream.Headers {
	deaths, _ := t["x-death"].([]any)
	if len(deaths) == 0 {
		return nil
	}
	death, _ := deaths[0].(amqp.Table)
	return stream.Headers(death)
}

func headersOf(t amqp.Table) stream.Headers {
	h := make(stream.Headers, len(t))
	maps.Copy(h, t)
	return h
}

// fresh are the headers with which a letter is sent back: none that tell of its failure.
func (l Letter) fresh() amqp.Table {
	t := amqp.Table{}
	for k, v := range l.Message.Headers {
		switch {
		case stream.BrokerOwned(k):
		case k == stream.HeaderExceptionMessage, k == stream.HeaderExceptionStacktrace, k == stream.HeaderOriginalExchange,
			k == stream.HeaderOriginalRoutingKey, k == stream.HeaderRetryCount, k == stream.HeaderFirstFailure,
			k == headerOriginalQueue:
		default:
			t[k] = v
		}
	}
	t[HeaderReplayCount] = l.Replays + 1
	return t
}

// publishing is the letter as AMQP sends it, with the given headers. Its expiration is gone, or it would be as soon as it came
// back, and so is its user, who was somebody else.
func (l Letter) publishing(headers amqp.Table) amqp.Publishing {
	m := l.Message
	return amqp.Publishing{
		Headers: headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: amqp.Persistent,
		Priority: m.Priority, CorrelationId: m.CorrelationID, ReplyTo: m.ReplyTo, MessageId: m.ID, Timestamp: m.Timestamp,
		Type: m.Type, AppId: m.AppID, Body: m.Payload,
	}
}
