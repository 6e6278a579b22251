package stream

import (
	"encoding/binary"
	"fmt"
)

// Several messages in one, as Spring AMQP's batching template writes them:
//
//	+---------------+---------+---------------+---------+
//	| length, int32 | payload | length, int32 | payload | …    lengths big-endian, without themselves
//	+---------------+---------+---------------+---------+
//
// Properties and headers are the first message's.
const (
	headerBatchFormat = "springBatchFormat"
	headerBatchSize   = "amqp_batchSize"
	formatLengths     = "lengthHeader4"
	lengthBytes       = 4
)

// pack makes one message of several; of one it is that one, plain.
func pack(ms []Raw) Raw {
	if len(ms) == 1 {
		return ms[0]
	}
	size := 0
	for _, m := range ms {
		size += lengthBytes + len(m.Payload)
	}
	body := make([]byte, 0, size)
	for _, m := range ms {
		body = binary.BigEndian.AppendUint32(body, uint32(len(m.Payload)))
		body = append(body, m.Payload...)
	}
	first := ms[0]
	first.Payload = body
	first.Headers = first.Headers.Clone()
	first.Headers[headerBatchFormat] = formatLengths
	first.Headers[headerBatchSize] = int32(len(ms))
	return first
}

// packed tells whether m holds several messages.
func packed(m Raw) bool { return m.Headers.String(headerBatchFormat) == formatLengths }

// unpack is the way back; the error wraps ErrUndecodable. Parts get the id of the whole with their number behind it, so that
// each can be recognised when it comes again.
func unpack(m Raw) ([]Raw, error) {
	if !packed(m) {
		return []Raw{m}, nil
	}
	var ms []Raw
	h := m.Headers.Clone()
	delete(h, headerBatchFormat)
	delete(h, headerBatchSize)
	for rest := m.Payload; len(rest) > 0; {
		if len(rest) < lengthBytes {
			return nil, fmt.Errorf("%w: %d bytes are left where a length of %d should be", ErrUndecodable, len(rest), lengthBytes)
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[lengthBytes:]
		if uint64(n) > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: a part of %d bytes in a batch of which %d are left", ErrUndecodable, n, len(rest))
		}
		part := m
		part.Payload = rest[:n:n]
		part.Headers = h.Clone()
		if m.ID != "" {
			part.ID = fmt.Sprintf("%s-%d", m.ID, len(ms))
		}
		ms = append(ms, part)
		rest = rest[n:]
	}
	if len(ms) == 0 {
		return nil, fmt.Errorf("%w: an empty batch", ErrUndecodable)
	}
	for i := range ms {
		ms[i].Delivery.BatchSize = len(ms)
	}
	ms[len(ms)-1].Delivery.LastInBatch = true
	return ms, nil
}
