package storage

import (
	"encoding/binary"
	"hash/crc32"
)

// windowBytes is what recovery reads at once: a segment is much larger, and most of
// one is often empty.
const windowBytes = 1 << 20

// window reads a segment piece by piece.
type window struct {
	f     File
	size  int64
	start int64
	buf   []byte
}

// at returns n bytes at an offset, fewer at the file's end. They are valid until the
// next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		i := off - w.start
		return w.buf[i : i+int64(n)], nil
	}
	want := int(min(int64(max(n, windowBytes)), w.size-off))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf = w.buf[:want]
	w.start = off
	if k, err := w.f.ReadAt(w.buf, off); k < want {
		w.buf = w.buf[:0]
		return nil, err
	}
	return w.buf[:n], nil
}

// batch is openBatch at an offset.
func (w *window) batch(off int64, epoch uint64) (number uint64, body []byte, size int, ok bool, err error) {
	head, err := w.at(off, batchHeaderBytes)
	if err != nil || len(head) < batchHeaderBytes || binary.LittleEndian.Uint32(head) != batchMagic ||
		binary.LittleEndian.Uint64(head[8:]) != epoch {
		return 0, nil, 0, false, err
	}
	n := int64(binary.LittleEndian.Uint32(head[24:]))
	if off+batchHeaderBytes+n > w.size {
		return 0, nil, 0, false, nil
	}
	whole, err := w.at(off, batchHeaderBytes+int(n))
	if err != nil {
		return 0, nil, 0, false, err
	}
	number, body, size, ok = openBatch(whole, epoch)
	return number, body, size, ok, nil
}

// foreign returns the version of an intact batch of another version of the format at an
// offset, 0 if there is none.
func (w *window) foreign(off int64, epoch uint64) (version int, err error) {
	head, err := w.at(off, batchHeaderBytes)
	if err != nil || len(head) < batchHeaderBytes || string(head[:3]) != "WAL" || binary.LittleEndian.Uint64(head[8:]) != epoch {
		return 0, err
	}
	version = int(head[3]) - '0'
	sum, n := binary.LittleEndian.Uint32(head[4:]), int64(binary.LittleEndian.Uint32(head[24:]))
	if version == logVersion || off+batchHeaderBytes+n > w.size {
		return 0, nil
	}
	whole, err := w.at(off, batchHeaderBytes+int(n))
	if err != nil || crc32.Checksum(whole[8:], castagnoli) != sum {
		return 0, err
	}
	return version, nil
}

// find looks for an intact batch behind an offset.
func (w *window) find(from int64, epoch uint64) (int64, bool, error) {
	for off := from + batchAlignBytes; off+batchHeaderBytes <= w.size; {
		piece, err := w.at(off, windowBytes)
		if err != nil {
			return 0, false, err
		}
		i := 0
		for ; i+batchHeaderBytes <= len(piece); i += batchAlignBytes {
			// A recycled segment is full of older batches: reading on for each would take seconds.
			if binary.LittleEndian.Uint32(piece[i:]) != batchMagic || binary.LittleEndian.Uint64(piece[i+8:]) != epoch {
				continue
			}
			if _, _, _, ok, err := w.batch(off+int64(i), epoch); ok || err != nil {
				return off + int64(i), ok, err
			}
			i += batchAlignBytes // and the window may have moved
			break
		}
		off += int64(i)
	}
	return 0, false, nil
}
