package stream

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Headers of a dead letter that was published with its reason, Spring's names. A message that the broker dead-lettered itself
// has x-death instead.
const (
	HeaderExceptionMessage    = "x-exception-message"
	HeaderExceptionStacktrace = "x-exception-stacktrace"
	HeaderOriginalExchange    = "x-original-exchange"
	HeaderOriginalRoutingKey  = "x-original-routingKey"
	// HeaderRetryCount counts the ways through a retry queue or a replay, an int64. Spring AMQP's name.
	HeaderRetryCount = "retry-count"
	// HeaderFirstFailure is when the message failed first, milliseconds since 1970, an int64. Ours.
	HeaderFirstFailure = "x-first-failure"
)

// DeadLetterHeaders are the reason for a dead letter, for binders. stackBytesMax bounds each text, since a broker bounds the
// frame that holds all headers.
func DeadLetterHeaders(d Delivery, reason error, stackBytesMax int) Headers {
	if reason == nil {
		reason = errors.New("rejected")
	}
	message := reason.Error()
	stack := stacktrace(reason)
	return Headers{
		HeaderExceptionMessage:    truncated(message, min(messageBytesMax, stackBytesMax)),
		HeaderExceptionStacktrace: truncated(stack, stackBytesMax),
		HeaderOriginalExchange:    d.Exchange,
		HeaderOriginalRoutingKey:  d.RoutingKey,
	}
}

// RetryHeaders are what a message carries through a retry queue, for binders: where it was published at first, how often it
// went through, and since when it fails.
func RetryHeaders(m Raw) Headers {
	first, ok := firstFailure(m)
	if !ok {
		first = time.Now()
	}
	return Headers{
		HeaderOriginalExchange:   m.Delivery.Exchange,
		HeaderOriginalRoutingKey: m.Delivery.RoutingKey,
		HeaderRetryCount:         int64(m.Delivery.Retries + 1),
		HeaderFirstFailure:       first.UnixMilli(),
	}
}

// Returned completes the Delivery of a message that came, for binders: one that was in a retry queue is again what it was
// before, with the number of its retries.
func Returned(m Raw) Raw {
	if n, ok := m.Headers.Int(HeaderRetryCount); ok {
		m.Delivery.Retries = int(n)
	}
	if _, ok := m.Headers[HeaderFirstFailure]; ok {
		m.Delivery.Exchange, m.Delivery.RoutingKey = m.Headers.String(HeaderOriginalExchange), m.Headers.String(HeaderOriginalRoutingKey)
	}
	return m
}

func firstFailure(m Raw) (time.Time, bool) {
	ms, ok := m.Headers.Int(HeaderFirstFailure)
	return time.UnixMilli(ms), ok
}

// messageBytesMax bounds x-exception-message: it is read by people in lists.
const messageBytesMax = 4096

// truncated cuts s to at most n bytes, between characters.
func truncated(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// stacktrace is the stack of a panic; for other errors the chain of causes, outermost first, as Go errors have no stack.
func stacktrace(err error) string {
	var b strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&b, "%T: %s\n", e, e)
	}
	var p *PanicError
	if errors.As(err, &p) {
		b.Write(p.Stack)
	}
	return b.String()
}
