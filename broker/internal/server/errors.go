package server

import (
	"context"
	"errors"
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
)

// codes is the one place where the domain's faults become reply codes. hard marks those
// that end the connection even if the fault does not ask for it.
var codes = map[fault.Kind]struct {
	code amqp.Code
	hard bool
}{
	fault.Internal:           {amqp.InternalError, true},
	fault.NotFound:           {amqp.NotFound, false},
	fault.PreconditionFailed: {amqp.PreconditionFailed, false},
	fault.AccessRefused:      {amqp.AccessRefused, false},
	fault.ResourceLocked:     {amqp.ResourceLocked, false},
	fault.NotAllowed:         {amqp.NotAllowed, true},
	fault.NotImplemented:     {amqp.NotImplemented, true},
	fault.ResourceError:      {amqp.ResourceError, true},
	// The cluster may be electing: losing one channel is enough to make a client retry.
	fault.Unavailable: {amqp.ResourceError, false},
}

// exception is an error as the client shall see it.
type exception struct {
	code amqp.Code
	text string // with the code's name
	hard bool
}

func exceptionOf(err error) exception {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return exception{e.Code, replyText(e.Code, e.Text), e.Code.Hard()}
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		c := codes[f.Kind]
		return exception{c.code, replyText(c.code, f.Text), c.hard || f.Connection}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exception{amqp.ResourceError, replyText(amqp.ResourceError, "the operation timed out"), false}
	}
	// What else went wrong is for the log, not for the client.
	return exception{amqp.InternalError, replyText(amqp.InternalError, "internal error"), true}
}

// replyText fits a text into a short string.
func replyText(c amqp.Code, text string) string {
	s := c.String() + " - " + text
	if len(s) > replyTextBytesMax {
		s = strings.ToValidUTF8(s[:replyTextBytesMax-len("...")], "") + "..."
	}
	return s
}
