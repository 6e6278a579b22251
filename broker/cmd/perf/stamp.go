package main

import (
	"encoding/binary"
	"time"
)

// stamp tells a message's story: who published it, as what number, when. It stands at
// the body's beginning, or in the message id if the body is too small.
//
//	0        8          12     20               28
//	+--------+----------+------+----------------+
//	| run id | producer | seq  | ns since start |
//	+--------+----------+------+----------------+
type stamp struct {
	run      uint64
	producer uint32
	seq      uint64
	sent     time.Duration // since the run's start, by a monotonic clock
}

const stampBytes = 28

func (s stamp) put(b []byte) {
	be := binary.BigEndian
	be.PutUint64(b, s.run)
	be.PutUint32(b[8:], s.producer)
	be.PutUint64(b[12:], s.seq)
	be.PutUint64(b[20:], uint64(s.sent))
}

// readStamp finds the stamp in a message; false if it has none.
func readStamp(body []byte, messageID string) (stamp, bool) {
	b := body
	if len(messageID) == stampBytes {
		b = []byte(messageID)
	}
	if len(b) < stampBytes {
		return stamp{}, false
	}
	be := binary.BigEndian
	return stamp{
		run: be.Uint64(b), producer: be.Uint32(b[8:]), seq: be.Uint64(b[12:]),
		sent: time.Duration(be.Uint64(b[20:])),
	}, true
}
