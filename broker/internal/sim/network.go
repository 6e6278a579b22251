package sim

import (
	"maps"
	"net"
	"slices"
	"time"
)

// Sizes of a connection.
const (
	windowBytes = 256 << 10 // under way and not read, in one direction
	// resendMax is how long after a link is back what was lost on it comes again.
	resendMax = 200 * time.Millisecond
)

// descriptor is what a process has open: *conn or *listener.
type descriptor interface {
	readable() bool
	writable() bool
	close()
	abort(tell bool) // its process is gone; tell: other ends learn it
}

// listener waits for connections to an address.
type listener struct {
	owner   *process
	addr    string
	backlog []*conn
}

func (l *listener) readable() bool { return len(l.backlog) > 0 }
func (l *listener) writable() bool { return false }
func (l *listener) close()         { l.abort(true) }

func (l *listener) abort(tell bool) {
	for _, c := range l.backlog {
		c.abort(tell)
	}
	l.backlog = nil
}

// packet is a piece of a stream on its way.
type packet struct {
	kind packetKind
	data []byte
}

type packetKind int

const (
	packetData  packetKind = iota
	packetOpen             // asks for a connection
	packetClose            // the other end says no more
	packetReset            // the connection is no more
)

// conn is one end of a connection. A dialed one begins with a byte: 0, or the number of
// the error.
type conn struct {
	w           *world
	m           *machine
	owner       *process // nil: nobody yet, or no more
	peer        *conn
	addr        string // its own
	target      string // what it dialed
	rx          []byte
	ended       bool // the peer says no more
	broken      bool // reset
	closed      bool // by its owner
	out         []packet
	outBytes    int   // under way, or not read at the other end
	lastArrival int64 // packets stay in order
	lost        bool  // the first of out was lost, and waits for the link
}

func (c *conn) readable() bool { return len(c.rx) > 0 || c.ended || c.broken }
func (c *conn) writable() bool { return c.broken || c.outBytes < windowBytes }

// receive takes data in.
func (c *conn) receive(b []byte) {
	c.rx = append(c.rx, b...)
	if c.owner != nil {
		c.owner.wake()
	}
}

// read takes up to n bytes out.
func (c *conn) read(b []byte) int {
	n := copy(b, c.rx)
	c.rx = c.rx[n:]
	if len(c.rx) == 0 {
		c.rx = nil
	}
	if c.peer != nil {
		c.peer.outBytes -= n
		if c.peer.owner != nil {
			c.peer.owner.wake()
		}
	}
	return n
}

// write sends what there is room for.
func (c *conn) write(b []byte) int {
	n := min(len(b), windowBytes-c.outBytes)
	c.outBytes += n
	c.send(packet{packetData, append([]byte(nil), b[:n]...)})
	return n
}

// send puts a packet on its way to the peer, behind those before it.
func (c *conn) send(p packet) {
	w := c.w
	w.counts.Packets++
	c.out = append(c.out, p)
	at := w.now + int64(between(w.chance, w.minLatency, w.maxLatency)+w.slow[c.m])
	c.lastArrival = max(at, c.lastArrival)
	w.after(time.Duration(c.lastArrival-w.now), c.arrive)
}

// arrive delivers the oldest packet, unless the link loses it.
func (c *conn) arrive() {
	if c.lost || len(c.out) == 0 {
		return // resend delivers all
	}
	if !c.passes() {
		c.lost = true
		return
	}
	p := c.out[0]
	c.out = c.out[1:]
	c.deliver(p)
}

// resend delivers what a link has lost; the link is back.
func (c *conn) resend() {
	if !c.lost || !c.passes() {
		return
	}
	c.lost = false
	out := c.out
	c.out = nil
	for _, p := range out {
		c.deliver(p)
	}
}

// to returns the machine at the other end, nil if there is none with that address.
func (c *conn) to() *machine {
	if c.peer != nil {
		return c.peer.m
	}
	host, _, _ := net.SplitHostPort(c.target)
	for _, m := range c.w.machines {
		if host == m.addr {
			return m
		}
	}
	return nil
}

func (c *conn) passes() bool {
	to := c.to()
	return to != nil && !to.off && !c.m.off && c.w.blocked[[2]*machine{c.m, to}] == 0
}

