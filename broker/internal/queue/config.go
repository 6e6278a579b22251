package queue

import (
	"encoding/binary"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Config is what a queue's arguments and its policy come to.
type Config struct {
	Name  string
	VHost string
	// DeadLetter is set if there is a dead-letter exchange, which may be "" (default).
	DeadLetter         bool
	DeadLetterExchange string
	// DeadLetterKey replaces the routing keys if DeadLetterKeySet.
	DeadLetterKey    string
	DeadLetterKeySet bool
	// AtLeastOnce keeps a dead letter until all its targets have it, however long that
	// takes; else what goes nowhere or is refused there is dropped.
	AtLeastOnce    bool
	TTL            int64 // milliseconds; -1: none
	Expires        int64 // milliseconds without use until the queue is deleted; -1: never
	MaxLength      int64 // ready messages; -1: none
	MaxLengthBytes int64 // bytes of ready messages; -1: none
	Overflow       Overflow
	DeliveryLimit  int64 // failed deliveries; -1: none
	// Priorities is the highest priority that is told apart; 0: all messages are equal.
	Priorities uint8
	// Quorum queues count deliveries, and have priorities without asking.
	Quorum bool
	// SingleActive gives all messages to one consumer at a time.
	SingleActive bool
	// Delay makes it the store of an exchange that delays: each message expires when its
	// delay is over.
	Delay bool
}

// Overflow is what happens to messages beyond the length limits.
type Overflow uint8

// The overflow modes.
const (
	DropHead      Overflow = iota // the oldest go
	RejectPublish                 // new ones are refused
	RejectDead                    // and dead-lettered
)

// The flags of a configuration, as it is encoded.
const (
	configDeadLetter = 1 << iota
	configDeadLetterKeySet
	configAtLeastOnce
	configQuorum
	configSingleActive
	configDelay
)

// configFixedBytes is what follows the names.
const configFixedBytes = 5*8 + 2

func (c *Config) flags() []struct {
	bit byte
	on  *bool
} {
	return []struct {
		bit byte
		on  *bool
	}{
		{configDeadLetter, &c.DeadLetter}, {configDeadLetterKeySet, &c.DeadLetterKeySet},
		{configAtLeastOnce, &c.AtLeastOnce}, {configQuorum, &c.Quorum},
		{configSingleActive, &c.SingleActive}, {configDelay, &c.Delay},
	}
}

func (c *Config) numbers() [5]*int64 {
	return [...]*int64{&c.TTL, &c.Expires, &c.MaxLength, &c.MaxLengthBytes, &c.DeliveryLimit}
}

// append encodes the configuration: name, virtual host, flags u8, dead-letter exchange,
// dead-letter key, numbers i64…, overflow u8, priorities u8.
func (c Config) append(b []byte) []byte {
	b = message.AppendShort(b, c.Name)
	b = message.AppendShort(b, c.VHost)
	var flags byte
	for _, f := range c.flags() {
		if *f.on {
			flags |= f.bit
		}
	}
	b = append(b, flags)
	b = message.AppendShort(b, c.DeadLetterExchange)
	b = message.AppendShort(b, c.DeadLetterKey)
	for _, v := range c.numbers() {
		b = binary.LittleEndian.AppendUint64(b, uint64(*v))
	}
	return append(b, byte(c.Overflow), c.Priorities)
}

func parseConfig(b []byte) (c Config, rest []byte, err error) {
	var ok bool
	if c.Name, b, ok = cutShort(b); !ok {
		return c, nil, errCommand
	}
	if c.VHost, b, ok = cutShort(b); !ok || len(b) < 1 {
		return c, nil, errCommand
	}
	for _, f := range c.flags() {
		*f.on = b[0]&f.bit != 0
	}
	if c.DeadLetterExchange, b, ok = cutShort(b[1:]); !ok {
		return c, nil, errCommand
	}
	if c.DeadLetterKey, b, ok = cutShort(b); !ok || len(b) < configFixedBytes {
		return c, nil, errCommand
	}
	for _, v := range c.numbers() {
		*v = int64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	c.Overflow, c.Priorities = Overflow(b[0]), b[1]
	return c, b[2:], nil
}

// quorumPriorities is how many levels above 0 a quorum queue tells apart, and
// quorumPriority where a message stands that has none.
const (
	quorumPriorities = 31
	quorumPriority   = 4
)

// priority returns the level of a message.
func (c *Config) priority(raw []byte) uint8 {
	most, level := c.Priorities, uint8(0)
	if c.Quorum {
		most, level = quorumPriorities, quorumPriority
	}
	if most == 0 {
		return 0
	}
	if m, ok := propertiesOf(raw); ok {
		if p, set := message.PeekPriority(m); set {
			level = p
		}
	}
	return min(level, most)
}

// delay returns how long a message is to be delayed, in milliseconds; 0: not at all.
func delay(raw []byte) int64 {
	if p, ok := propertiesOf(raw); ok {
		return message.PeekDelay(p)
	}
	return 0
}
