package stream

import (
	"errors"
	"fmt"
	"strings"
)

// Headers of a dead letter that was published with its reason, Spring's names. A message that the broker dead-lettered itself
// has x-death instead.
const (
	HeaderExceptionMessage    = "x-exception-message"
	HeaderExceptionStacktrace = "x-exception-stacktrace"
	HeaderOriginalExchange    = "x-original-exchange"
	HeaderOriginalRoutingKey  = "x-original-routingKey"
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
		HeaderExceptionMessage:    message[:min(len(message), messageBytesMax)],
		HeaderExceptionStacktrace: stack[:min(len(stack), stackBytesMax)],
		HeaderOriginalExchange:    d.Exchange,
		HeaderOriginalRoutingKey:  d.RoutingKey,
	}
}

// messageBytesMax bounds x-exception-message: it is read by people in lists.
const messageBytesMax = 4096

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

// BrokerOwned says that a broker wrote the header and would be misled by it on a new message: x-death and its kin.
func BrokerOwned(key string) bool {
	switch key {
	case "x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset":
		return true
	}
	return strings.HasPrefix(key, "x-first-death-") || strings.HasPrefix(key, "x-last-death-")
}
