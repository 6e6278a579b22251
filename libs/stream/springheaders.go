package stream

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Names that Spring gives to what is a field here. Set as headers of a message to send they mean the field; a received message
// answers to them in Message.Header, and so in expressions.
const (
	headerContentType     = "contentType"
	headerPriority        = "priority"
	headerCorrelationID   = "amqp_correlationId"
	headerReplyTo         = "amqp_replyTo"
	headerAppID           = "amqp_appId"
	headerType            = "amqp_type"
	headerUserID          = "amqp_userId"
	headerExpiration      = "amqp_expiration"
	headerDelay           = "amqp_delay"
	headerMessageID       = "amqp_messageId"
	headerContentEncoding = "amqp_contentEncoding"

	// HeaderSendTo on a function's result names the binding or destination that it goes to, in place of the function's own.
	HeaderSendTo = "spring.cloud.stream.sendto.destination"
	// HeaderFunction names the function that a function router calls.
	HeaderFunction = "spring.cloud.function.definition"
	// HeaderPartitionOverride is the partition that a message goes to, in place of the one that its key selects.
	HeaderPartitionOverride = "scst_partitionOverride"
)

// Header returns the header called key, or what Spring calls by that name: contentType, id, timestamp, priority,
// deliveryAttempt and amqp_…. It is nil when there is none. Keys that Spring's and this package's names share mean the field.
func (m Message[T]) Header(key string) any {
	if v, ok := m.Headers[key]; ok {
		return v
	}
	switch key {
	case headerContentType:
		return text(m.ContentType)
	case "id", headerMessageID:
		return text(m.ID)
	case "timestamp", "amqp_timestamp":
		if m.Timestamp.IsZero() {
			return nil
		}
		return m.Timestamp.UnixMilli()
	case headerPriority, "amqp_receivedPriority":
		return int32(m.Priority)
	case headerCorrelationID:
		return text(m.CorrelationID)
	case headerReplyTo:
		return text(m.ReplyTo)
	case headerAppID:
		return text(m.AppID)
	case headerType:
		return text(m.Type)
	case headerUserID, "amqp_receivedUserId":
		return text(m.UserID)
	case headerContentEncoding:
		return text(m.ContentEncoding)
	case headerDelay, "amqp_receivedDelay":
		return m.Delay.Milliseconds()
	case "deliveryAttempt":
		return int32(m.Delivery.Attempt)
	case "amqp_receivedRoutingKey":
		return text(m.Delivery.RoutingKey)
	case "amqp_receivedExchange":
		return text(m.Delivery.Exchange)
	case "amqp_consumerQueue":
		return text(m.Delivery.Queue)
	case "amqp_consumerTag":
		return text(m.Delivery.ConsumerTag)
	case "amqp_deliveryTag":
		return int64(m.Delivery.Tag)
	case "amqp_receivedDeliveryMode":
		if m.Delivery.Transient {
			return "NON_PERSISTENT"
		}
		return "PERSISTENT"
	case "amqp_redelivered":
		return m.Delivery.Redelivered
	case "amqp_retryCount":
		return int64(m.Delivery.Retries)
	case "amqp_batchSize":
		return int32(m.Delivery.BatchSize)
	case "amqp_lastInBatch":
		return m.Delivery.LastInBatch
	}
	return nil
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// setProperty moves a header to the field that it names; false when it is an ordinary header. A field that is set wins.
func setProperty(m *Raw, key string, value any) (bool, error) {
	var field *string
	switch key {
	case headerContentType:
		field = &m.ContentType
	case headerCorrelationID:
		field = &m.CorrelationID
	case headerReplyTo:
		field = &m.ReplyTo
	case headerAppID:
		field = &m.AppID
	case headerType:
		field = &m.Type
	case headerUserID:
		field = &m.UserID
	case headerMessageID:
		field = &m.ID
	case headerContentEncoding:
		field = &m.ContentEncoding
	case headerPriority, headerExpiration, headerDelay:
		return true, setNumber(m, key, value)
	default:
		return false, nil
	}
	if *field == "" {
		*field = fmt.Sprint(value)
	}
	return true, nil
}

func setNumber(m *Raw, key string, value any) error {
	n, err := strconv.ParseInt(fmt.Sprint(value), 10, 64)
	if err != nil || n < 0 || key == headerPriority && n > math.MaxUint8 {
		return fmt.Errorf("stream: header %s: %v is not a whole number in its range", key, value)
	}
	switch {
	case key == headerPriority:
		m.Priority = or(m.Priority, uint8(n))
	case key == headerExpiration:
		m.TTL = or(m.TTL, time.Duration(n)*time.Millisecond)
	default:
		m.Delay = or(m.Delay, time.Duration(n)*time.Millisecond)
	}
	return nil
}

// neverSent are headers that describe one hop, or one process, and mean nothing to the next.
func neverSent(key string) bool {
	switch key {
	case "id", "timestamp", "deliveryAttempt", "sourceData", "rabbitmq_streamContext", "errorChannel", "replyChannel",
		"scst_partition", HeaderPartitionOverride, HeaderSendTo, "target-protocol":
		return true
	}
	// What Spring knows a message by: properties that travel beside the headers, or facts of the delivery.
	return strings.HasPrefix(key, "amqp_")
}

// BrokerOwned says that a broker wrote the header and would be misled by it on a new message: x-death and its kin.
func BrokerOwned(key string) bool {
	if !strings.HasPrefix(key, "x-") {
		return false
	}
	switch key {
	case "x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset":
		return true
	}
	return strings.HasPrefix(key, "x-first-death-") || strings.HasPrefix(key, "x-last-death-")
}

// filterHeaders returns the headers that the patterns let through: h itself when they let through all.
func filterHeaders(h Headers, patterns []string) Headers {
	if len(patterns) == 0 || len(patterns) == 1 && patterns[0] == "*" {
		return h
	}
	kept := make(Headers, len(h))
	for k, v := range h {
		if mappable(k, patterns) {
			kept[k] = v
		}
	}
	return kept
}

// mappable is Spring's rule: the first pattern that matches decides, in any case of letters; ! in front means not.
func mappable(key string, patterns []string) bool {
	key = strings.ToLower(key)
	for _, p := range patterns {
		p = strings.ToLower(p)
		bare, negated := strings.CutPrefix(p, "!")
		if simpleMatch(bare, key) {
			return !negated
		}
	}
	return false
}

// simpleMatch matches * with any run of characters.
func simpleMatch(pattern, s string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, first)
	for ok && wild {
		first, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(s, first)
		}
		i := strings.Index(s, first)
		if ok = i >= 0; ok {
			s = s[i+len(first):]
		}
	}
	return ok
}
