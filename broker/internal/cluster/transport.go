package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Handler takes what comes from other nodes. Its methods must not block.
type Handler interface {
	// Frame takes a frame; payload is the handler's to keep.
	Frame(from uint64, kind byte, payload []byte)
	// Bulk takes what SendBulk carries: it reads body to its end, and returns what is to
	// be done with the payload that follows it.
	Bulk(from uint64, kind byte, head []byte, body io.Reader) (finish func(payload []byte), err error)
	// Call answers a request of a node that need not belong to the cluster yet.
	Call(from Identity, request []byte) (reply []byte)
	// Reset says that frames to or from a replica may have been lost.
	Reset(replica uint64)
	// Down and Up are the failure detector's word. refused is set if the node's
	// process is gone for certain; otherwise it may only be cut off or frozen.
	Down(replica uint64, refused bool)
	Up(replica uint64)
}

// Timing of the failure detector.
const (
	heartbeatInterval = 50 * time.Millisecond
	silenceMax        = 400 * time.Millisecond
	redialInterval    = 50 * time.Millisecond
	dialTimeout       = time.Second
	writeTimeout      = 5 * time.Second
	bulkTimeout       = 30 * time.Second // for each piece
	// bulkBytesPerSecond leaves room for what is urgent while a member catches up.
	bulkBytesPerSecond = 128 << 20
	bulkPieceBytes     = 256 << 10
	queuedBytesMax     = 256 << 20 // towards one peer; past it the stream starts anew
)

// Kinds of frame below firstKind are the transport's own.
const (
	kindHeartbeat = 1
	kindBulk      = 2
	kindCall      = 3
	// FirstKind is the first kind of frame that is the handler's.
	FirstKind = 16
)

// Options configure a Transport.
type Options struct {
	Listen   string // host:port
	Identity Identity
	Secret   string
	Network  Network
	Handler  Handler
	Logger   *slog.Logger
}

// Transport carries frames between the nodes.
type Transport struct {
	opts     Options
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup

	mu      sync.Mutex
	self    Identity
	peers   map[uint64]*peer
	conns   map[net.Conn]struct{} // accepted
	streams map[uint64]*inbound   // the last from each replica
}

// inbound is a replica's stream to this node.
type inbound struct {
	c    net.Conn
	over chan struct{} // closed when its last frame was handled
}

// Listen opens the node's peer address. Frames come after Start.
func Listen(opts Options) (*Transport, error) {
	l, err := opts.Network.Listen(opts.Listen)
	if err != nil {
		return nil, err
	}
	t := &Transport{opts: opts, listener: l, self: opts.Identity, peers: map[uint64]*peer{}, conns: map[net.Conn]struct{}{}, streams: map[uint64]*inbound{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Addr returns the address it listens on.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// Start begins to accept connections and to watch the peers.
func (t *Transport) Start() {
	t.tasks.Go(t.accept)
	t.tasks.Go(t.watch)
}

// SetAddr sets where other nodes dial this one, before Start.
func (t *Transport) SetAddr(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.self.Addr = addr
}

// SetCluster sets the cluster that this node belongs to.
func (t *Transport) SetCluster(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.self.ClusterID = id
}

// Identity returns what this node says of itself.
func (t *Transport) Identity() Identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.self
}

// SetPeers sets the other nodes: replica → address. A living node of the cluster that
// dialed this one stays a peer: the caller's knowledge may be behind, and only answers
// to that node bring it up to date.
func (t *Transport) SetPeers(addrs map[uint64]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, p := range t.peers {
		if addr, known := addrs[id]; known && addr != p.addr || !known && !p.alive() {
			delete(t.peers, id)
			p.stop()
		}
	}
	for id, addr := range addrs {
		t.addLocked(id, addr)
	}
}

func (t *Transport) addLocked(id uint64, addr string) {
	if id != t.self.Replica && t.peers[id] == nil && t.ctx.Err() == nil {
		p := newPeer(t, id, addr)
		t.peers[id] = p
		t.tasks.Go(p.run)
	}
}

func (t *Transport) peer(replica uint64) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[replica]
}

func (t *Transport) allPeers() []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	ps := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers {
		ps = append(ps, p)
	}
	return ps
}

