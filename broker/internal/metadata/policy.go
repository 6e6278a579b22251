package metadata

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Policy sets optional arguments of the queues or exchanges whose names match.
type Policy struct {
	VHost      string
	Name       string
	Pattern    string // a regular expression, unanchored
	ApplyTo    string // queues, exchanges, all, classic_queues, quorum_queues
	Priority   int
	Definition map[string]any
	// Group is where a queue goes that the policy replicates, by the queue's id: the
	// proposer's choice.
	Place map[uint64]uint64 `json:",omitempty"`
}

// PolicyClear removes a policy.
type PolicyClear struct{ VHost, Name string }

// policyKeys are the keys that a definition may have.
var policyKeys = map[string]bool{
	"ha-mode": true, "ha-params": true, "ha-sync-mode": true, "ha-sync-batch-size": true,
	"ha-promote-on-shutdown": true, "ha-promote-on-failure": true,
	"dead-letter-exchange": true, "dead-letter-routing-key": true, "message-ttl": true, "expires": true,
	"max-length": true, "max-length-bytes": true, "overflow": true, "delivery-limit": true,
	"alternate-exchange": true, "queue-mode": true, "queue-master-locator": true, "queue-version": true,
}

// CheckPolicy checks a policy by itself.
func CheckPolicy(p *Policy) *fault.Error {
	bad := func(format string, args ...any) *fault.Error {
		return fault.New(fault.PreconditionFailed, "Validation failed\n\n"+format, args...)
	}
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return bad("%s is not a valid regular expression: %v", p.Pattern, err)
	}
	if len(p.Definition) == 0 {
		return bad("no policy provided")
	}
	if !slices.Contains([]string{"queues", "exchanges", "all", "classic_queues", "quorum_queues"}, p.ApplyTo) {
		return bad("apply-to is '%s', allowed are queues, exchanges, all, classic_queues and quorum_queues", p.ApplyTo)
	}
	var unknown []string
	for _, k := range slices.Sorted(maps.Keys(p.Definition)) {
		if !policyKeys[k] {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) > 0 {
		return bad("[%s] are not recognised policy settings", strings.Join(unknown, ", "))
	}
	mode, has := p.Definition["ha-mode"]
	params := p.Definition["ha-params"]
	switch {
	case !has:
		for _, k := range []string{"ha-params", "ha-sync-mode", "ha-promote-on-shutdown"} {
			if p.Definition[k] != nil {
				return bad("ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown")
			}
		}
	case mode == "all":
		if params != nil {
			return bad("ha-mode=\"all\" does not take parameters")
		}
	case mode == "exactly":
		if n, ok := number(params); !ok || n < 1 {
			return bad("ha-mode=\"exactly\" takes an integer greater than 0, got %s", show(params))
		}
	case mode == "nodes":
		if l, ok := params.([]any); !ok || len(l) == 0 {
			return bad("ha-mode=\"nodes\" takes a list of node names, got %s", show(params))
		}
	default:
		return bad("%s is not a valid ha-mode value; allowed are \"all\", \"exactly\" and \"nodes\"", show(mode))
	}
	return nil
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func number(v any) (int64, bool) {
	f, ok := v.(float64)
	return int64(f), ok && f == float64(int64(f))
}

func (s *State) policySet(p *Policy) *fault.Error {
	v, f := s.vhost(p.VHost)
	if f != nil {
		return f
	}
	if f := CheckPolicy(p); f != nil {
		return f
	}
	place := p.Place
	p.Place = nil
	v.Policies[p.Name] = p
	s.reconfigure(v, place)
	return nil
}

func (s *State) policyClear(c *PolicyClear) *fault.Error {
	v, f := s.vhost(c.VHost)
	if f != nil {
		return f
	}
	if v.Policies[c.Name] == nil {
		return fault.New(fault.NotFound, "no policy '%s' in vhost '%s'", c.Name, c.VHost)
	}
	delete(v.Policies, c.Name)
	s.reconfigure(v, nil)
	return nil
}

// reconfigure tells of every queue that its policy may have changed, and starts those
// moving that it replicates now.
func (s *State) reconfigure(v *VHost, place map[uint64]uint64) {
	for _, q := range s.sortedQueues() {
		if q.VHost != v.Name {
			continue
		}
		if t := place[q.ID]; t != 0 && !q.Replicated() && q.Target == 0 && s.Groups[t] != nil && s.WantsReplicas(q) {
			moving := *q
			moving.Target = t
			q = &moving
			s.replace(q)
		}
		s.changed(Change{Kind: QueueSet, Queue: q})
	}
}

// PolicyOf returns the one policy that applies to the queue, nil if none does.
func (s *State) PolicyOf(q *Queue) *Policy {
	v := s.VHosts[q.VHost]
	if v == nil {
		return nil
	}
	var best *Policy
	for _, name := range slices.Sorted(maps.Keys(v.Policies)) {
		p := v.Policies[name]
		if p.matches(q) && (best == nil || p.Priority > best.Priority) {
			best = p
		}
	}
	return best
}

func (p *Policy) matches(q *Queue) bool {
	switch p.ApplyTo {
	case "exchanges":
		return false
	case "classic_queues":
		if q.Type() != Classic {
			return false
		}
	case "quorum_queues":
		if q.Type() != Quorum {
			return false
		}
	}
	re, err := regexp.Compile(p.Pattern)
	return err == nil && re.MatchString(q.Name)
}

// WantsReplicas reports whether the queue's type or policy asks for several copies.
func (s *State) WantsReplicas(q *Queue) bool {
	if q.Type() == Quorum {
		return true
	}
	if q.Exclusive() {
		return false
	}
	p := s.PolicyOf(q)
	return p != nil && p.Definition["ha-mode"] != nil
}

// Config returns what the queue's arguments and policy come to.
func (s *State) Config(q *Queue) queue.Config {
	c := queue.Config{Name: q.Name, VHost: q.VHost, TTL: -1, MaxLength: -1, MaxLengthBytes: -1, DeliveryLimit: -1}
	if q.Type() == Quorum {
		c.DeliveryLimit = deliveryLimitDefault
	}
	var def map[string]any
	if p := s.PolicyOf(q); p != nil {
		def = p.Definition
	}
	least := func(to *int64, arg, key string) {
		if v, ok := q.Args.Get(arg); ok {
			*to, _ = Integer(v)
		}
		if n, ok := number(def[key]); ok && (*to < 0 || n < *to) {
			*to = n
		}
	}
	least(&c.TTL, "x-message-ttl", "message-ttl")
	least(&c.MaxLength, "x-max-length", "max-length")
	least(&c.MaxLengthBytes, "x-max-length-bytes", "max-length-bytes")
	least(&c.DeliveryLimit, "x-delivery-limit", "delivery-limit")
	text := func(arg, key string) (string, bool) {
		if v, ok := q.Args.Get(arg); ok {
			t, ok := v.(string)
			return t, ok
		}
		t, ok := def[key].(string)
		return t, ok
	}
	c.DeadLetterExchange, c.DeadLetter = text("x-dead-letter-exchange", "dead-letter-exchange")
	c.DeadLetterKey, c.DeadLetterKeySet = text("x-dead-letter-routing-key", "dead-letter-routing-key")
	return c
}

// deliveryLimitDefault is RabbitMQ 4's for quorum queues.
const deliveryLimitDefault = 20
