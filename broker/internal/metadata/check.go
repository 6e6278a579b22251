package metadata

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/pattern"
)

// nameBytesMax is what a shortstr holds: names travel as such.
const nameBytesMax = 255

func validName(s string) bool { return len(s) <= nameBytesMax && utf8.ValidString(s) }

// policyKeys are the keys that a definition may have, and what their values are.
var policyKeys = map[string]struct {
	what  string
	valid func(any) bool
}{
	"alternate-exchange":      {"alternate exchange name", isName},
	"dead-letter-exchange":    {"dead letter exchange name", isName},
	"dead-letter-strategy":    {"dead letter strategy", oneOf("at-most-once", "at-least-once")},
	"consumer-timeout":        {"consumer timeout", atLeast(0)},
	"dead-letter-routing-key": {"dead letter routing key", isName},
	"message-ttl":             {"message TTL", atLeast(0)},
	"expires":                 {"queue expiry", atLeast(1)},
	"max-length":              {"maximum length", atLeast(0)},
	"max-length-bytes":        {"maximum length in bytes", atLeast(0)},
	"max-in-memory-length":    {"maximum memory in bytes", atLeast(0)}, // taken and ignored, as by RabbitMQ since 3.10
	"max-in-memory-bytes":     {"maximum memory in bytes", atLeast(0)},
	"delivery-limit":          {"delivery limit", atLeast(-1)},
	"overflow":                {"overflow value", oneOf(overflows...)},
	"queue-mode":              {"queue-mode value", oneOf("default", "lazy")},
	"queue-version":           {"queue-version value", atLeast(1)},
	"queue-master-locator":    {"queue-master-locator value", oneOf("min-masters", "client-local", "random")},
	"ha-mode":                 {"ha-mode value", oneOf("all", "exactly", "nodes")},
	"ha-params":               {"ha-params value", func(any) bool { return true }}, // see checkMirrors
	"ha-sync-mode":            {"ha-sync-mode value", oneOf("manual", "automatic")},
	"ha-sync-batch-size":      {"ha-sync-batch-size value", atLeast(1)},
	"ha-promote-on-shutdown":  {"ha-promote-on-shutdown value", oneOf("always", "when-synced")},
	"ha-promote-on-failure":   {"ha-promote-on-failure value", oneOf("always", "when-synced")},
}

var overflows = []string{"drop-head", "reject-publish", "reject-publish-dlx"}

func isName(v any) bool {
	s, ok := v.(string)
	return ok && validName(s)
}

func atLeast(least int64) func(any) bool {
	return func(v any) bool {
		n, ok := number(v)
		return ok && n >= least
	}
}

func oneOf(allowed ...string) func(any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && slices.Contains(allowed, s)
	}
}

// CheckPolicy checks a policy by itself.
func CheckPolicy(p *Policy) *fault.Error {
	if !validName(p.Name) {
		return badPolicy("the name is longer than %d bytes, or not UTF-8", nameBytesMax)
	}
	if _, err := pattern.Compile(p.Pattern); err != nil {
		return badPolicy("pattern should be regular expression but is invalid: %v", err)
	}
	if len(p.Definition) == 0 {
		return badPolicy("no policy provided")
	}
	if !slices.Contains([]string{"queues", "exchanges", "all", "classic_queues", "quorum_queues", "streams"}, p.ApplyTo) {
		return badPolicy("apply-to '%s' unrecognised; should be one of: 'queues', 'classic_queues', 'quorum_queues', 'streams', 'exchanges', or 'all'", p.ApplyTo)
	}
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(p.Definition)) {
		if _, known := policyKeys[k]; !known {
			unknown = append(unknown, k)
		}
	}
	if p.Operator {
		unknown = slices.DeleteFunc(slices.Sorted(maps.Keys(p.Definition)), func(k string) bool { return slices.Contains(operatorKeys, k) })
	}
	if len(unknown) > 0 {
		return badPolicy("[%s] are not recognised policy settings", strings.Join(unknown, ", "))
	}
	for _, k := range slices.Sorted(maps.Keys(p.Definition)) {
		if v := p.Definition[k]; !policyKeys[k].valid(v) {
			return badPolicy("%s is not a valid %s", show(v), policyKeys[k].what)
		}
	}
	return checkMirrors(p.Definition)
}

func badPolicy(format string, args ...any) *fault.Error {
	return fault.New(fault.PreconditionFailed, "Validation failed\n\n"+format+"\n", args...)
}

// checkMirrors checks the keys that ask for several copies against one another.
func checkMirrors(def map[string]any) *fault.Error {
	params := def["ha-params"]
	switch def["ha-mode"] {
	case nil:
		for _, k := range []string{"ha-params", "ha-sync-mode", "ha-promote-on-shutdown"} {
			if def[k] != nil {
				return badPolicy("ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown")
			}
		}
	case "all":
		if params != nil {
			return badPolicy("ha-mode=\"all\" does not take parameters")
		}
	case "exactly":
		if n, ok := number(params); !ok || n < 1 {
			return badPolicy("ha-mode=\"exactly\" takes an integer greater than 0, got %s", show(params))
		}
	case "nodes":
		l, ok := params.([]any)
		for _, v := range l {
			_, isString := v.(string)
			ok = ok && isString
		}
		if !ok || len(l) == 0 {
			return badPolicy("ha-mode=\"nodes\" takes a list of node names, got %s", show(params))
		}
	}
	return nil
}