// Send queues a frame for a replica; without a connection it is dropped. Nobody may
// change the payload afterwards.
func (t *Transport) Send(to uint64, kind byte, payload ...[]byte) {
	if p := t.peer(to); p != nil {
		p.send(kind, payload...)
	}
}

// Broadcast queues a frame for every peer.
func (t *Transport) Broadcast(kind byte, payload ...[]byte) {
	for _, p := range t.allPeers() {
		p.send(kind, payload...)
	}
}

// Alive reports whether the failure detector believes that a replica lives.
func (t *Transport) Alive(replica uint64) bool {
	p := t.peer(replica)
	return p != nil && p.alive()
}

// SendBulk carries something large over a connection of its own, not faster than
// bulkBytesPerSecond: head, then what write writes, then the payload that it returns. It
// calls sent with the outcome, and returns at once.
func (t *Transport) SendBulk(to uint64, kind byte, head []byte, write func(io.Writer) ([]byte, error), sent func(ok bool)) {
	p := t.peer(to)
	if p == nil || t.ctx.Err() != nil {
		sent(false)
		return
	}
	t.tasks.Go(func() {
		err := t.bulk(p, kind, head, write)
		if err != nil {
			t.opts.Logger.Warn("snapshot not sent", "to", p.addr, "error", err)
		}
		sent(err == nil)
	})
}

func (t *Transport) bulk(p *peer, kind byte, head []byte, write func(io.Writer) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	c, err := t.dial(ctx, p.addr, purposeBulk, p.replica)
	cancel()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(t.ctx, func() { _ = c.Close() })()
	setDeadline(c, bulkTimeout)
	if _, err := c.Write(appendFrame(nil, kind, head)); err != nil {
		return err
	}
	w := &bulkWriter{ctx: t.ctx, c: c, began: time.Now()}
	payload, err := write(w)
	if err == nil {
		err = w.end()
	}
	if err == nil {
		setDeadline(c, bulkTimeout)
		_, err = c.Write(appendFrame(nil, kind, payload))
	}
	if err != nil {
		return err
	}
	var ok [1]byte
	_, err = c.Read(ok[:])
	return err
}

// Call asks the node at addr, which need not belong to the cluster.
func (t *Transport) Call(ctx context.Context, addr string, request []byte) ([]byte, error) {
	c, err := t.dial(ctx, addr, purposeCall, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if d, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(d)
	}
	if _, err := c.Write(appendFrame(nil, kindCall, request)); err != nil {
		return nil, err
	}
	_, reply, err := readFrame(bufio.NewReader(c))
	if err != nil {
		return nil, fmt.Errorf("node at %s did not answer (wrong secret or version?): %w", addr, err)
	}
	return reply, nil
}

func (t *Transport) dial(ctx context.Context, addr string, p purpose, to uint64) (net.Conn, error) {
	c, err := t.opts.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	setDeadline(c, helloTimeout)
	if err := writeHello(c, hello{Identity: t.Identity(), Purpose: p, To: to}, t.opts.Secret); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (t *Transport) accept() {
	for {
		c, err := t.listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			t.opts.Logger.Error("accepting a peer", "error", err)
			t.pause() // out of file descriptors: let some close
			continue
		}
		t.mu.Lock()
		t.conns[c] = struct{}{}
		t.mu.Unlock()
		t.tasks.Go(func() {
			if err := t.serve(c); err != nil && t.ctx.Err() == nil {
				t.opts.Logger.Debug("peer connection ended", "peer", c.RemoteAddr(), "error", err)
			}
			t.mu.Lock()
			delete(t.conns, c)
			t.mu.Unlock()
			_ = c.Close()
		})
	}
}

