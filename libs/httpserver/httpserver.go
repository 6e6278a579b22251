// Package httpserver is the HTTP side of a service: chi for routes, huma for typed operations and OpenAPI 3.1, problem details
// (RFC 9457) for every error, a trace on every response, health, and a graceful end.
package httpserver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Defaults and limits.
const (
	DefaultBodyBytesMax      = 1 << 20
	DefaultRequestTimeout    = 15 * time.Second
	DefaultReadHeaderTimeout = 5 * time.Second
	DefaultShutdownTimeout   = 10 * time.Second
	idleTimeout              = 2 * time.Minute
	headerBytesMax           = 64 << 10
)

// Check asks whether a part of the service works. It must respect ctx.
type Check func(ctx context.Context) error

// Config of a server. Service and Address are required.
type Config struct {
	Service string
	Version string
	Address string // host:port; port 0 picks a free one, see Server.Address
	// TLS, when set, is how it serves; it must hold a certificate. Nil serves without.
	TLS *tls.Config
	// TraceBaseURL is the trace UI's address; responses carry Trace-Link: {TraceBaseURL}/trace/{trace id}. Empty: no link.
	TraceBaseURL string
	// Ready are the checks behind /health/ready, by name.
	Ready map[string]Check
	// Details, when set, is shown as JSON under "details" at /health, for example the state of every binding.
	Details        func() any
	BodyBytesMax   int64
	RequestTimeout time.Duration // the request's context ends after it; event streams are exempt
	// Streams tells the requests that are event streams although they do not accept text/event-stream by name, as curl's.
	Streams           func(*http.Request) bool
	ReadHeaderTimeout time.Duration
	ShutdownTimeout   time.Duration
	Logger            *slog.Logger // slog.Default when nil
}

func (c Config) withDefaults() Config {
	c.Version = cmp.Or(c.Version, "dev")
	c.BodyBytesMax = cmp.Or(c.BodyBytesMax, DefaultBodyBytesMax)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, DefaultRequestTimeout)
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, DefaultShutdownTimeout)
	c.TraceBaseURL = strings.TrimRight(c.TraceBaseURL, "/")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Server serves one service's API. Register operations on API (huma.Register), anything else on Router, then Start and Run.
type Server struct {
	API    huma.API
	Router chi.Router

	cfg     Config
	http    *http.Server
	closing context.Context // ends when the server begins to stop, for event streams
	close   context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
}

// New returns a server with health, /openapi.json and /docs.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, Router: chi.NewRouter()}
	s.closing, s.close = context.WithCancel(context.Background())
	s.Router.Use(
		otelhttp.NewMiddleware(cfg.Service, otelhttp.WithFilter(traced)),
		s.trace, s.recover, s.limit, route,
	)
	s.Router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, http.StatusNotFound, "no such resource: "+r.URL.Path)
	})
	s.Router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, http.StatusMethodNotAllowed, r.Method+" is not allowed here")
	})
	hc := huma.DefaultConfig(cfg.Service, cfg.Version)
	hc.DocsPath = ""     // huma's page loads scripts from a CDN
	hc.CreateHooks = nil // no $schema member in every answer
	hc.Transformers = append(hc.Transformers, s.conceal)
	s.API = humachi.New(s.Router, hc)
	s.Router.Get("/docs", docs)
	s.Router.Get("/health", s.health)
	s.Router.Get("/health/live", live)
	s.Router.Get("/health/ready", s.ready)
	s.http = &http.Server{
		Handler: s.Router, ReadHeaderTimeout: cfg.ReadHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytesMax,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	s.http.RegisterOnShutdown(s.close)
	return s
}

// Start listens, so that a taken port is an error before anything else happens. Requests wait until Run.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("httpserver: %w", err)
	}
	if s.cfg.TLS != nil {
		l = tls.NewListener(l, s.cfg.TLS)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	return nil
}

// Run serves until ctx ends, then lets running requests finish within the shutdown timeout. Call Start before.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return errors.New("httpserver: Run before Start")
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(l) }() // ends with Shutdown or Close below
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(stopCtx)
	if err != nil {
		err = errors.Join(fmt.Errorf("httpserver: requests cut: %w", err), s.http.Close())
	}
	<-served
	return err
}

// Address is the address it listens on, "" before Start.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// ServeHTTP makes the server usable in tests without a socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.Router.ServeHTTP(w, r) }
