package amqp

import (
	"encoding/binary"

	"github.com/warren-mq/warren/broker/internal/message"
)

func appendShort(dst []byte, v uint16) []byte    { return binary.BigEndian.AppendUint16(dst, v) }
func appendLong(dst []byte, v uint32) []byte     { return binary.BigEndian.AppendUint32(dst, v) }
func appendLonglong(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }
func appendShortstr(dst []byte, s string) []byte { return message.AppendShort(dst, s) }

func appendOctet(dst []byte, v uint8) []byte { return append(dst, v) }

func appendLongstr(dst []byte, s string) []byte {
	return append(appendLong(dst, uint32(len(s))), s...)
}

func appendTable(dst []byte, t message.Table) []byte { return t.Append(dst) }

// appendBits packs bits into octets, the first into the lowest.
func appendBits(dst []byte, bits ...bool) []byte {
	for i, b := range bits {
		if i%8 == 0 {
			dst = append(dst, 0)
		}
		if b {
			dst[len(dst)-1] |= 1 << (i % 8)
		}
	}
	return dst
}