func (t *Transport) pause() {
	timer := time.NewTimer(redialInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

func (t *Transport) serve(c net.Conn) error {
	r := bufio.NewReaderSize(c, 256<<10)
	setDeadline(c, helloTimeout)
	h, err := readHello(r, t.opts.Secret)
	if err != nil {
		t.opts.Logger.Warn("peer refused", "peer", c.RemoteAddr(), "error", err)
		return err
	}
	_ = c.SetDeadline(time.Time{})
	switch h.Purpose {
	case purposeCall:
		setDeadline(c, bulkTimeout)
		_, request, err := readFrame(r)
		if err != nil {
			return err
		}
		_, err = c.Write(appendFrame(nil, kindCall, t.opts.Handler.Call(h.Identity, request)))
		return err
	case purposeBulk:
		setDeadline(c, bulkTimeout)
		if err := t.meant(h); err != nil {
			return err
		}
		kind, payload, err := readFrame(r)
		if err != nil {
			return err
		}
		finish, err := t.opts.Handler.Bulk(h.Replica, kind, payload, &bulkReader{c: c, r: r})
		if err != nil {
			t.opts.Logger.Warn("snapshot not taken", "from", h.Name, "error", err)
			return err
		}
		setDeadline(c, bulkTimeout)
		if _, payload, err = readFrame(r); err != nil {
			return err
		}
		finish(payload)
		_, err = c.Write([]byte{1})
		return err
	case purposeStream:
		return t.stream(c, r, h)
	}
	return fmt.Errorf("peer %s opens a connection for %q", h.Name, h.Purpose)
}

// meant returns why frames of the sender are not for this node: it is of another cluster,
// or looks for the replica that this node was before it lost its data.
func (t *Transport) meant(h hello) error {
	switch id := t.Identity(); {
	case id.ClusterID == "" || h.ClusterID != id.ClusterID:
		return fmt.Errorf("peer %s is of cluster %q, this node of %q", h.Name, h.ClusterID, id.ClusterID)
	case h.To != id.Replica:
		return fmt.Errorf("peer %s looks for replica %x, this node is %x", h.Name, h.To, id.Replica)
	}
	return nil
}

// stream hands on a replica's frames until the stream breaks. A replica that opens another
// has given this one up: what is left of it comes before the first frame of the new one.
func (t *Transport) stream(c net.Conn, r *bufio.Reader, h hello) error {
	if err := t.meant(h); err != nil {
		return err
	}
	in := &inbound{c: c, over: make(chan struct{})}
	defer close(in.over)
	t.mu.Lock()
	t.addLocked(h.Replica, h.Addr)
	old := t.streams[h.Replica]
	t.streams[h.Replica] = in
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		if t.streams[h.Replica] == in {
			delete(t.streams, h.Replica)
		}
		t.mu.Unlock()
	}()
	if old != nil {
		_ = old.c.Close()
		<-old.over
	}
	if p := t.peer(h.Replica); p != nil {
		p.heard()
	}
	t.opts.Handler.Reset(h.Replica)
	for {
		kind, payload, err := readFrame(r)
		p := t.peer(h.Replica)
		if err != nil {
			if p != nil {
				p.lost()
			}
			return err
		}
		if p != nil {
			p.heard()
		}
		if kind >= FirstKind {
			t.opts.Handler.Frame(h.Replica, kind, payload)
		}
	}
}

// watch sends the heartbeats and looks for silence.
func (t *Transport) watch() {
	tick := time.NewTicker(heartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			for _, p := range t.allPeers() {
				p.send(kindHeartbeat)
				p.checkSilence()
			}
		}
	}
}

// Close closes all connections and waits for their goroutines.
func (t *Transport) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.mu.Lock()
	for c := range t.conns {
		_ = c.Close()
	}
	for _, p := range t.peers {
		p.stop()
	}
	t.mu.Unlock()
	t.tasks.Wait()
	return err
}
