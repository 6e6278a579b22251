// Package queue is the queue's state machine: deterministic, without clock, lock or
// I/O. A Shard holds the queues of one placement group and applies commands to them,
// the same on every member; the leader's member also says who gets which message.
package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Op is a command's verb.
type Op uint8

// The commands.
const (
	OpEnqueue Op = 1 // a message to some of the shard's queues
	OpSettle  Op = 2 // messages are done
	OpReturn  Op = 3 // messages go back to their places
	OpDiscard Op = 4 // messages are to be dead-lettered, or dropped
	OpMark    Op = 5 // messages up to here may have been delivered
	OpSet     Op = 6 // a queue begins, or its configuration changes
	OpDrop    Op = 7 // a queue ends
	// A queue that moves: see AppendSeal.
	OpSeal      Op = 8
	OpImport    Op = 9
	OpForwarded Op = 10
	OpEmpty     Op = 11
	// OpRefuse is an enqueue that at least one queue refuses, which its origin is told.
	OpRefuse Op = 12
)

// Reason is why a message was discarded; its names are those of x-death.
type Reason uint8

// The reasons.
const (
	Rejected Reason = iota + 1
	Expired
	MaxLen
	DeliveryLimit
)

// String returns the reason as x-death spells it.
func (r Reason) String() string {
	if r < Rejected || r > DeliveryLimit {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return [...]string{"rejected", "expired", "maxlen", "delivery_limit"}[r-1]
}

// Range is sequence numbers From to To, both included.
type Range struct{ From, To uint64 }

// Ranges returns sequence numbers as ranges, each number once, sorting them first if
// need be.
func Ranges(seqs []uint64) []Range {
	if !slices.IsSorted(seqs) {
		slices.Sort(seqs)
	}
	var rs []Range
	for _, s := range seqs {
		if n := len(rs); n > 0 && s <= rs[n-1].To+1 {
			rs[n-1].To = s
			continue
		}
		rs = append(rs, Range{s, s})
	}
	return rs
}

// Without returns ranges without those in less; both are sorted.
func Without(ranges, less []Range) []Range {
	var left []Range
	for _, r := range ranges {
		for _, l := range less {
			if l.To < r.From {
				continue
			}
			if l.From > r.To {
				break
			}
			if l.From > r.From {
				left = append(left, Range{r.From, l.From - 1})
			}
			if l.To >= r.To {
				r.From = r.To + 1
				break
			}
			r.From = l.To + 1
		}
		if r.From <= r.To {
			left = append(left, r)
		}
	}
	return left
}

// A command on the wire and in the log, little-endian:
//
//	op u8 | length u32 | content
//
// enqueue: queues u16 | queue u64… | now i64 | time to live i64 | message
// settle:  queue u64 | ranges
// return:  queue u64 | counted u8 | ranges
// refuse:  stored u16 | dead u16 | queue u64… | now i64 | time to live i64 | message
// discard: queue u64 | reason u8 | ranges
// mark:    queue u64 | up to u64
// set:     queue u64 | configuration;  drop, seal, empty: queue u64
// import:  queue u64 | flags u8 | configuration | next u64 | mark u64 | messages u32 |
// message as in a snapshot…;  forwarded: queue u64 | count u32
//
// ranges: count u32 | (from u64 | to u64)…
// message: exchange shortstr | routing key shortstr | properties length u32, of which the
// highest bit says that x-death is the broker's own | properties | body
const commandHeadBytes = 5

var errCommand = errors.New("command cut short")

func beginCommand(b []byte, op Op) ([]byte, int) {
	return append(b, byte(op), 0, 0, 0, 0), len(b)
}

func endCommand(b []byte, at int) []byte {
	binary.LittleEndian.PutUint32(b[at+1:], uint32(len(b)-at-commandHeadBytes))
	return b
}

// AppendEnqueue appends the command that puts m into queues, which are at least one.
// now is in Unix milliseconds; ttl is the message's own time to live in milliseconds,
// negative if it has none.
func AppendEnqueue(b []byte, queues []uint64, now, ttl int64, m *message.Message) []byte {
	b, at := beginCommand(b, OpEnqueue)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(queues)))
	for _, q := range queues {
		b = binary.LittleEndian.AppendUint64(b, q)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(now))
	b = binary.LittleEndian.AppendUint64(b, uint64(ttl))
	b = AppendMessage(b, m)
	return endCommand(b, at)
}

// AppendMessage appends m as the shard stores it.
func AppendMessage(b []byte, m *message.Message) []byte {
	b = message.AppendShort(b, m.Exchange)
	b = message.AppendShort(b, m.RoutingKey)
	n := uint32(len(m.Properties))
	if m.Died {
		n |= diedFlag
	}
	b = binary.LittleEndian.AppendUint32(b, n)
	b = append(b, m.Properties...)
	return append(b, m.Body...)
}

