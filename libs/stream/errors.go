package stream

import (
	"errors"
	"fmt"
)

// Errors that the package itself reports; compare with errors.Is.
var (
	// ErrNotStarted is returned by a send before App.Start and after App.Stop.
	ErrNotStarted = errors.New("stream: not started")
	// ErrNacked says the broker refused the message (basic.nack): it is not stored.
	ErrNacked = errors.New("stream: broker refused the message")
	// ErrReturned says no queue takes the message: nobody has bound the destination with a matching key.
	ErrReturned = errors.New("stream: message reached no queue")
	// ErrUnknownOutcome says the deadline passed before the broker confirmed: the message may or may not be stored. Sending it
	// again with the same id is the cure; consumers drop the duplicate.
	ErrUnknownOutcome = errors.New("stream: no confirm before the deadline")
	// ErrUnavailable says the deadline passed before the message could be sent at all: it is not stored.
	ErrUnavailable = errors.New("stream: broker not available before the deadline")
	// ErrUndecodable wraps a payload's decoding error. Such a message is dead-lettered without a second attempt.
	ErrUndecodable = errors.New("stream: payload cannot be decoded")
)

// marked is an error with a verdict about its message.
type marked struct {
	action Action
	err    error
}

func (m *marked) Error() string { return m.err.Error() }
func (m *marked) Unwrap() error { return m.err }

func mark(a Action, err error) error {
	if err == nil {
		err = fmt.Errorf("%s asked by the handler", a)
	}
	return &marked{action: a, err: err}
}

// Reject marks err as final: the message is dead-lettered without another attempt. A nil err is given a text.
func Reject(err error) error { return mark(ActionDeadLetter, err) }

// Requeue marks err so that the message goes back to its queue at once, without another attempt here.
func Requeue(err error) error { return mark(ActionRequeue, err) }

// Drop marks err so that the message is settled as if it had succeeded.
func Drop(err error) error { return mark(ActionAccept, err) }

// BatchErrors is a batch handler's error for each message of its batch, in order; nil for those that succeeded. Messages beyond
// its length succeeded too.
type BatchErrors []error

func (b BatchErrors) Error() string { return errors.Join(b...).Error() }

// Unwrap is for errors.Is and errors.As.
func (b BatchErrors) Unwrap() []error { return b }

func (b BatchErrors) at(i int) error {
	if i < len(b) {
		return b[i]
	}
	return nil
}

// PanicError is a handler's panic as an error; it counts as a failed attempt.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

func (p *PanicError) Error() string { return fmt.Sprintf("stream: handler panicked: %v", p.Value) }
