package rabbit

import (
	"net"
	"sync"
)

// outboundBytesMax is how much may wait to be written before publishers are held up.
const outboundBytesMax = 1 << 20

// coalescer is a socket whose writes are gathered: the client library writes and flushes every message and acknowledgement by
// itself, which is a system call each; here one goroutine writes whatever came meanwhile. Write never blocks, so whoever makes
// much of it asks for room first, see full.
type coalescer struct {
	net.Conn
	wake chan struct{} // one token: there is something to write
	quit chan struct{} // closed by Close
	done chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	waiting []byte
	spare   []byte // the other buffer
	err     error
	flushed chan struct{} // closed and replaced when something was written
	once    sync.Once
}

func newCoalescer(c net.Conn) *coalescer {
	w := &coalescer{
		Conn: c, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), flushed: make(chan struct{}),
	}
	go w.run()
	return w
}

// Write keeps p for the writer. The error is that of an earlier write.
func (w *coalescer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.waiting = append(w.waiting, p...)
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
	return len(p), nil
}

// run writes until the socket is closed or broken. Then it closes the socket, so that the reader notices.
func (w *coalescer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
		case <-w.quit:
			return
		}
		w.mu.Lock()
		data := w.waiting
		w.waiting = w.spare[:0]
		w.spare = nil
		w.mu.Unlock()
		_, err := w.Conn.Write(data)
		if cap(data) > outboundBytesMax {
			data = nil // a large message made it so; it need not stay
		}
		w.mu.Lock()
		w.spare = data
		w.err = err
		close(w.flushed)
		w.flushed = make(chan struct{})
		w.mu.Unlock()
		if err != nil {
			_ = w.Conn.Close()
			return
		}
	}
}

// full tells whether publishers shall wait, and gives a channel that closes when something was written.
func (w *coalescer) full() (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) > outboundBytesMax && w.err == nil, w.flushed
}

// Close ends the writer, whatever it is doing, and waits for it.
func (w *coalescer) Close() error {
	w.once.Do(func() { close(w.quit) })
	err := w.Conn.Close()
	<-w.done
	return err
}
