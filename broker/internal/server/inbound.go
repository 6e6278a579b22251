package server

import (
	"context"
	"net"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// chunk is a read buffer with the frames found in it: the unit in which frames travel
// from the reader to the session, so that one read costs one hand-over.
type chunk struct {
	buf    []byte
	frames []amqp.Frame
}

// inbound cuts what comes from the socket into chunks. The handshake uses it first,
// then the reader's goroutine owns it; only free is shared.
type inbound struct {
	conn     net.Conn
	traffic  *node.Traffic
	frameMax uint32
	idle     time.Duration // without a byte for so long the client is dead; 0: for ever

	bad  error // of the frame behind those that were handed over last
	lost bool  // where the next frame begins

	cur  *chunk // bytes not handed over yet: cur.buf[:end]
	end  int
	size int // of the next chunk
	free chan *chunk
}

func newInbound(conn net.Conn, traffic *node.Traffic) *inbound {
	return &inbound{
		conn: conn, traffic: traffic, frameMax: handshakeBytesMax, size: chunkBytesMin,
		cur: &chunk{buf: make([]byte, chunkBytesMin)}, free: make(chan *chunk, chunksMax),
	}
}

// next returns a chunk with at least one frame. The error is an *amqp.Error if the bytes
// are no frame, else that of the socket.
func (in *inbound) next() (*chunk, error) {
	for {
		if err := in.bad; err != nil {
			in.bad = nil
			return nil, err
		}
		used, need := in.split()
		if used > 0 {
			if c := in.detach(used, need); len(c.frames) > 0 {
				return c, nil
			}
		}
		if in.bad != nil {
			continue
		}
		if need > len(in.cur.buf) {
			bigger := in.take(need)
			copy(bigger.buf, in.cur.buf[:in.end])
			in.cur = bigger
		}
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once.
func (in *inbound) fill() error {
	if in.idle > 0 {
		if err := in.conn.SetReadDeadline(time.Now().Add(in.idle)); err != nil {
			return err
		}
	}
	n, err := in.conn.Read(in.cur.buf[in.end:])
	in.end += n
	if n > 0 {
		in.traffic.Received.Add(uint64(n))
		in.traffic.Reads.Add(1)
		return nil // the socket tells its error again
	}
	return err
}

// split finds the whole frames in the current chunk: how many bytes they take, and how
// many the next frame needs. A bad frame is the last to be found.
func (in *inbound) split() (used, need int) {
	for {
		f, n, need, err := amqp.Next(in.cur.buf[used:in.end], in.frameMax)
		if err != nil {
			in.bad, in.lost = err, n == 0
			return used + n, 0
		}
		if n == 0 {
			return used, need
		}
		in.cur.frames = append(in.cur.frames, f)
		used += n
	}
}

// detach hands over the current chunk and begins another with the bytes after used.
func (in *inbound) detach(used, need int) *chunk {
	full, rest := in.cur, in.cur.buf[used:in.end]
	switch n := len(full.buf); {
	case in.end == n:
		in.size = min(2*n, chunkBytesMax)
	case in.end < n/4:
		in.size = max(n/2, chunkBytesMin)
	}
	in.cur = in.take(max(in.size, need, len(rest)))
	in.end = copy(in.cur.buf, rest)
	return full
}

// take returns an empty chunk of at least n bytes.
func (in *inbound) take(n int) *chunk {
	select {
	case c := <-in.free:
		if len(c.buf) >= n && len(c.buf) <= max(4*n, chunkBytesMin) {
			return c
		}
	default:
	}
	return &chunk{buf: make([]byte, n)}
}

// release gives a chunk back. The session calls it when no frame of it is needed.
func (in *inbound) release(c *chunk) {
	clear(c.frames)
	c.frames = c.frames[:0]
	select {
	case in.free <- c:
	default:
	}
}

// discard reads on for nothing, until the peer closes: to close a socket with unread
// bytes would reset the connection, and the peer might never see why.
func (in *inbound) discard() error {
	for {
		in.end = 0
		if err := in.fill(); err != nil {
			return err
		}
	}
}

// batch is what the reader hands to the session: frames, or why there are no more.
type batch struct {
	chunk *chunk
	err   error // *amqp.Error: what the client did wrong
}

// readAll is the reader's goroutine. Before each read it waits until the link takes more
// publishes, so back pressure reaches the client through TCP while the session goes on
// delivering. It closes to when the socket is done for; why is then the result.
func (in *inbound) readAll(ctx context.Context, link Publisher, to chan<- batch) error {
	defer close(to)
	for {
		if !link.Ready() {
			if err := link.Wait(ctx); err != nil {
				return err
			}
		}
		c, err := in.next()
		b := batch{chunk: c}
		if err != nil {
			if _, ok := err.(*amqp.Error); !ok {
				return err
			}
			b.err = err
		}
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.err != nil && in.lost {
			return in.discard()
		}
	}
}
