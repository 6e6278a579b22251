package metadata

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/pattern"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Policy sets optional arguments of the queues or exchanges whose names match.
type Policy struct {
	VHost      string
	Name       string
	Pattern    string // a regular expression, unanchored
	ApplyTo    string // queues, exchanges, all, classic_queues, quorum_queues, streams
	Priority   int
	Definition map[string]any
	// Operator is set on one of the operator's: they have names of their own, and apply
	// beside the users'.
	Operator bool `json:",omitempty"`
	// Group is where a queue goes that the policy replicates, by the queue's id: the
	// proposer's choice.
	Place map[uint64]uint64 `json:",omitempty"`

	compiled *pattern.Pattern
}

// PolicyClear removes a policy.
type PolicyClear struct {
	VHost, Name string
	Operator    bool `json:",omitempty"`
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// number returns the value of an integer: as JSON gives it, or as a caller in Go does.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case float64:
		return int64(n), n == float64(int64(n))
	case int:
		return int64(n), true
	}
	return Integer(v)
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
	p.compiled, _ = pattern.Compile(p.Pattern) // it was checked
	if p.Operator {
		v.OperatorPolicies = with(v.OperatorPolicies, p.Name, p)
	} else {
		v.Policies[p.Name] = p
	}
	s.reconfigure(v, place)
	return nil
}

func (s *State) policyClear(c *PolicyClear) *fault.Error {
	v, f := s.vhost(c.VHost)
	if f != nil {
		return f
	}
	of, what := v.Policies, "policy"
	if c.Operator {
		of, what = v.OperatorPolicies, "operator policy"
	}
	if of[c.Name] == nil {
		return fault.New(fault.NotFound, "no %s '%s' in vhost '%s'", what, c.Name, c.VHost)
	}
	delete(of, c.Name)
	s.reconfigure(v, nil)
	return nil
}

// reconfigure tells of every queue that its policy may have changed, and starts those
// moving that it replicates now.
func (s *State) reconfigure(v *VHost, place map[uint64]uint64) {
	s.policies++
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

// PolicyOf returns the one policy of the users that applies to the queue, nil if none
// does.
func (s *State) PolicyOf(q *Queue) *Policy {
	if v := s.VHosts[q.VHost]; v != nil {
		return policyOf(v.Policies, q)
	}
	return nil
}

// OperatorPolicyOf returns the one policy of the operator that applies to the queue, nil
// if none does.
func (s *State) OperatorPolicyOf(q *Queue) *Policy {
	if v := s.VHosts[q.VHost]; v != nil {
		return policyOf(v.OperatorPolicies, q)
	}
	return nil
}

func policyOf(policies map[string]*Policy, q *Queue) *Policy {
	if q.Internal {
		return nil
	}
	var best *Policy
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		p := policies[name]
		if p.matches(q) && (best == nil || p.Priority > best.Priority) {
			best = p
		}
	}
	return best
}

// PolicyOfExchange returns the one policy that applies to the exchange, nil if none does.
func (s *State) PolicyOfExchange(x *Exchange) *Policy {
	if v := s.VHosts[x.VHost]; v != nil {
		return s.policyOfExchange(v, x)
	}
	return nil
}

func (s *State) policyOfExchange(v *VHost, x *Exchange) *Policy {
	var best *Policy
	for _, name := range slices.Sorted(maps.Keys(v.Policies)) {
		p := v.Policies[name]
		if (p.ApplyTo == "exchanges" || p.ApplyTo == "all") && p.Definition["alternate-exchange"] != nil &&
			p.compiled.Match(x.Name) && (best == nil || p.Priority > best.Priority) {
			best = p
		}
	}
	return best
}

