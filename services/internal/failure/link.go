package failure

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a link.
const (
	linkDialTimeout = 5 * time.Second
	linkBufferBytes = 32 << 10
	linkLook        = 50 * time.Millisecond // how often idle connections are looked for
	linkConnsMax    = 64
)

// Link is the wire between a service and the broker: a forwarder that cuts connections when IdleCut or Reconnects is on, as a proxy
// or a firewall in between would.
type Link struct {
	set      *Set
	upstream string
	listener net.Listener

	mu    sync.Mutex
	pairs map[*pair]bool
}

type pair struct {
	client, server net.Conn
	last           atomic.Int64 // when a byte passed, in Unix nanoseconds
}

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// NewLink listens for connections to the broker at an amqp:// address and returns the address to use instead.
func NewLink(ctx context.Context, set *Set, address string) (*Link, string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "amqp" {
		return nil, "", errors.New("failure: a link needs an address that begins with amqp://")
	}
	upstream := u.Host
	if u.Port() == "" {
		upstream = net.JoinHostPort(u.Hostname(), "5672")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	u.Host = l.Addr().String()
	return &Link{set: set, upstream: upstream, listener: l, pairs: map[*pair]bool{}}, u.String(), nil
}

// Run forwards until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	defer l.cut(func(*pair) bool { return true })
	defer context.AfterFunc(ctx, func() { _ = l.listener.Close() })()
	work.Go(func() { l.watch(ctx) })
	for {
		client, err := l.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		work.Go(func() { l.forward(ctx, client) })
	}
}

func (l *Link) forward(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	dial, cancel := context.WithTimeout(ctx, linkDialTimeout)
	server, err := new(net.Dialer).DialContext(dial, "tcp", l.upstream)
	cancel()
	if err != nil {
		return // the client sees the end of its connection, as behind a proxy
	}
	p := &pair{client: client, server: server}
	p.last.Store(time.Now().UnixNano())
	l.mu.Lock()
	full := len(l.pairs) >= linkConnsMax
	if !full {
		l.pairs[p] = true
	}
	l.mu.Unlock()
	defer context.AfterFunc(ctx, p.close)()
	defer p.close()
	if full {
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.pass(server, client) })
	ways.Go(func() { p.pass(client, server) })
	ways.Wait()
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
}

// pass copies one direction until it ends, then ends the other.
func (p *pair) pass(to, from net.Conn) {
	defer p.close()
	buf := make([]byte, linkBufferBytes)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.last.Store(time.Now().UnixNano())
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return // its end, or somebody cut it
		}
	}
}

// watch cuts what is to be cut.
func (l *Link) watch(ctx context.Context) {
	tick := time.NewTicker(linkLook)
	defer tick.Stop()
	var lastCut time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if ms, on := l.set.Value(IdleCut); on {
				limit := time.Duration(ms) * time.Millisecond
				if l.cut(func(p *pair) bool { return now.UnixNano()-p.last.Load() > int64(limit) }) {
					l.set.Hit(IdleCut)
				}
			}
			if ms, on := l.set.Value(Reconnects); on && now.Sub(lastCut) >= time.Duration(ms)*time.Millisecond {
				lastCut = now
				if l.cut(func(*pair) bool { return true }) {
					l.set.Hit(Reconnects)
				}
			}
		}
	}
}

// cut ends the connections that f picks and tells whether there were any.
func (l *Link) cut(f func(*pair) bool) (any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		if f(p) {
			p.close()
			any = true
		}
	}
	return any
}
