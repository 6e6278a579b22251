package routing

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/warren-mq/warren/broker/internal/message"
)

// The exchange types that give each message to one destination only.
const (
	ConsistentHash = "x-consistent-hash"
	ModulusHash    = "x-modulus-hash"
	Random         = "x-random"
	// LocalRandom is Random among the queues that are kept on the node of the publisher.
	LocalRandom = "x-local-random"
)

const (
	hashHeaderArg   = "hash-header"
	hashPropertyArg = "hash-property"
)

// hashed gives a message to the destination that its key, one of its headers or one of
// its properties decides on: the same for the same value, as long as the bindings stay.
// With weights, a destination gets a share in proportion to its binding's key; when one
// comes or goes, only its own share moves. The outcome depends on the bindings that
// there are and not on how they came about, so all nodes agree.
type hashed struct {
	set      set
	weighted bool
	header   string // "": none
	property string // "": none
}

func newHashed(weighted bool, args message.Table) *hashed {
	h := &hashed{weighted: weighted}
	if v, ok := args.Get(hashHeaderArg); ok && weighted {
		h.header, _ = v.(string)
	}
	if v, ok := args.Get(hashPropertyArg); ok && weighted {
		h.property, _ = v.(string)
	}
	return h
}

func checkHashed(args message.Table) error {
	_, header := args.Get(hashHeaderArg)
	property, hasProperty := args.Get(hashPropertyArg)
	switch {
	case header && hasProperty:
		return errors.New("hash-header and hash-property are mutually exclusive")
	case !hasProperty:
		return nil
	}
	if !slices.Contains([]any{"message_id", "correlation_id", "timestamp"}, property) {
		return fmt.Errorf("Unsupported property: %v", property) //nolint:staticcheck // RabbitMQ's text
	}
	return nil
}

// checkWeight checks the key of a binding, which is its weight.
func checkWeight(key string) error {
	n, err := strconv.ParseInt(key, 10, 32)
	switch {
	case err != nil && key == "":
		return errors.New("The binding key must be an integer: <<>>") //nolint:staticcheck // RabbitMQ's text
	case err != nil:
		return fmt.Errorf("The binding key must be an integer: <<%q>>", key) //nolint:staticcheck // RabbitMQ's text
	case n < 1:
		return errors.New("The binding key must be greater than 0") //nolint:staticcheck // RabbitMQ's text
	}
	return nil
}

func (h *hashed) Add(b Binding)    { h.set.add(b) }
func (h *hashed) Remove(b Binding) { h.set.remove(b) }
func (h *hashed) Len() int         { return len(h.set.list) }

// Match picks by rendezvous: each destination draws a number from the message's value
// and its own identity, and the lowest in proportion to its weight wins.
func (h *hashed) Match(m Message, visit func(dest uint64)) {
	if len(h.set.list) == 0 {
		return
	}
	value := hash(fnvOffset, h.value(m))
	var best uint64
	least := math.Inf(1)
	for i := range h.set.list {
		b := &h.set.list[i]
		weight := 1.0
		if h.weighted {
			n, _ := strconv.ParseInt(b.Key, 10, 32) // it was checked
			weight = float64(n)
		}
		draw := -math.Log(unit(mix(value^mix(b.Dest)))) / weight
		if draw < least || draw == least && b.Dest < best {
			least, best = draw, b.Dest
		}
	}
	visit(best)
}

// value returns what of a message is hashed; a header or property that it lacks counts
// as empty.
func (h *hashed) value(m Message) []byte {
	switch {
	case h.header != "":
		v, ok := m.Headers().Get(h.header)
		if s, isString := v.(string); isString {
			return []byte(s)
		}
		if !ok {
			return nil
		}
		return message.AppendField(nil, message.Field{Value: v})
	case h.property != "":
		p, err := message.ParseProperties(m.Properties)
		if err != nil {
			return nil // the codec has checked them: can't fail
		}
		switch h.property {
		case "message_id":
			return []byte(p.MessageID)
		case "correlation_id":
			return []byte(p.CorrelationID)
		default:
			return strconv.AppendInt(nil, int64(p.Timestamp), 10)
		}
	}
	return []byte(m.Key)
}

// hash is FNV-1a: simple, and the same everywhere and for ever.
func hash(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// mix spreads a number over all its bits (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// unit turns a number into one between 0 and 1, both excluded.
func unit(x uint64) float64 { return (float64(x>>11) + 0.5) / (1 << 53) }

// random gives each message to any one of its destinations; local ones only look at the
// publisher's node.
type random struct {
	set   set
	local bool
}

func (r *random) Add(b Binding)    { r.set.add(b) }
func (r *random) Remove(b Binding) { r.set.remove(b) }
func (r *random) Len() int         { return len(r.set.list) }

func (r *random) Match(m Message, visit func(dest uint64)) {
	n := 0
	var chosen uint64
	for i := range r.set.list {
		dest := r.set.list[i].Dest
		if r.local && (m.Local == nil || !m.Local(dest)) {
			continue
		}
		// Of n candidates the last one replaces the choice with probability 1/n.
		if n++; mix(m.Random+uint64(n))%uint64(n) == 0 {
			chosen = dest
		}
	}
	if n > 0 {
		visit(chosen)
	}
}

func checkLocalRandom(key string) error {
	if key != "" {
		return fmt.Errorf("Non empty binding '%s' key not permitted", key) //nolint:staticcheck // RabbitMQ's text
	}
	return nil
}
