package cluster

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// peer is the stream towards one other node, and the detector's view of it.
type peer struct {
	t       *Transport
	replica uint64
	addr    string
	ctx     context.Context
	cancel  context.CancelFunc

	mu        sync.Mutex
	wake      sync.Cond
	queued    stream
	connected bool
	broken    bool // the stream must start anew
	last      time.Time
	down      bool
	gone      bool // a dial was refused since the last sign of life

	telling sync.Mutex // the handler hears of Up and Down in the order in which they happened
}

func newPeer(t *Transport, replica uint64, addr string) *peer {
	p := &peer{t: t, replica: replica, addr: addr, down: true}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.wake.L = &p.mu
	return p
}

func (p *peer) stop() {
	p.cancel()
	p.mu.Lock()
	p.broken = true
	p.wake.Broadcast()
	p.mu.Unlock()
}

func (p *peer) send(kind byte, payload ...[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.connected || p.broken {
		return
	}
	if p.queued.size > queuedBytesMax {
		p.broken = true
		p.wake.Signal()
		return
	}
	if p.queued.size == 0 {
		p.wake.Signal()
	}
	p.queued.add(kind, payload...)
}

// run keeps a stream to the peer open and writes what is queued.
func (p *peer) run() {
	for p.ctx.Err() == nil {
		c, err := p.t.dial(p.ctx, p.addr, purposeStream, p.replica)
		if err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				p.setDown(true)
			}
			p.pause()
			continue
		}
		_ = c.SetDeadline(time.Time{})
		p.mu.Lock()
		p.connected, p.broken, p.queued = true, p.ctx.Err() != nil, stream{}
		p.mu.Unlock()
		p.t.opts.Handler.Reset(p.replica)
		p.write(c)
		_ = c.Close()
		p.pause()
	}
}

// pause waits before the next try to connect.
func (p *peer) pause() {
	timer := time.NewTimer(redialInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
}

func (p *peer) write(c net.Conn) {
	var b stream
	for {
		p.mu.Lock()
		for p.queued.size == 0 && !p.broken {
			p.wake.Wait()
		}
		if p.broken {
			p.connected = false
			p.mu.Unlock()
			return
		}
		b.reset()
		b, p.queued = p.queued, b
		p.mu.Unlock()
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := b.writeTo(c); err != nil {
			p.mu.Lock()
			p.connected = false
			p.mu.Unlock()
			return
		}
	}
}

// heard notes a sign of life.
func (p *peer) heard() {
	p.mu.Lock()
	p.last = time.Now()
	was := p.down
	p.mu.Unlock()
	if !was {
		return
	}
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	was = p.down
	p.down, p.gone = false, false
	p.mu.Unlock()
	if was {
		p.t.opts.Handler.Up(p.replica)
	}
}

// lost notes that the peer's stream to this node broke, and looks whether its process
// is gone: a refused connection is certain knowledge.
func (p *peer) lost() {
	p.t.tasks.Go(func() {
		c, err := p.t.opts.Network.Dial(p.ctx, p.addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		p.mu.Lock()
		p.broken = true
		p.wake.Signal()
		p.mu.Unlock()
		p.setDown(true)
	})
}

func (p *peer) checkSilence() {
	p.mu.Lock()
	silent := p.silentLocked()
	p.mu.Unlock()
	if silent {
		p.setDown(false)
	}
}

func (p *peer) silentLocked() bool { return !p.down && time.Since(p.last) > silenceMax }

// setDown notes that the peer is silent, or that its process is gone for certain.
func (p *peer) setDown(refused bool) {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	news := refused && !(p.down && p.gone) || p.silentLocked()
	if news {
		p.down, p.gone = true, p.gone || refused
	}
	p.mu.Unlock()
	if news {
		p.t.opts.Handler.Down(p.replica, refused)
	}
}

func (p *peer) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.down
}
