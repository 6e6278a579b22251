package node

import (
	"encoding/binary"

	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Kinds of frames between nodes; integers are little-endian.
const (
	kindRaft     = cluster.FirstKind + iota // group u64 | message
	kindSnapshot                            // bulk: group u64; files; message with a snapshot
	kindMeta                                // a metadata proposal
	kindApplied                             // metadata index u64
	kindLeader                              // group u64 | term u64: the sender leads it
	kindLane                                // group u64 | incarnation u64 | base u64 | first u64 | count u32 | commands
	kindLaneAck                             // group u64 | incarnation u64 | up to u64 | refused u64…
	kindRewind                              // group u64 | incarnation u64 | next u64
	kindAttach                              // group u64 | term u64 | JSON of attachment
	kindDeliver                             // group u64 | epoch u32 | consumer u64 | deliveries
	kindCredit                              // group u64 | incarnation u64 | queue u64 | consumer u64 | n u64 | bytes u64
	kindRequest                             // JSON of request
	kindReply                               // JSON of reply
	kindAlarm                               // the sender's alarms u8
)

// parser reads a frame's fields; the first failure sticks.
type parser struct {
	b  []byte
	ok bool
}

func parse(b []byte) parser { return parser{b, true} }

func (p *parser) take(n int) []byte {
	if !p.ok || n < 0 || n > len(p.b) {
		p.ok = false
		return make([]byte, max(n, 0)&0xf)
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *parser) u8() uint8 {
	if v := p.take(1); p.ok {
		return v[0]
	}
	return 0
}

func (p *parser) u32() uint32 {
	if v := p.take(4); p.ok {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (p *parser) u64() uint64 {
	if v := p.take(8); p.ok {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// rest64 returns all that is left, as numbers.
func (p *parser) rest64() []uint64 {
	var vs []uint64
	for p.ok && len(p.b) > 0 {
		if v := p.u64(); p.ok {
			vs = append(vs, v)
		}
	}
	return vs
}

func u64s(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// A delivery in a frame: seq u64 | redelivered u8 | returns u32 | acquired u32 | length u32 |
// message.
func appendDelivery(b []byte, d queue.Delivery) []byte {
	b = u64s(b, d.Seq)
	if d.Redelivered {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, d.Returns)
	b = binary.LittleEndian.AppendUint32(b, d.Acquired)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(d.Raw)))
	return append(b, d.Raw...)
}

func (p *parser) delivery() queue.Delivery {
	d := queue.Delivery{Seq: p.u64(), Redelivered: p.u8() == 1, Returns: p.u32(), Acquired: p.u32()}
	d.Raw = p.take(int(p.u32()))
	return d
}

// fromQueue turns a queue's delivery into what a front end gets.
func fromQueue(d queue.Delivery) (Delivery, error) {
	m, err := queue.ParseMessage(d.Raw)
	return Delivery{Seq: d.Seq, Redelivered: d.Redelivered, DeliveryCount: d.Returns, AcquiredCount: d.Acquired, Message: m}, err
}
