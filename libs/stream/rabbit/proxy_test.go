package rabbit_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between binder and broker, as HAProxy does, and breaks things on command.
type proxy struct {
	backends []string // tried in turn, as a balancer does
	l        net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	refuse bool
	frozen bool // nothing flows from the broker to the client
	thaw   *sync.Cond
	total  int
	turn   int
}

// newProxy returns a proxy and the URL of the brokers through it.
func newProxy(t *testing.T, brokerURLs ...string) (*proxy, string) {
	t.Helper()
	var u *url.URL
	var backends []string
	for _, b := range brokerURLs {
		var err error
		if u, err = url.Parse(b); err != nil {
			t.Fatal(err)
		}
		backends = append(backends, u.Host)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{backends: backends, l: l}
	p.thaw = sync.NewCond(&p.mu)
	u.Host = l.Addr().String()
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.freeze(false)
		p.cut()
		p.wg.Wait()
	})
	return p, u.String()
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse
		p.total++
		p.mu.Unlock()
		if refuse {
			_ = c.Close()
			continue
		}
		b, err := p.dial()
		if err != nil {
			_ = c.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, c, b)
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(b, c, false) })
		p.wg.Go(func() { p.pipe(c, b, true) })
	}
}

// dial connects to the next backend that is there.
func (p *proxy) dial() (c net.Conn, err error) {
	for range p.backends {
		p.mu.Lock()
		p.turn++
		to := p.backends[p.turn%len(p.backends)]
		p.mu.Unlock()
		if c, err = net.Dial("tcp", to); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// pipe copies until one side ends; gated stops at a freeze.
func (p *proxy) pipe(dst, src net.Conn, gated bool) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if gated {
			p.mu.Lock()
			for p.frozen {
				p.thaw.Wait()
			}
			p.mu.Unlock()
		}
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}

// cut kills every connection, without a word to either side.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) setRefuse(v bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = v
}

func (p *proxy) freeze(v bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = v
	p.thaw.Broadcast()
}

func (p *proxy) accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}
