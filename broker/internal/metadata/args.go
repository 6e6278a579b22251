package metadata

import (
	"fmt"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
)

func inequivalent(arg, what string, received, current any) *fault.Error {
	return fault.New(fault.PreconditionFailed, "inequivalent arg '%s' for %s: received '%v' but current is '%v'", arg, what, received, current)
}

// argEquivalent compares one optional argument, integers by value.
func argEquivalent(name, what string, received, current message.Table) *fault.Error {
	r, rok := received.Get(name)
	c, cok := current.Get(name)
	switch {
	case !rok && !cok, rok && cok && sameValue(r, c):
		return nil
	case rok && cok:
		return inequivalent(name, what, r, c)
	}
	return fault.New(fault.PreconditionFailed, "inequivalent arg '%s' for %s: received %s but current is %s",
		name, what, describe(r, rok), describe(c, cok))
}

func sameValue(a, b any) bool {
	if x, ok := Integer(a); ok {
		y, ok := Integer(b)
		return ok && x == y
	}
	return message.Table{{Key: "v", Value: a}}.Equal(message.Table{{Key: "v", Value: b}})
}

func describe(v any, ok bool) string {
	if !ok {
		return "none"
	}
	return fmt.Sprintf("the value '%v' of type '%s'", v, message.TypeName(v))
}

// Integer returns the value of any of AMQP's integer types.
func Integer(v any) (int64, bool) { return message.Integer(v) }
