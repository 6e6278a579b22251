package server

import (
	"net"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// packet is what one turn of the session has to send. Large bodies are not copied: refs
// says where in buf they belong.
type packet struct {
	buf    []byte
	small  []byte  // what buf was before it became large
	large  *[]byte // shared by all connections, nil: buf is not that
	refs   []ref
	size   int // bytes on the wire, when complete
	handed []handed
}

type ref struct {
	at   int
	body []byte
}

// handed says that n deliveries of c are in a packet.
type handed struct {
	c     *consumer
	n     int
	bytes int64 // of their bodies
}

// largeBuffers hold a whole turn's packet each. A busy connection would make and grow one
// every turn, and an idle one must not keep it.
var largeBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, packetBytesMax)) }}

// room makes room for n bytes more, from largeBuffers if the packet is no longer small.
func (p *packet) room(n int) {
	if n += len(p.buf); p.large != nil || n <= cap(p.buf) || n <= keptBytesMax || n > packetBytesMax {
		return
	}
	p.large = largeBuffers.Get().(*[]byte)
	p.small, p.buf = p.buf, append((*p.large)[:0], p.buf...)
}

func (p *packet) reset() {
	clear(p.refs)
	clear(p.handed)
	if p.large != nil {
		largeBuffers.Put(p.large)
		p.buf = p.small
	}
	if cap(p.buf) > keptBytesMax {
		p.buf = nil
	}
	*p = packet{buf: p.buf[:0], refs: p.refs[:0], handed: p.handed[:0]}
}

// slices appends the packet's parts in order.
func (p *packet) slices(dst net.Buffers) net.Buffers {
	from := 0
	for _, r := range p.refs {
		dst = append(dst, p.buf[from:r.at], r.body)
		from = r.at
	}
	if from < len(p.buf) {
		dst = append(dst, p.buf[from:])
	}
	return dst
}

// outbound is the way from the session to the socket: the session sends packets, the
// writer's goroutine writes all there are at once and owns the heartbeat.
type outbound struct {
	conn      net.Conn
	traffic   *node.Traffic
	heartbeat time.Duration // 0: none
	written   func()        // wakes the session
	wake      chan struct{}

	mu      sync.Mutex
	queue   []*packet
	free    []*packet
	handed  []handed // on the socket, not collected by the session yet
	bytes   int      // in queue and on their way
	closed  bool
	failed  error
	waiting bool // the session reads nothing until there is room
}

func newOutbound(conn net.Conn, traffic *node.Traffic, heartbeat time.Duration, written func()) *outbound {
	return &outbound{conn: conn, traffic: traffic, heartbeat: heartbeat, written: written, wake: make(chan struct{}, 1)}
}

// packet returns an empty packet.
func (o *outbound) packet() *packet {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.free); n > 0 {
		p := o.free[n-1]
		o.free = o.free[:n-1]
		return p
	}
	return new(packet)
}

// send hands a packet to the writer. It never blocks: full says when to stop.
func (o *outbound) send(p *packet) {
	p.size = len(p.buf)
	for _, r := range p.refs {
		p.size += len(r.body)
	}
	o.mu.Lock()
	o.queue = append(o.queue, p)
	o.bytes += p.size
	o.mu.Unlock()
	o.signal()
}

func (o *outbound) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// full says that too much waits for the socket. The session is woken when it no longer
// does.
func (o *outbound) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = o.bytes > outboundBytesMax
	return o.waiting
}

// collect appends the deliveries that reached the socket since the last call; err is set
// once the socket has failed.
func (o *outbound) collect(dst []handed) (_ []handed, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.handed...)
	clear(o.handed)
	o.handed = o.handed[:0]
	return dst, o.failed
}

// close makes the writer stop once all packets are written.
func (o *outbound) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.signal()
}

// writeAll is the writer's goroutine.
func (o *outbound) writeAll() {
	var tick <-chan time.Time
	if o.heartbeat > 0 {
		t := time.NewTicker(o.heartbeat / 2)
		defer t.Stop()
		tick = t.C
	}
	var (
		packets []*packet
		bufs    net.Buffers
		busy    bool // something was written since the last tick
		closed  bool
	)
	for !closed {
		var err error
		select {
		case <-o.wake:
		case <-tick:
			if !busy {
				_, err = o.conn.Write(amqp.AppendHeartbeat(nil))
			}
			busy = false
		}
		packets, closed = o.takeAll(packets[:0])
		if err == nil && len(packets) > 0 {
			busy = true
			o.traffic.Writes.Add(1)
			bufs, err = o.write(packets, bufs[:0])
		}
		if o.done(packets, err) {
			o.written()
		}
		if err != nil {
			_ = o.conn.Close() // ends the reader too
			return
		}
	}
}

func (o *outbound) takeAll(dst []*packet) ([]*packet, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.queue...)
	clear(o.queue)
	o.queue = o.queue[:0]
	return dst, o.closed
}

func (o *outbound) write(packets []*packet, bufs net.Buffers) (net.Buffers, error) {
	if len(packets) == 1 && len(packets[0].refs) == 0 {
		_, err := o.conn.Write(packets[0].buf)
		return bufs, err
	}
	for _, p := range packets {
		bufs = p.slices(bufs)
	}
	all := bufs // WriteTo consumes its receiver
	_, err := all.WriteTo(o.conn)
	clear(bufs)
	return bufs, err
}

// done takes back what was written, and says if the session should know.
func (o *outbound) done(packets []*packet, err error) (tell bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range packets {
		o.traffic.Sent.Add(uint64(p.size))
		o.bytes -= p.size
		o.handed = append(o.handed, p.handed...)
		p.reset()
		if len(o.free) < 2 {
			o.free = append(o.free, p)
		}
	}
	if err != nil {
		o.failed = err
	}
	return err != nil || len(o.handed) > 0 || o.waiting && o.bytes <= outboundBytesMax/2
}
