package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The body of a bulk connection is pieces, each behind its length u32 (big-endian); an
// empty one ends it.

// bulkWriter writes pieces at a bounded rate.
type bulkWriter struct {
	ctx   context.Context
	c     net.Conn
	began time.Time
	sent  int64
}

// Write implements io.Writer.
func (w *bulkWriter) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		piece := b[:min(len(b), bulkPieceBytes)]
		b = b[len(piece):]
		if err := w.pace(len(piece)); err != nil {
			return n, err
		}
		setDeadline(w.c, bulkTimeout)
		buffers := net.Buffers{binary.BigEndian.AppendUint32(nil, uint32(len(piece))), piece}
		if _, err := buffers.WriteTo(w.c); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// pace waits until n more bytes may go.
func (w *bulkWriter) pace(n int) error {
	w.sent += int64(n)
	early := time.Duration(float64(w.sent)/bulkBytesPerSecond*float64(time.Second)) - time.Since(w.began)
	if early <= time.Millisecond {
		return nil
	}
	t := time.NewTimer(early)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

func (w *bulkWriter) end() error {
	_, err := w.c.Write(make([]byte, 4))
	return err
}

// bulkReader reads pieces up to the empty one.
type bulkReader struct {
	c    net.Conn
	r    *bufio.Reader
	left uint32
	over bool
}

// Read implements io.Reader.
func (r *bulkReader) Read(b []byte) (int, error) {
	if r.over {
		return 0, io.EOF
	}
	if r.left == 0 {
		setDeadline(r.c, bulkTimeout)
		var head [4]byte
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return 0, unexpected(err)
		}
		if r.left = binary.BigEndian.Uint32(head[:]); r.left > bulkPieceBytes {
			return 0, fmt.Errorf("piece of %d bytes", r.left)
		}
		if r.left == 0 {
			r.over = true
			return 0, io.EOF
		}
	}
	n, err := r.r.Read(b[:min(len(b), int(r.left))])
	r.left -= uint32(n)
	return n, unexpected(err)
}

// unexpected keeps a broken connection from looking like the end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