func (c *conn) deliver(p packet) {
	if p.kind == packetOpen {
		c.open()
		return
	}
	peer := c.peer
	if peer == nil {
		return
	}
	if peer.closed || peer.broken {
		if p.kind == packetData {
			peer.send(packet{packetReset, nil})
		}
		return
	}
	switch p.kind {
	case packetData:
		peer.receive(p.data)
	case packetClose:
		peer.ended = true
	case packetReset:
		peer.broken, peer.rx = true, nil
	}
	if peer.owner != nil {
		peer.owner.wake()
	}
}

// open is what the machine that c dialed does.
func (c *conn) open() {
	m := c.to()
	peer := &conn{w: c.w, m: m, peer: c, addr: c.target, target: c.addr}
	c.peer = peer
	c.w.conns = append(c.w.conns, peer)
	l := m.listener(c.target)
	if l == nil {
		peer.closed = true
		peer.send(packet{packetData, []byte{byte(errRefused)}})
		peer.send(packet{packetClose, nil})
		return
	}
	peer.write([]byte{0})
	l.backlog = append(l.backlog, peer)
	l.owner.wake()
}

// listener returns who listens on an address of the machine.
func (m *machine) listener(addr string) *listener {
	if m.process == nil || m.process.done {
		return nil
	}
	for _, fd := range m.process.sorted() {
		if l, ok := m.process.fds[fd].(*listener); ok && l.addr == addr {
			return l
		}
	}
	return nil
}

// sorted returns the process's descriptors.
func (p *process) sorted() []int32 { return slices.Sorted(maps.Keys(p.fds)) }

// dial opens a connection; what comes of it can be read from it.
func (p *process) dial(addr string) *conn {
	c := &conn{w: p.w, m: p.m, owner: p, addr: p.m.addr + ":0", target: addr}
	p.w.conns = append(p.w.conns, c)
	c.send(packet{packetOpen, nil})
	return c
}

// close is the owner's.
func (c *conn) close() {
	if c.closed {
		return
	}
	if len(c.rx) > 0 && !c.broken {
		c.send(packet{packetReset, nil})
	} else if !c.broken {
		c.send(packet{packetClose, nil})
	}
	c.closed, c.owner, c.rx = true, nil, nil
}

func (c *conn) abort(tell bool) {
	if !tell {
		c.out = nil // it was in the memory of a machine without power
	} else if !c.closed && !c.broken && c.peer != nil {
		c.send(packet{packetReset, nil})
	}
	c.closed, c.owner, c.rx = true, nil, nil
}

// dropConns ends all connections of a process; tell: the other ends learn it.
func (p *process) dropConns(tell bool) {
	for _, fd := range p.sorted() {
		p.fds[fd].abort(tell)
	}
	p.fds = nil
	p.w.conns = slices.DeleteFunc(p.w.conns, func(c *conn) bool {
		return c.over() && (c.peer == nil || c.peer.over())
	})
}

// over reports whether nothing can come of the connection any more.
func (c *conn) over() bool { return (c.closed || c.broken) && len(c.out) == 0 }

// reset breaks all connections between two machines.
func (w *world) reset(a, b *machine) {
	for _, c := range slices.Clone(w.conns) {
		if to := c.to(); c.peer != nil && !c.closed && !c.broken && (c.m == a && to == b || c.m == b && to == a) {
			c.broken, c.rx = true, nil
			if c.owner != nil {
				c.owner.wake()
			}
		}
	}
}

// block makes the link from a to b lose everything; unblock ends that.
func (w *world) block(a, b *machine) { w.blocked[[2]*machine{a, b}]++ }

func (w *world) unblock(a, b *machine) {
	if w.blocked[[2]*machine{a, b}]--; w.blocked[[2]*machine{a, b}] == 0 {
		w.linksBack()
	}
}

// cut blocks links until heal is called.
func (w *world) cut(links [][2]*machine) (heal func()) {
	for _, l := range links {
		w.block(l[0], l[1])
	}
	return func() {
		for _, l := range links {
			w.unblock(l[0], l[1])
		}
	}
}

// bothWays are the links between a machine and others, but itself.
func bothWays(a *machine, others ...*machine) (links [][2]*machine) {
	for _, b := range others {
		if a != b {
			links = append(links, [2]*machine{a, b}, [2]*machine{b, a})
		}
	}
	return links
}

// linksBack has everything that was lost sent again.
func (w *world) linksBack() {
	for _, c := range w.conns {
		if c.lost && c.passes() {
			w.after(between(w.chance, 0, resendMax), c.resend)
		}
	}
}