// matches reports whether the policy may apply to the queue: it must have something to
// say of queues, too.
func (p *Policy) matches(q *Queue) bool {
	if _, exchanges := p.Definition["alternate-exchange"]; exchanges && len(p.Definition) == 1 {
		return false
	}
	switch p.ApplyTo {
	case "exchanges", "streams":
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
	return p.compiled.Match(q.Name)
}

// WantsReplicas reports whether the queue's type or policy asks for several copies.
func (s *State) WantsReplicas(q *Queue) bool {
	if q.Type() == Quorum {
		return true
	}
	if q.Exclusive() {
		return false
	}
	return s.Definition(q)["ha-mode"] != nil
}

// Config returns what the queue's arguments and policy come to.
func (s *State) Config(q *Queue) queue.Config {
	c := queue.Config{
		Name: q.Name, VHost: q.VHost, TTL: -1, Expires: -1, MaxLength: -1, MaxLengthBytes: -1, DeliveryLimit: -1,
		Quorum: q.Type() == Quorum, Delay: q.Delays != "",
	}
	if c.Delay { // what is due is handed on as a dead letter is, to the same exchange
		c.DeadLetter, c.DeadLetterExchange, c.AtLeastOnce = true, q.Delays, true
		return c
	}
	def := s.Definition(q)
	least := func(to *int64, arg, key string) {
		if v, ok := q.Args.Get(arg); ok {
			*to, _ = Integer(v)
		}
		if n, ok := number(def[key]); ok && (*to < 0 || n < *to) {
			*to = n
		}
	}
	least(&c.TTL, "x-message-ttl", "message-ttl")
	least(&c.Expires, "x-expires", "expires")
	least(&c.MaxLength, "x-max-length", "max-length")
	least(&c.MaxLengthBytes, "x-max-length-bytes", "max-length-bytes")
	c.DeliveryLimit = deliveryLimit(q, def)
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
	overflow, _ := text("x-overflow", "overflow")
	if fromPolicy, ok := def["overflow"].(string); ok && q.Type() == Quorum {
		overflow = fromPolicy // the one key where the policy wins, there
	}
	switch overflow {
	case "reject-publish":
		c.Overflow = queue.RejectPublish
	case "reject-publish-dlx":
		c.Overflow = queue.RejectDead
	}
	strategy, _ := text("x-dead-letter-strategy", "dead-letter-strategy")
	c.AtLeastOnce = c.Quorum && c.DeadLetter && strategy == "at-least-once" && c.Overflow == queue.RejectPublish
	if v, ok := q.Args.Get("x-max-priority"); ok && !c.Quorum {
		n, _ := Integer(v)
		c.Priorities = uint8(min(n, priorityMax))
	}
	single, _ := q.Args.Get("x-single-active-consumer")
	c.SingleActive, _ = single.(bool)
	return c
}

// deliveryLimit returns the lower of argument and policy, of which a negative one means
// none; the default only counts where nobody said anything.
func deliveryLimit(q *Queue, def map[string]any) int64 {
	v, hasArg := q.Args.Get("x-delivery-limit")
	arg, _ := Integer(v)
	policy, hasPolicy := number(def["delivery-limit"])
	switch {
	case hasArg && hasPolicy && arg >= 0 && policy >= 0:
		return min(arg, policy)
	case hasArg && hasPolicy:
		return max(arg, policy)
	case hasArg:
		return arg
	case hasPolicy:
		return policy
	case q.Type() == Quorum:
		return deliveryLimitDefault
	}
	return -1
}

// deliveryLimitDefault is RabbitMQ 4's for quorum queues.
const deliveryLimitDefault = 20

// PolicyVersion changes with each change of a policy.
func (s *State) PolicyVersion() uint64 { return s.policies }

// ConsumerTimeout returns how long a delivery from the queue may wait for its
// acknowledgement, in milliseconds: 0 for ever, -1 if neither argument nor policy says.
func (s *State) ConsumerTimeout(q *Queue) int64 {
	if v, ok := q.Args.Get("x-consumer-timeout"); ok {
		if n, ok := Integer(v); ok && n >= 0 {
			return n
		}
	}
	if n, ok := number(s.Definition(q)["consumer-timeout"]); ok {
		return n
	}
	return -1
}
