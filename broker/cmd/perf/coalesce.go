package main

import (
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// coalescedBytesMax is how much may wait for the socket until a write blocks.
const coalescedBytesMax = 1 << 20

// coalescing is a connection whose writes return at once: what was written while the socket
// was busy goes out as one. The client library flushes each publish and each ack by itself,
// and what that costs the processor would be measured as the broker's.
type coalescing struct {
	net.Conn

	mu     sync.Mutex
	change sync.Cond // of what is below
	buf    []byte
	err    error // of the socket
	closed bool
	done   chan struct{}
}

// dialCoalescing is amqp.Config's Dial.
func dialCoalescing(timeout time.Duration) func(network, addr string) (net.Conn, error) {
	dial := amqp.DefaultDial(timeout)
	return func(network, addr string) (net.Conn, error) {
		conn, err := dial(network, addr)
		if err != nil {
			return nil, err
		}
		return newCoalescing(conn), nil
	}
}

func newCoalescing(conn net.Conn) *coalescing {
	c := &coalescing{Conn: conn, done: make(chan struct{})}
	c.change.L = &c.mu
	go c.writeAll() // Close waits for it
	return c
}

// Write takes b over, and reports what became of earlier writes.
func (c *coalescing) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.buf) > coalescedBytesMax && c.err == nil && !c.closed {
		c.change.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.buf = append(c.buf, b...)
	c.change.Broadcast()
	return len(b), nil
}

func (c *coalescing) writeAll() {
	defer close(c.done)
	var b []byte
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for len(c.buf) == 0 && !c.closed {
			c.change.Wait()
		}
		if len(c.buf) == 0 {
			return
		}
		b, c.buf = c.buf, b[:0]
		c.mu.Unlock()
		_, err := c.Conn.Write(b)
		c.mu.Lock()
		c.err = err
		c.change.Broadcast()
		if err != nil {
			return
		}
	}
}

// Close sends what still waits, within dialTimeout, and closes the connection.
func (c *coalescing) Close() error {
	c.mu.Lock()
	c.closed = true
	c.change.Broadcast()
	c.mu.Unlock()
	_ = c.Conn.SetWriteDeadline(time.Now().Add(dialTimeout))
	<-c.done
	return c.Conn.Close()
}
