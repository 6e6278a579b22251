package storage

import (
	"bytes"
	"testing"
)

// bytesFile is a file in memory that counts what is read.
type bytesFile struct {
	File // nil: nothing else is called
	data []byte
	read int
}

func (f *bytesFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := bytes.NewReader(f.data).ReadAt(b, off)
	f.read += n
	return n, err
}

func someBatch(epoch, number uint64) (whole []byte) {
	var b batch
	b.begin()
	b.add(&Record{Kind: KindEntry, Group: 1, Index: 1, Term: 1, Data: []byte("some data")})
	b.seal(epoch, number)
	_ = b.pieces(0, func(p []byte) error { whole = append(whole, p...); return nil })
	return whole
}

// TestFindAnywhere puts a batch across every place where one read of the window ends and
// the next begins.
func TestFindAnywhere(t *testing.T) {
	const epoch, from = 5, 16
	whole := someBatch(epoch, 1)
	for shift := -len(whole) - 64; shift <= 64; shift += batchAlignBytes {
		at := (from + windowBytes + shift) / batchAlignBytes * batchAlignBytes
		f := &bytesFile{data: make([]byte, 2*windowBytes)}
		copy(f.data[at:], whole)
		w := window{f: f, size: int64(len(f.data))}
		if got, ok, err := w.find(from, epoch); !ok || err != nil || got != int64(at) {
			t.Fatalf("batch at %d: found %d, %t, %v", at, got, ok, err)
		}
		if _, ok, err := w.find(from, epoch+1); ok || err != nil {
			t.Fatalf("batch at %d: found in another epoch, %v", at, err)
		}
	}
}

// TestFindInRecycled wants a segment full of older batches to be read about once: it
// stands behind the end of the log at every start.
func TestFindInRecycled(t *testing.T) {
	f := &bytesFile{}
	for number := uint64(1); len(f.data) < 4*windowBytes; number++ {
		f.data = append(f.data, someBatch(3, number)...)
	}
	w := window{f: f, size: int64(len(f.data))}
	if _, ok, err := w.find(0, 4); ok || err != nil {
		t.Fatalf("found %t, %v", ok, err)
	}
	if f.read > 2*len(f.data) {
		t.Errorf("read %d bytes of a segment of %d", f.read, len(f.data))
	}
}
