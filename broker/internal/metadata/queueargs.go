package metadata

import (
	"fmt"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
)

// argRule is one optional argument of a queue: which types of queue take it, and what is
// wrong with a value; "" if nothing is. The wording of complaints is RabbitMQ's, which
// clients and their tests look for.
type argRule struct {
	name    string
	classic bool
	quorum  bool
	check   func(v any) string
}

// queueArgs are the arguments in the order in which they are checked and compared.
var queueArgs = [...]argRule{
	{"x-queue-type", true, true, checkQueueType},
	{"x-expires", true, true, checkExpires},
	{"x-message-ttl", true, true, checkDuration},
	{"x-dead-letter-exchange", true, true, checkText},
	{"x-dead-letter-routing-key", true, true, checkText},
	{"x-dead-letter-strategy", false, true, checkOneOf("invalid_dlx_strategy", "at-most-once", "at-least-once")},
	{"x-max-length", true, true, checkNonNegative},
	{"x-max-length-bytes", true, true, checkNonNegative},
	{"x-max-in-memory-length", false, true, checkNonNegative},
	{"x-max-in-memory-bytes", false, true, checkNonNegative},
	{"x-max-priority", true, false, checkPriority},
	{"x-overflow", true, true, checkOneOf("invalid_overflow", overflows...)},
	{"x-queue-mode", true, false, checkNothing},
	{"x-queue-version", true, false, checkVersion},
	{"x-single-active-consumer", true, true, checkBool},
	{"x-queue-master-locator", true, false, checkNothing},
	{"x-queue-leader-locator", true, true, checkOneOf("invalid_queue_locator_arg", "client-local", "balanced", "random", "least-leaders")},
	{"x-quorum-initial-group-size", false, true, checkPositive},
	{"x-quorum-target-group-size", false, true, checkPositive},
	{"x-delivery-limit", false, true, checkInteger},
	{"x-consumer-timeout", false, true, checkNonNegative},
	{"x-consumer-disconnected-timeout", false, true, checkNonNegative},
	{"x-delayed-retry-type", false, true, checkText},
	{"x-delayed-retry-min", false, true, checkNonNegative},
	{"x-delayed-retry-max", false, true, checkNonNegative},
	{"x-member-placement-tag", false, true, checkText},
	{"x-max-age", false, false, checkNothing},
	{"x-stream-max-segment-size-bytes", false, false, checkNothing},
	{"x-stream-filter-size-bytes", false, false, checkNothing},
	{"x-initial-cluster-size", false, false, checkNothing},
}

// priorityMax is the highest priority that a queue may have.
const priorityMax = 255

// DurationMsMax is the longest time to live, ten years in milliseconds.
const DurationMsMax = 315_360_000_000

func (r *argRule) takes(t QueueType) bool {
	return t == Classic && r.classic || t == Quorum && r.quorum
}

// checkArgs checks the arguments of a queue that is not there yet.
func checkArgs(what string, args message.Table) *fault.Error {
	// The exchange is looked at before all else: who may write to it decides first.
	if v, ok := args.Get("x-dead-letter-exchange"); ok {
		if _, isString := v.(string); !isString {
			return fault.New(fault.PreconditionFailed, "invalid type '%s' for arg 'x-dead-letter-exchange' in %s", message.TypeName(v), what)
		}
	}
	_, dlx := args.Get("x-dead-letter-exchange")
	if v, ok := args.Get("x-dead-letter-routing-key"); ok && !dlx && checkText(v) == "" {
		return invalidArg("x-dead-letter-routing-key", what, "routing_key_but_no_dlx_defined")
	}
	return applyRules(queueArgs[:], what, typeOf(args), args)
}

func checkNothing(any) string { return "" }

func checkInteger(v any) string {
	if _, ok := Integer(v); !ok {
		return fmt.Sprintf(`"expected integer, got %s"`, message.TypeName(v))
	}
	return ""
}

func checkNonNegative(v any) string {
	n, _ := Integer(v)
	if why := checkInteger(v); why != "" || n >= 0 {
		return why
	}
	return fmt.Sprintf("{value_negative,%d}", n)
}

func checkPositive(v any) string {
	if n, ok := Integer(v); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkNonNegative(v)
}

func checkDuration(v any) string {
	if n, _ := Integer(v); n > DurationMsMax {
		return fmt.Sprintf("{value_too_large,%d}", n)
	}
	return checkNonNegative(v)
}

func checkExpires(v any) string {
	if n, ok := Integer(v); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkDuration(v)
}

func checkPriority(v any) string {
	if n, _ := Integer(v); n > priorityMax {
		return fmt.Sprintf("{max_value_exceeded,%d}", n)
	}
	return checkNonNegative(v)
}

// checkVersion takes both storage formats that RabbitMQ has had: here they mean nothing.
func checkVersion(v any) string {
	n, _ := Integer(v)
	if why := checkInteger(v); why != "" || n == 1 || n == 2 {
		return why
	}
	return fmt.Sprintf(`"unsupported queue version '%d'"`, n)
}

func unacceptable(v any) string { return "{unacceptable_type," + message.TypeName(v) + "}" }

func checkText(v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		return unacceptable(v)
	case len(s) > nameBytesMax:
		return fmt.Sprintf("longer than %d bytes", nameBytesMax)
	}
	return ""
}

func checkBool(v any) string {
	if _, ok := v.(bool); !ok {
		return unacceptable(v)
	}
	return ""
}

func checkQueueType(v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		return unacceptable(v)
	case s != string(Classic) && s != string(Quorum):
		return fmt.Sprintf(`"unsupported queue type '%s'"`, s)
	}
	return ""
}

func checkOneOf(complaint string, allowed ...string) func(any) string {
	return func(v any) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return unacceptable(v)
		case !slices.Contains(allowed, s):
			return complaint
		}
		return ""
	}
}

// consumeArgs are the optional arguments of a consumer, in the same manner.
var consumeArgs = [...]argRule{
	{"x-priority", true, true, checkInteger},
	{"x-consumer-timeout", true, true, checkNonNegative},
	{"x-stream-offset", false, false, checkNothing},
	{"x-stream-filter", false, false, checkNothing},
	{"x-stream-match-unfiltered", false, false, checkNothing},
}

// CheckConsume checks the arguments of a consumer of q.
func CheckConsume(q *Queue, args message.Table) *fault.Error {
	return applyRules(consumeArgs[:], "queue '"+q.Name+"' in vhost '"+q.VHost+"'", q.Type(), args)
}

// applyRules checks all values first, then whether the queue's type takes them.
func applyRules(rules []argRule, what string, t QueueType, args message.Table) *fault.Error {
	for i := range rules {
		if v, ok := args.Get(rules[i].name); ok {
			if why := rules[i].check(v); why != "" {
				return invalidArg(rules[i].name, what, why)
			}
		}
	}
	for i := range rules {
		if _, ok := args.Get(rules[i].name); ok && !rules[i].takes(t) {
			return fault.New(fault.PreconditionFailed, "invalid arg '%s' for %s of queue type rabbit_%s_queue", rules[i].name, what, t)
		}
	}
	return nil
}

func invalidArg(name, what, why string) *fault.Error {
	return fault.New(fault.PreconditionFailed, "invalid arg '%s' for %s: %s", name, what, why)
}