// ParseMessage reads what AppendMessage wrote; the message aliases raw.
func ParseMessage(raw []byte) (*message.Message, error) {
	m := &message.Message{}
	var ok bool
	if m.Exchange, raw, ok = cutShort(raw); !ok {
		return nil, errCommand
	}
	if m.RoutingKey, raw, ok = cutShort(raw); !ok || len(raw) < 4 {
		return nil, errCommand
	}
	head := binary.LittleEndian.Uint32(raw)
	n := int(head &^ diedFlag)
	raw = raw[4:]
	if n > len(raw) {
		return nil, errCommand
	}
	m.Died = head&diedFlag != 0
	m.Properties, m.Body = raw[:n:n], raw[n:len(raw):len(raw)]
	return m, nil
}

// diedFlag marks, beside the length of the properties, that x-death is the broker's.
const diedFlag = 1 << 31

// split returns where an encoded message's properties are; ok is false if it is none.
func split(raw []byte) (from, to int, ok bool) {
	for range 2 { // exchange, routing key
		if from >= len(raw) || int(raw[from]) >= len(raw)-from {
			return 0, 0, false
		}
		from += 1 + int(raw[from])
	}
	if len(raw)-from < 4 {
		return 0, 0, false
	}
	n := int(binary.LittleEndian.Uint32(raw[from:]) &^ diedFlag)
	from += 4
	return from, from + n, n <= len(raw)-from
}

// bodyLength returns how long the body of an encoded message is; -1: it is none.
func bodyLength(raw []byte) int {
	if _, to, ok := split(raw); ok {
		return len(raw) - to
	}
	return -1
}

// propertiesOf returns the properties of an encoded message.
func propertiesOf(raw []byte) ([]byte, bool) {
	from, to, ok := split(raw)
	if !ok {
		return nil, false
	}
	return raw[from:to], true
}

func cutShort(b []byte) (string, []byte, bool) {
	if len(b) == 0 || int(b[0]) >= len(b) {
		return "", nil, false
	}
	n := int(b[0])
	return string(b[1 : 1+n]), b[1+n:], true
}

// AppendSettle appends the command that removes messages from queue.
func AppendSettle(b []byte, queue uint64, rs []Range) []byte {
	b, at := beginCommand(b, OpSettle)
	b = binary.LittleEndian.AppendUint64(b, queue)
	return endCommand(appendRanges(b, rs), at)
}

// AppendReturn appends the command that puts messages back; counted adds a failed
// delivery to each.
func AppendReturn(b []byte, queue uint64, counted bool, rs []Range) []byte {
	b, at := beginCommand(b, OpReturn)
	b = binary.LittleEndian.AppendUint64(b, queue)
	b = append(b, 0)
	if counted {
		b[len(b)-1] = 1
	}
	return endCommand(appendRanges(b, rs), at)
}

// AppendDiscard appends the command that discards messages for a reason.
func AppendDiscard(b []byte, queue uint64, why Reason, rs []Range) []byte {
	b, at := beginCommand(b, OpDiscard)
	b = binary.LittleEndian.AppendUint64(b, queue)
	b = append(b, byte(why))
	return endCommand(appendRanges(b, rs), at)
}

// AppendMark appends the command that says that messages up to upTo may have been
// delivered.
func AppendMark(b []byte, queue, upTo uint64) []byte {
	b, at := beginCommand(b, OpMark)
	b = binary.LittleEndian.AppendUint64(b, queue)
	return endCommand(binary.LittleEndian.AppendUint64(b, upTo), at)
}

// AppendSet appends the command that begins queue or changes its configuration.
func AppendSet(b []byte, queue uint64, c Config) []byte {
	b, at := beginCommand(b, OpSet)
	b = binary.LittleEndian.AppendUint64(b, queue)
	return endCommand(c.append(b), at)
}

// AppendDrop appends the command that ends queue.
func AppendDrop(b []byte, queue uint64) []byte {
	b, at := beginCommand(b, OpDrop)
	return endCommand(binary.LittleEndian.AppendUint64(b, queue), at)
}

func appendRanges(b []byte, rs []Range) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rs)))
	for _, r := range rs {
		b = binary.LittleEndian.AppendUint64(b, r.From)
		b = binary.LittleEndian.AppendUint64(b, r.To)
	}
	return b
}

func parseRanges(b []byte) ([]Range, error) {
	if len(b) < 4 {
		return nil, errCommand
	}
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > len(b)/16 {
		return nil, errCommand
	}
	rs := make([]Range, n)
	for i := range rs {
		rs[i] = Range{binary.LittleEndian.Uint64(b[16*i:]), binary.LittleEndian.Uint64(b[16*i+8:])}
	}
	return rs, nil
}

// cutCommand takes the first command off b.
func cutCommand(b []byte) (op Op, content, rest []byte, err error) {
	if len(b) < commandHeadBytes {
		return 0, nil, nil, errCommand
	}
	n := int(binary.LittleEndian.Uint32(b[1:]))
	if n > len(b)-commandHeadBytes {
		return 0, nil, nil, errCommand
	}
	end := commandHeadBytes + n
	return Op(b[0]), b[commandHeadBytes:end:end], b[end:], nil
}
