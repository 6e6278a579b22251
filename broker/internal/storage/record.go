package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Kind says what a record's payload is.
type Kind uint8

// The kinds of record.
const (
	// KindEntry is one log entry. An entry replaces what the log held for its group
	// from its index on.
	KindEntry Kind = 1
	// KindState is a group's small state that only the latest of counts (Raft: term
	// and vote). The log carries the latest into every new segment.
	KindState Kind = 2
	// KindReset says that the group's log starts anew behind a snapshot at Index, Term.
	KindReset Kind = 3
	// KindDrop says that the group is gone from this node: nothing before it counts.
	KindDrop Kind = 4
)

// Record is one unit of the log.
type Record struct {
	Group uint64
	Index uint64 // KindEntry, KindReset
	Term  uint64 // KindEntry, KindReset
	Kind  Kind
	Type  uint8 // the owner's, KindEntry
	Data  []byte
}

// A batch is what one sync makes durable. On disk:
//
//	 0        4        8               16              24             28
//	+--------+--------+---------------+---------------+--------------+---------+
//	| magic  | crc32c | segment epoch | batch number  | body length  | records |
//	+--------+--------+---------------+---------------+--------------+---------+
//
// little-endian; crc32c covers everything behind itself. A recycled segment's old
// batches carry an older epoch, so they never parse. The magic is "WAL" and the format's
// version as a digit; the header is the same in all versions. A record:
//
//	kind u8 | type u8 | group u64 | index u64 | term u64 | data length u32 | data
const (
	logVersion       = 2
	batchMagic       = 'W' | 'A'<<8 | 'L'<<16 | ('0'+logVersion)<<24
	batchHeaderBytes = 28
	recordFixedBytes = 1 + 1 + 8 + 8 + 8 + 4
	batchAlignBytes  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is a batch in the making. Large data is not copied: it stands beside buf.
type batch struct {
	buf  []byte
	refs []dataRef
	size int // of all
}

// dataRef is data that belongs behind the first at bytes of a buffer.
type dataRef struct {
	at   int
	data []byte
}

// refBytesMin is from what size on data is written by itself: a write of its own costs
// less than a copy.
const refBytesMin = 16 << 10

func (b *batch) begin() {
	clear(b.refs)
	b.buf, b.refs, b.size = append(b.buf[:0], make([]byte, batchHeaderBytes)...), b.refs[:0], batchHeaderBytes
}

// empty reports whether there is no record.
func (b *batch) empty() bool { return b.size == batchHeaderBytes }

func (b *batch) add(r *Record) {
	b.size += recordFixedBytes + len(r.Data)
	b.buf = append(b.buf, byte(r.Kind), r.Type)
	b.buf = binary.LittleEndian.AppendUint64(b.buf, r.Group)
	b.buf = binary.LittleEndian.AppendUint64(b.buf, r.Index)
	b.buf = binary.LittleEndian.AppendUint64(b.buf, r.Term)
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(r.Data)))
	if len(r.Data) >= refBytesMin {
		b.refs = append(b.refs, dataRef{len(b.buf), r.Data})
	} else {
		b.buf = append(b.buf, r.Data...)
	}
}

// pieces calls fn with the batch's bytes in order, the first from of buf left out.
func (b *batch) pieces(from int, fn func([]byte) error) error {
	for _, r := range b.refs {
		if err := fn(b.buf[from:r.at]); err != nil {
			return err
		}
		if err := fn(r.data); err != nil {
			return err
		}
		from = r.at
	}
	return fn(b.buf[from:])
}

// seal completes the header, and pads the batch.
func (b *batch) seal(epoch, number uint64) {
	binary.LittleEndian.PutUint32(b.buf[0:], batchMagic)
	binary.LittleEndian.PutUint64(b.buf[8:], epoch)
	binary.LittleEndian.PutUint64(b.buf[16:], number)
	binary.LittleEndian.PutUint32(b.buf[24:], uint32(b.size-batchHeaderBytes))
	crc := uint32(0)
	_ = b.pieces(8, func(piece []byte) error {
		crc = crc32.Update(crc, castagnoli, piece)
		return nil
	})
	binary.LittleEndian.PutUint32(b.buf[4:], crc)
	for ; b.size%batchAlignBytes != 0; b.size++ {
		b.buf = append(b.buf, 0)
	}
}

// openBatch checks the batch at the start of b and returns its number, its records'
// bytes and the length it takes up on disk; ok is false if none stands there whole.
func openBatch(b []byte, epoch uint64) (number uint64, body []byte, size int, ok bool) {
	if len(b) < batchHeaderBytes || binary.LittleEndian.Uint32(b) != batchMagic ||
		binary.LittleEndian.Uint64(b[8:]) != epoch {
		return 0, nil, 0, false
	}
	n := int(binary.LittleEndian.Uint32(b[24:]))
	end := batchHeaderBytes + n
	if n < 0 || end > len(b) || crc32.Checksum(b[8:end], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, 0, false
	}
	size = (end + batchAlignBytes - 1) / batchAlignBytes * batchAlignBytes
	return binary.LittleEndian.Uint64(b[16:]), b[batchHeaderBytes:end], size, true
}

// eachRecord calls fn with the records of a batch's body; Data aliases body.
func eachRecord(body []byte, fn func(*Record) error) error {
	for len(body) > 0 {
		if len(body) < recordFixedBytes {
			return fmt.Errorf("record header cut short: %d bytes", len(body))
		}
		r := Record{
			Kind: Kind(body[0]), Type: body[1],
			Group: binary.LittleEndian.Uint64(body[2:]),
			Index: binary.LittleEndian.Uint64(body[10:]),
			Term:  binary.LittleEndian.Uint64(body[18:]),
		}
		n := int(binary.LittleEndian.Uint32(body[26:]))
		body = body[recordFixedBytes:]
		if n > len(body) {
			return fmt.Errorf("record data cut short: %d of %d bytes", len(body), n)
		}
		r.Data = body[:n:n]
		body = body[n:]
		if err := fn(&r); err != nil {
			return err
		}
	}
	return nil
}
