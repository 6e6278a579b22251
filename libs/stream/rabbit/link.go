package rabbit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// link keeps one connection to the broker alive until its context ends. Publishing and consuming have one each, because a
// broker under a memory alarm stops reading from connections that publish.
type link struct {
	name string
	cfg  Config

	mu      sync.Mutex
	live    live   // its conn is nil while there is none
	blocked string // the broker's reason, "" when publishing is welcome
	lastErr error
	changed chan struct{} // closed and replaced at every change of the above
}

// live is an open connection and the socket below it.
type live struct {
	conn *amqp.Connection
	out  *coalescer
}

func newLink(cfg Config, name string) *link {
	return &link{name: name, cfg: cfg, changed: make(chan struct{}), lastErr: errors.New("not connected yet")}
}

// run dials, watches and dials again.
func (l *link) run(ctx context.Context) {
	b := newBackoff(l.cfg)
	told := false // that there is no connection, which goes on for as long as it does
	for i := 0; ctx.Err() == nil; i++ {
		address := l.cfg.Addresses[i%len(l.cfg.Addresses)]
		conn, socket, err := l.dial(ctx, address)
		if err != nil {
			l.set(live{}, "", err)
			level := slog.LevelDebug
			if !told {
				level = slog.LevelWarn
			}
			told = true
			l.cfg.Logger.Log(ctx, level, "connect failed, trying again", "link", l.name, "error", err)
			b.pause(ctx)
			continue
		}
		told = false
		up := time.Now()
		l.cfg.Logger.InfoContext(ctx, "connected", "link", l.name, "remote", socket.RemoteAddr().String())
		err = l.watch(ctx, conn, socket)
		if ctx.Err() != nil {
			return
		}
		l.cfg.Logger.WarnContext(ctx, "connection lost", "link", l.name, "error", err)
		if time.Since(up) > stableAfter {
			b.reset()
		}
		b.pause(ctx)
	}
}

// dial opens a connection. The socket is returned too: closing it is the only way to end a write that the broker blocks.
func (l *link) dial(ctx context.Context, address string) (*amqp.Connection, *coalescer, error) {
	var socket *coalescer
	props := amqp.NewConnectionProperties()
	props.SetClientConnectionName(l.name)
	props["product"] = "warren stream"
	var release func() bool
	conn, err := amqp.DialConfig(address, amqp.Config{
		Heartbeat: l.cfg.Heartbeat, TLSClientConfig: l.cfg.TLS, Properties: props,
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: l.cfg.ConnectTimeout}
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			socket = newCoalescer(c)
			release = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
			// The client lifts the deadline when the handshake is over.
			return socket, c.SetDeadline(time.Now().Add(l.cfg.ConnectTimeout))
		},
	})
	if release != nil {
		release()
	}
	if err != nil {
		if socket != nil {
			_ = socket.Close()
		}
		return nil, nil, fmt.Errorf("rabbit: connect: %w", err)
	}
	return conn, socket, nil
}

// watch offers conn to the bindings until it dies or ctx ends, and leaves it closed.
func (l *link) watch(ctx context.Context, conn *amqp.Connection, socket *coalescer) error {
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	l.set(live{conn, socket}, "", nil)
	for {
		select {
		case b, ok := <-blocked:
			if !ok {
				blocked = nil
				continue
			}
			reason := ""
			if b.Active {
				reason = "blocked by the broker: " + b.Reason
				l.cfg.Logger.WarnContext(ctx, "publishing is blocked", "link", l.name, "reason", b.Reason)
			}
			l.set(live{conn, socket}, reason, nil)
		case e := <-closed:
			err := errors.New("connection closed")
			if e != nil {
				err = e
			}
			_ = socket.Close() // the client has, but a broken one leaves that open
			l.set(live{}, "", err)
			return err
		case <-ctx.Done():
			l.set(live{}, "", ctx.Err())
			force := time.AfterFunc(closeTimeout, func() { _ = socket.Close() })
			defer force.Stop()
			_ = conn.CloseDeadline(time.Now().Add(closeTimeout)) // it is over either way
			return ctx.Err()
		}
	}
}

func (l *link) set(now live, blocked string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live, l.blocked = now, blocked
	if err != nil {
		l.lastErr = err
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// await returns the live connection, waiting for one until ctx ends.
func (l *link) await(ctx context.Context) (live, error) {
	for {
		l.mu.Lock()
		now, changed := l.live, l.changed
		l.mu.Unlock()
		if now.conn != nil && !now.conn.IsClosed() {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return live{}, ctx.Err()
		}
	}
}

// status returns the broker's reason for blocking, what went wrong last, and a channel that closes at the next change.
func (l *link) status() (blocked string, lastErr error, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked, l.lastErr, l.changed
}
