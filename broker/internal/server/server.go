// Package server is the broker's AMQP 0-9-1 front end: it listens, speaks the protocol
// and asks a node for all the rest. Each connection is three goroutines: a reader cuts
// the socket's bytes into frames, the session owns the connection's whole state, a
// writer empties what the session has to say into the socket. They work in turns: many
// frames are handed over at once, and all that a turn produced leaves in one write.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Server accepts connections on any number of listeners.
type Server struct {
	cfg    Config
	broker Broker
	log    *slog.Logger
	stop   chan struct{} // closed by Shutdown

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	done      sync.WaitGroup // sessions
}

// New returns a server in front of a broker.
func New(cfg Config, b Broker) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("amqp listener: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg: cfg, broker: b, log: log, stop: make(chan struct{}),
		listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{},
	}, nil
}

// Serve accepts connections until Shutdown or ctx's end, then returns nil, or until the
// listener fails. It closes the listener. Connections go on until Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return s.ServeTLS(ctx, l, nil) }

// ServeTLS is Serve with TLS on top of the connections, if secure is set.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, secure *tls.Config) error {
	if !s.addListener(l) {
		return errors.Join(net.ErrClosed, l.Close())
	}
	defer s.removeListener(l)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })() // Accept sees the result
	for delay := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.start(context.WithoutCancel(ctx), conn, secure)
		case s.isClosed(), ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("amqp listener %s: %w", l.Addr(), err)
		default:
			// Out of file descriptors, most likely: others will close theirs.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.log.Warn("accept failed", "address", l.Addr().String(), "error", err, "retry_in", delay)
			select {
			case <-time.After(delay):
			case <-s.stop:
			case <-ctx.Done():
			}
		}
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	_ = l.Close() // a second close says nothing new
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// start runs a session for conn, unless the server is closed.
func (s *Server) start(ctx context.Context, conn net.Conn, secure *tls.Config) {
	n := newSession(s, conn, secure)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return
	}
	s.sessions[n] = struct{}{}
	s.done.Go(func() {
		n.run(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sessions, n)
	})
}

// open returns the number of connections, those in their handshake included.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// ReasonShutdown is the reason that Shutdown gives to clients.
const ReasonShutdown = "shutdown"

// Shutdown stops listening, closes every connection with 320 CONNECTION_FORCED and waits
// until all are gone. When ctx ends first it drops the rest, and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	for l := range s.listeners {
		_ = l.Close() // Serve sees the result
	}
	for n := range s.sessions {
		n.inbox.Abort(ReasonShutdown)
		if !n.opened.Load() {
			_ = n.socket.Close() // nobody there yet who could be told
		}
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.done.Wait()
		close(gone)
	}()
	var err error
	select {
	case <-gone:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		for n := range s.sessions {
			_ = n.socket.Close()
		}
		s.mu.Unlock()
	}
	<-gone
	return err
}
