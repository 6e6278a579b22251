package metadata

import (
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// Delayed is the type of an exchange that keeps a message as long as its header x-delay
// says, and then routes it as an exchange of the type that argument x-delayed-type
// names. What waits is in a queue of the exchange's own, its store: replicated, counted
// and purged like any other, but nobody's to publish to or to consume from.
const Delayed = "x-delayed-message"

// storePrefix and the exchange's name are the store's name.
const storePrefix = "amq.delayed."

// newMatcher returns the matcher of an exchange, false if there is none of its type.
func newMatcher(x *Exchange) (routing.Matcher, bool) {
	if x.Type != Delayed {
		return routing.New(x.Type, x.Args.Table)
	}
	t, _ := x.Args.Get("x-delayed-type")
	name, _ := t.(string)
	return routing.New(name, x.Args.Table)
}

// checkDelayed checks the declaration of an exchange that delays by itself.
func checkDelayed(x *Exchange) *fault.Error {
	if x.Type != Delayed {
		return nil
	}
	if _, ok := newMatcher(x); !ok {
		return fault.New(fault.PreconditionFailed, "Invalid argument, 'x-delayed-type' must be an existing exchange type")
	}
	if most := nameBytesMax - len(storePrefix); len(x.Name) > most {
		return fault.New(fault.PreconditionFailed, "the name of an exchange that delays is longer than %d bytes", most)
	}
	return nil
}

// addStore gives an exchange that delays its store, where the proposer wants it.
func (s *State) addStore(v *VHost, x *Exchange, group uint64) {
	q := &Queue{ID: s.newID(), VHost: v.Name, Name: storePrefix + x.Name, Durable: x.Durable, Group: group, Delays: x.Name}
	x.Store = q.ID
	v.Queues[q.Name] = q
	s.index(q)
	s.changed(Change{Kind: QueueSet, Queue: q})
}

// delayed reports whether the message is to wait: its header asks for it.
func delayed(headers func() message.Table) bool {
	v, ok := headers().Get(message.DelayHeader)
	return ok && message.Delay(v) > 0
}

// IsStore refuses what only a client's own queue is for; nil if q is one.
func (q *Queue) IsStore() *fault.Error {
	if q.Delays == "" {
		return nil
	}
	return fault.New(fault.AccessRefused, "queue '%s' in vhost '%s' keeps the delayed messages of exchange '%s': "+
		"it can be purged, and goes with its exchange", q.Name, q.VHost, q.Delays)
}
