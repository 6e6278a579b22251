package main

import (
	"encoding/binary"
	"hash/crc32"
)

// stamp says which message this is. The rest of the body follows from it, and a
// checksum ends it:
//
//	0        8           12        16     24
//	+--------+-----------+---------+------+---------+----------+
//	| run id | publisher | session | seq  | padding | CRC u32  |
//	+--------+-----------+---------+------+---------+----------+
type stamp struct {
	run       uint64
	publisher uint32
	session   uint32 // of the publisher: one channel
	seq       uint64 // of the publisher, over all sessions
}

const stampBytes = 28

// body returns a message of the given size.
func (s stamp) body(size int) []byte {
	b := make([]byte, size)
	be := binary.BigEndian
	be.PutUint64(b, s.run)
	be.PutUint32(b[8:], s.publisher)
	be.PutUint32(b[12:], s.session)
	be.PutUint64(b[16:], s.seq)
	for i := 24; i < size-4; i++ {
		b[i] = byte(s.seq) + byte(i)
	}
	be.PutUint32(b[size-4:], crc32.ChecksumIEEE(b[:size-4]))
	return b
}

// readStamp reads a body; false if it is damaged.
func readStamp(b []byte) (stamp, bool) {
	be := binary.BigEndian
	if len(b) < stampBytes || crc32.ChecksumIEEE(b[:len(b)-4]) != be.Uint32(b[len(b)-4:]) {
		return stamp{}, false
	}
	return stamp{run: be.Uint64(b), publisher: be.Uint32(b[8:]), session: be.Uint32(b[12:]), seq: be.Uint64(b[16:])}, true
}
