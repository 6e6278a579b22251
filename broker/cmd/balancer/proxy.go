package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	header "github.com/warren-mq/warren/broker/internal/proxy"
)

const copyBytes = 32 << 10 // buffer of one direction

// proxy is the balancer.
type proxy struct {
	cfg      config
	log      *slog.Logger
	backends []*backend
	started  time.Time

	mu      sync.Mutex
	turn    int // of the round robin
	refused int // clients for whom no server was UP
	total   int

	sessions sync.WaitGroup
}

func newProxy(cfg config, log *slog.Logger) *proxy {
	p := &proxy{cfg: cfg, log: log, started: time.Now()}
	for _, s := range cfg.servers {
		p.backends = append(p.backends, newBackend(s, cfg.Rise, cfg.Fall, p.started))
	}
	return p
}

// run accepts clients until ctx ends, then lets sessions go on for the grace time.
func (p *proxy) run(ctx context.Context, l net.Listener) error {
	var checks sync.WaitGroup
	checking, stopChecks := context.WithCancel(ctx)
	defer checks.Wait()
	defer stopChecks()
	c := newChecker(p.cfg.CheckPath, p.cfg.CheckTimeout, p.cfg.trusted)
	for _, b := range p.backends {
		checks.Go(func() { p.watch(checking, c, b) })
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // Accept sees the result

	err := p.accept(ctx, l)
	p.drain()
	return err
}

func (p *proxy) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			p.sessions.Go(func() { p.serve(ctx, conn) })
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the listener was closed because it is time to stop
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of file descriptors, most likely
			p.log.Warn("accept failed", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// drain waits for the sessions, and closes them when the grace time is over.
func (p *proxy) drain() {
	t := time.AfterFunc(p.cfg.Grace, func() {
		for _, b := range p.backends {
			b.stop()
		}
	})
	defer t.Stop()
	p.sessions.Wait()
}

// watch checks one server at intervals.
func (p *proxy) watch(ctx context.Context, c *checker, b *backend) {
	tick := time.NewTicker(p.cfg.CheckInterval)
	defer tick.Stop()
	for {
		r := c.check(ctx, b.checkAddr)
		if ctx.Err() != nil {
			return
		}
		if up, changed := b.observed(r, time.Now()); changed {
			p.tell(b, up, r.text)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *proxy) tell(b *backend, up bool, why string) {
	if up {
		p.log.Info("server is UP", "server", b.name, "check", why)
		return
	}
	p.log.Warn("server is DOWN", "server", b.name, "reason", why)
}

// serve finds a server for a client and copies until one of them closes.
func (p *proxy) serve(ctx context.Context, client net.Conn) {
	b, s := p.connect(ctx, client)
	if s == nil {
		_ = client.Close()
		return
	}
	defer b.remove(s)
	defer s.close()
	var both sync.WaitGroup
	both.Go(func() { p.copy(s.server, s.client, s, func(n int64) { b.count(n, 0) }) })
	p.copy(s.client, s.server, s, func(n int64) { b.count(0, n) })
	both.Wait()
}

// connect tries the servers that are UP, each once, beginning with the one whose turn it
// is.
func (p *proxy) connect(ctx context.Context, client net.Conn) (*backend, *session) {
	p.mu.Lock()
	first := p.turn
	p.turn++
	p.total++
	p.mu.Unlock()
	d := net.Dialer{Timeout: p.cfg.ConnectTimeout}
	var up []*backend
	for _, b := range p.backends {
		if b.isUp() {
			up = append(up, b)
		}
	}
	for i := range up {
		b := up[(first+i)%len(up)]
		conn, err := d.DialContext(ctx, "tcp", b.addr)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil
			}
			if b.refused(time.Now()) {
				p.tell(b, false, err.Error())
			}
			continue
		}
		s := &session{client: client, server: conn}
		if p.introduce(s) == nil && b.add(s) {
			return b, s
		}
		_ = conn.Close()
	}
	p.mu.Lock()
	p.refused++
	p.mu.Unlock()
	p.log.Warn("no server is UP", "client", client.RemoteAddr().String())
	return nil, nil
}

// introduce tells the server who the client is, if it should be told.
func (p *proxy) introduce(s *session) error {
	if !p.cfg.SendProxy {
		return nil
	}
	if err := s.server.SetWriteDeadline(time.Now().Add(p.cfg.ConnectTimeout)); err != nil {
		return err
	}
	if _, err := s.server.Write(header.Append(nil, s.client.RemoteAddr(), s.client.LocalAddr())); err != nil {
		return err
	}
	return s.server.SetWriteDeadline(time.Time{})
}

// copy moves bytes one way. The end of one side's data is passed on as such, so that the
// other may still answer; anything else ends the session.
func (p *proxy) copy(dst, src net.Conn, s *session, count func(int64)) {
	buf := make([]byte, copyBytes)
	var armed time.Time
	for {
		// An idle time of hours needs no new deadline for each read.
		if now := time.Now(); now.Sub(armed) > p.cfg.IdleTimeout/16 {
			armed = now
			_ = src.SetReadDeadline(now.Add(p.cfg.IdleTimeout))
		}
		n, err := src.Read(buf)
		if n > 0 {
			count(int64(n))
			if _, werr := dst.Write(buf[:n]); werr != nil {
				s.close()
				return
			}
		}
		if err == nil {
			continue
		}
		t, ok := dst.(*net.TCPConn)
		if !errors.Is(err, io.EOF) || !ok || t.CloseWrite() != nil {
			s.close()
		}
		return
	}
}
