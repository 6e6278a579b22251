package message

import (
	"encoding/binary"
	"fmt"
)

// Flag says which properties are present. The bits are those of the wire, so the
// first property of the specification is the highest bit.
type Flag uint16

// The 14 properties of class basic, in the order of the wire. Bit 0 would announce a
// second word of flags, bit 1 has no meaning; the class has no use for either.
const (
	HasContentType     Flag = 1 << 15
	HasContentEncoding Flag = 1 << 14
	HasHeaders         Flag = 1 << 13
	HasDeliveryMode    Flag = 1 << 12
	HasPriority        Flag = 1 << 11
	HasCorrelationID   Flag = 1 << 10
	HasReplyTo         Flag = 1 << 9
	HasExpiration      Flag = 1 << 8
	HasMessageID       Flag = 1 << 7
	HasTimestamp       Flag = 1 << 6
	HasType            Flag = 1 << 5
	HasUserID          Flag = 1 << 4
	HasAppID           Flag = 1 << 3
	HasClusterID       Flag = 1 << 2
)

const flagsUndefined Flag = 1<<1 | 1<<0

// Persistent is the delivery mode of a message that shall survive a restart.
const Persistent = 2

// Properties is a message's decoded property list. Flags says which fields count.
type Properties struct {
	Flags           Flag
	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8 // 2 is persistent
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // milliseconds, in decimal
	MessageID       string
	Timestamp       Timestamp
	Type            string
	UserID          string
	AppID           string
	ClusterID       string // the specification's "reserved"
}

// Has says if all the given properties are present.
func (p Properties) Has(f Flag) bool { return p.Flags&f == f }

// Persistent says if the message asks to survive a restart.
func (p Properties) Persistent() bool {
	return p.Has(HasDeliveryMode) && p.DeliveryMode == Persistent
}

// short returns the field of a property that is a short string, else nil.
func (p *Properties) short(f Flag) *string {
	switch f {
	case HasContentType:
		return &p.ContentType
	case HasContentEncoding:
		return &p.ContentEncoding
	case HasCorrelationID:
		return &p.CorrelationID
	case HasReplyTo:
		return &p.ReplyTo
	case HasExpiration:
		return &p.Expiration
	case HasMessageID:
		return &p.MessageID
	case HasType:
		return &p.Type
	case HasUserID:
		return &p.UserID
	case HasAppID:
		return &p.AppID
	case HasClusterID:
		return &p.ClusterID
	default:
		return nil
	}
}

// Append appends the wire form: the flags, then each present property. It panics if a
// string is longer than 255 bytes or if the headers would not pass Table.Check.
func (p Properties) Append(dst []byte) []byte {
	p.Flags &^= flagsUndefined
	dst = binary.BigEndian.AppendUint16(dst, uint16(p.Flags))
	for f := HasContentType; f >= HasClusterID; f >>= 1 {
		if p.Flags&f == 0 {
			continue
		}
		switch f {
		case HasHeaders:
			dst = p.Headers.Append(dst)
		case HasDeliveryMode:
			dst = append(dst, p.DeliveryMode)
		case HasPriority:
			dst = append(dst, p.Priority)
		case HasTimestamp:
			dst = binary.BigEndian.AppendUint64(dst, uint64(p.Timestamp))
		default:
			dst = AppendShort(dst, *p.short(f))
		}
	}
	return dst
}

// ParseProperties decodes raw as it stands in Message.Properties. The result shares no
// memory with raw.
func ParseProperties(raw []byte) (Properties, error) {
	var p Properties
	w, err := walk(raw)
	if err != nil {
		return Properties{}, err
	}
	p.Flags = w.flags
	for w.next() {
		switch w.flag {
		case HasHeaders:
			if p.Headers, _, err = ParseTable(w.value); err != nil {
				return Properties{}, fmt.Errorf("headers: %w", err)
			}
		case HasDeliveryMode:
			p.DeliveryMode = w.value[0]
		case HasPriority:
			p.Priority = w.value[0]
		case HasTimestamp:
			p.Timestamp = Timestamp(binary.BigEndian.Uint64(w.value))
		default:
			*p.short(w.flag) = string(w.value)
		}
	}
	if err := w.end(); err != nil {
		return Properties{}, err
	}
	return p, nil
}
