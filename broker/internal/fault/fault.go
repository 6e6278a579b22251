// Package fault holds the broker's domain errors: what went wrong and how far it
// reaches, free of any protocol. Each front end has one table that maps them to
// its own codes (AMQP reply codes, HTTP statuses).
package fault

import (
	"errors"
	"fmt"
)

// Kind says what went wrong.
type Kind uint8

// The kinds of fault. The AMQP reply code of each stands beside it.
const (
	Internal           Kind = iota // 541
	NotFound                       // 404
	PreconditionFailed             // 406
	AccessRefused                  // 403
	ResourceLocked                 // 405
	NotAllowed                     // 530
	NotImplemented                 // 540
	ResourceError                  // 506
	Unavailable                    // 506; the cluster can't do it now, a later try may succeed
)

// String returns the kind's name, for logs.
func (k Kind) String() string {
	return [...]string{
		"internal", "not found", "precondition failed", "access refused", "resource locked",
		"not allowed", "not implemented", "resource error", "unavailable",
	}[k]
}

// Error is a domain error. Text is written for the person who made the request,
// in RabbitMQ's wording where clients match on it, without the code's name.
type Error struct {
	Kind Kind
	// Connection is set if the fault ends the connection, not only the channel.
	Connection bool
	Text       string
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// New returns a fault that ends the channel at most.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...)}
}

// Hard returns a fault that ends the connection.
func Hard(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Connection: true, Text: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first fault in err's chain, else Internal.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}
