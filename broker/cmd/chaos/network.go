package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// network stands between the nodes: each is reached by the others through a relay, so
// that any direction between any two can be cut or slowed without privileges.
type network struct {
	names  map[string]int // node's name → index
	relays []*relay
	tasks  sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	links   map[[2]int]*link
	changed chan struct{} // closed at the next change of a link
	conns   map[*conduit]struct{}
}

// link is one direction between two nodes.
type link struct {
	cuts  int // how many faults cut it
	delay time.Duration
}

// relay passes connections on to one node.
type relay struct {
	node         int
	addr, target string

	mu sync.Mutex
	l  net.Listener // nil: the node is dead, and so nobody listens
}

// conduit is one connection from one node to another.
type conduit struct {
	from, to int
	near     net.Conn // of the node that dialed
	far      net.Conn
}

func (c *conduit) close() {
	_ = c.near.Close() // the copying goroutines see the results
	if c.far != nil {
		_ = c.far.Close()
	}
}

const (
	relayDial   = time.Second
	relayHello  = 3 * time.Second
	relayBuffer = 32 << 10
)

// newNetwork relays from addrs to targets, one for each node.
func newNetwork(names, addrs, targets []string) *network {
	n := &network{
		names: map[string]int{}, links: map[[2]int]*link{}, changed: make(chan struct{}), conns: map[*conduit]struct{}{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	for i, name := range names {
		n.names[name] = i
		n.relays = append(n.relays, &relay{node: i, addr: addrs[i], target: targets[i]})
		for j := range names {
			n.links[[2]int{i, j}] = &link{}
		}
	}
	return n
}

// open lets a node be reached, when its process begins.
func (n *network) open(node int) error {
	r := n.relays[node]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.l != nil {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(n.ctx, "tcp", r.addr)
	if err != nil {
		return err
	}
	r.l = l
	n.tasks.Go(func() { n.accept(r, l) })
	return nil
}

// shut refuses connections to a node, as its dead process would.
func (n *network) shut(node int) {
	r := n.relays[node]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.l != nil {
		_ = r.l.Close() // ends accept
		r.l = nil
	}
}

func (n *network) close() {
	n.cancel()
	for i := range n.relays {
		n.shut(i)
	}
	n.mu.Lock()
	for c := range n.conns {
		c.close()
	}
	n.mu.Unlock()
	n.tasks.Wait()
}

func (n *network) accept(r *relay, l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(time.Millisecond) // out of file descriptors
			continue
		}
		n.tasks.Go(func() { n.carry(r, c) })
	}
}

// carry passes one connection on. Who dials says so in the first bytes.
func (n *network) carry(r *relay, near net.Conn) {
	c := &conduit{near: near, to: r.node}
	defer c.close()
	_ = near.SetReadDeadline(time.Now().Add(relayHello))
	hello, name, err := readHello(near)
	if err != nil {
		return // one that only asks whether somebody listens
	}
	_ = near.SetReadDeadline(time.Time{})
	from, known := n.names[name]
	if !known {
		return
	}
	c.from = from
	if !n.pass(from, r.node) {
		return
	}
	d := net.Dialer{Timeout: relayDial}
	if c.far, err = d.DialContext(n.ctx, "tcp", r.target); err != nil {
		return
	}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, c)
		n.mu.Unlock()
	}()
	if _, err := c.far.Write(hello); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { n.copy(c.far, c.near, c.from, c.to, c) })
	n.copy(c.near, c.far, c.to, c.from, c)
	both.Wait()
}

// copy moves bytes in one direction while its link is whole. The end of the stream is
// news too, and waits like the rest.
func (n *network) copy(dst, src net.Conn, from, to int, c *conduit) {
	defer c.close()
	buf := make([]byte, relayBuffer)
	for {
		k, err := src.Read(buf)
		if !n.pass(from, to) {
			return
		}
		if k > 0 {
			if _, err := dst.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until something may go from one node to another; false when all is over.
func (n *network) pass(from, to int) bool {
	for {
		n.mu.Lock()
		l, changed := *n.links[[2]int{from, to}], n.changed
		n.mu.Unlock()
		if l.cuts == 0 {
			if l.delay > 0 {
				time.Sleep(l.delay)
			}
			return n.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-n.ctx.Done():
			return false
		}
	}
}

// change changes directions between nodes.
func (n *network) change(pairs [][2]int, f func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range pairs {
		f(n.links[p])
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// reset breaks the connections between nodes, as a partition that outlasts their
// patience does.
func (n *network) reset(pairs [][2]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		for _, p := range pairs {
			if p == [2]int{c.from, c.to} || p == [2]int{c.to, c.from} {
				c.close()
			}
		}
	}
}

// heal makes all whole.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		*l = link{}
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// A connection between nodes begins with: magic of 6 bytes | version u16 | length u32 |
// JSON with the sender's name, big-endian.
const (
	helloMagic    = "WARREN"
	helloHead     = len(helloMagic) + 6
	helloBytesMax = 4096
)

// readHello returns a connection's first bytes and who sends them.
func readHello(r io.Reader) (raw []byte, name string, err error) {
	raw = make([]byte, helloHead)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, "", err
	}
	size := binary.BigEndian.Uint32(raw[helloHead-4:])
	if string(raw[:len(helloMagic)]) != helloMagic || size > helloBytesMax {
		return nil, "", fmt.Errorf("not a node: %q", raw)
	}
	raw = append(raw, make([]byte, size)...)
	if _, err := io.ReadFull(r, raw[helloHead:]); err != nil {
		return nil, "", err
	}
	var h struct{ Name string }
	err = json.Unmarshal(raw[helloHead:], &h)
	return raw, h.Name, err
}
