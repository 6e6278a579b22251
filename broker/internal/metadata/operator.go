package metadata

import "maps"

// operatorKeys are the keys that an operator's policy may have: those that bound what
// users may ask for.
var operatorKeys = []string{
	"expires", "message-ttl", "max-length", "max-length-bytes", "max-in-memory-length", "max-in-memory-bytes", "delivery-limit", "overflow", "queue-version",
	"ha-mode", "ha-params", "ha-sync-mode", "queue-master-locator",
}

// Definition returns what the users' policy and the operator's come to for the queue: nil
// if none applies. It must not be changed.
func (s *State) Definition(q *Queue) map[string]any {
	user, op := s.PolicyOf(q), s.OperatorPolicyOf(q)
	switch {
	case user == nil && op == nil:
		return nil
	case op == nil:
		return user.Definition
	case user == nil:
		return op.Definition
	}
	merged := maps.Clone(user.Definition)
	for k, v := range op.Definition {
		if mine, both := merged[k]; both {
			v = mergeKey(k, mine, v)
		}
		merged[k] = v
	}
	return merged
}

// haModes are the values of ha-mode; a later one beats those before.
var haModes = map[any]int{"nodes": 1, "exactly": 2, "all": 3}

// mergeKey returns what a key is when user and operator both set it.
func mergeKey(key string, user, op any) any {
	u, uok := number(user)
	o, ook := number(op)
	switch key {
	case "ha-mode":
		if haModes[user] > haModes[op] {
			return user
		}
		return op
	case "ha-params":
		return mergeParams(user, op)
	case "queue-version":
		return op
	case "delivery-limit":
		if uok && ook && (u < 0 || o < 0) { // negative: none
			return maxOf(user, op, u, o)
		}
	}
	if uok && ook && u < o {
		return user
	}
	return op
}

func maxOf(user, op any, u, o int64) any {
	if u > o {
		return user
	}
	return op
}

// mergeParams returns the params that ask for more: of two numbers the larger, a number
// before a list, of two lists the longer.
func mergeParams(user, op any) any {
	u, uok := number(user)
	o, ook := number(op)
	switch {
	case uok && ook:
		return maxOf(user, op, u, o)
	case uok:
		return user
	case ook:
		return op
	}
	ul, _ := user.([]any)
	ol, _ := op.([]any)
	if len(ul) > len(ol) {
		return user
	}
	return op
}
