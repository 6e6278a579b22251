// Package routing finds the bindings that a message matches: one matcher for each
// exchange type. It is a pure data structure. The exchange's owner keeps one, tells it
// of bindings as they come and go, and asks it for each message. Match may run in many
// goroutines at once, as long as no Add or Remove runs beside it.
package routing

import (
	"encoding/binary"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Binding ties an exchange to a destination. All three fields together are its
// identity: the same key with other arguments is another binding.
type Binding struct {
	Key  string
	Args message.Table
	// Dest is the caller's name for a queue or an exchange.
	Dest uint64
}

// identity returns equal strings for equal bindings.
func (b *Binding) identity() string {
	id := make([]byte, 0, 64)
	id = binary.BigEndian.AppendUint64(id, b.Dest)
	id = b.Args.Append(id) // carries its length, so the key's start is known
	return string(append(id, b.Key...))
}

func (b *Binding) equal(o *Binding) bool {
	return b.Dest == o.Dest && b.Key == o.Key && b.Args.Equal(o.Args)
}

// Message is what of a message decides where it goes.
type Message struct {
	Key string
	// Headers returns the header table; it is only called by exchange types that look at it.
	Headers func() message.Table
	// Properties is the message's raw property list.
	Properties []byte
	// Random is a number that nobody can foretell; only exchange types that leave the
	// choice to chance use it.
	Random uint64
	// Local reports whether a destination is kept on the node that routes; nil: none is.
	Local func(dest uint64) bool
}

// Matcher holds an exchange's bindings.
type Matcher interface {
	// Add adds a binding; one that is there already stays as it is.
	Add(b Binding)
	// Remove removes a binding, if it is there.
	Remove(b Binding)
	// Match calls visit for each binding that a message matches. A destination with
	// many bindings may be visited more than once. Headers is called at most once.
	Match(m Message, visit func(dest uint64))
	// Len returns the number of bindings.
	Len() int
}

// New returns an empty matcher for an exchange type, with the exchange's arguments; false
// if there is no such type.
func New(exchangeType string, args message.Table) (Matcher, bool) {
	switch exchangeType {
	case "direct":
		return newDirect(), true
	case "fanout":
		return new(fanout), true
	case "topic":
		return newTopic(), true
	case "headers":
		return new(headers), true
	case ConsistentHash:
		return newHashed(true, args), true
	case ModulusHash:
		return newHashed(false, args), true
	case Random:
		return new(random), true
	case LocalRandom:
		return &random{local: true}, true
	}
	return nil, false
}

// Check says why a binding is none for that exchange type; nil if it is one.
func Check(exchangeType string, b Binding) error {
	switch exchangeType {
	case "headers":
		return checkHeaders(b.Args)
	case "topic":
		return checkTopic(b.Key)
	case ConsistentHash:
		return checkWeight(b.Key)
	case LocalRandom:
		return checkLocalRandom(b.Key)
	}
	return nil
}

// CheckExchange says what is wrong with the arguments of an exchange of that type.
func CheckExchange(exchangeType string, args message.Table) error {
	if exchangeType == ConsistentHash {
		return checkHashed(args)
	}
	return nil
}
