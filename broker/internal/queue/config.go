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
	TTL              int64 // milliseconds; -1: none
	MaxLength        int64 // ready messages; -1: none
	MaxLengthBytes   int64 // bytes of ready messages; -1: none
	DeliveryLimit    int64 // failed deliveries; -1: none
}

func (c Config) append(b []byte) []byte {
	b = message.AppendShort(b, c.Name)
	b = message.AppendShort(b, c.VHost)
	var flags byte
	if c.DeadLetter {
		flags |= 1
	}
	if c.DeadLetterKeySet {
		flags |= 2
	}
	b = append(b, flags)
	b = message.AppendShort(b, c.DeadLetterExchange)
	b = message.AppendShort(b, c.DeadLetterKey)
	for _, v := range [...]int64{c.TTL, c.MaxLength, c.MaxLengthBytes, c.DeliveryLimit} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func parseConfig(b []byte) (c Config, rest []byte, err error) {
	var ok bool
	if c.Name, b, ok = cutShort(b); !ok {
		return c, nil, errCommand
	}
	if c.VHost, b, ok = cutShort(b); !ok || len(b) < 1 {
		return c, nil, errCommand
	}
	c.DeadLetter, c.DeadLetterKeySet = b[0]&1 != 0, b[0]&2 != 0
	if c.DeadLetterExchange, b, ok = cutShort(b[1:]); !ok {
		return c, nil, errCommand
	}
	if c.DeadLetterKey, b, ok = cutShort(b); !ok || len(b) < 32 {
		return c, nil, errCommand
	}
	for i, v := range [...]*int64{&c.TTL, &c.MaxLength, &c.MaxLengthBytes, &c.DeliveryLimit} {
		*v = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return c, b[32:], nil
}
