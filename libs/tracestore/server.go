package tracestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // exporters may compress
)

// Jaeger's ports.
const (
	DefaultQueryAddress    = "127.0.0.1:16686"
	DefaultOTLPHTTPAddress = "127.0.0.1:4318"
	DefaultOTLPGRPCAddress = "127.0.0.1:4317"
)

// Timeouts of the HTTP servers.
const (
	readHeaderTimeout = 5 * time.Second
	requestTimeout    = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
)

// Config of a Server. An empty address is Jaeger's port on 127.0.0.1, port 0 a free one, "-" is off.
type Config struct {
	QueryAddress    string
	OTLPHTTPAddress string
	OTLPGRPCAddress string
	BytesMax        int // of stored traces, estimated; DefaultStoreBytesMax when 0
}

// Server is a Store on the network.
type Server struct {
	Store *Store

	cfg               Config
	query, http, grpc net.Listener // nil when off
}

// NewServer returns a server that does not listen yet.
func NewServer(cfg Config) *Server {
	cfg.QueryAddress = cmp.Or(cfg.QueryAddress, DefaultQueryAddress)
	cfg.OTLPHTTPAddress = cmp.Or(cfg.OTLPHTTPAddress, DefaultOTLPHTTPAddress)
	cfg.OTLPGRPCAddress = cmp.Or(cfg.OTLPGRPCAddress, DefaultOTLPGRPCAddress)
	return &Server{Store: NewStore(cfg.BytesMax), cfg: cfg}
}

// Start listens on all addresses or on none.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	for _, p := range []struct {
		address string
		into    *net.Listener
	}{{s.cfg.QueryAddress, &s.query}, {s.cfg.OTLPHTTPAddress, &s.http}, {s.cfg.OTLPGRPCAddress, &s.grpc}} {
		if p.address == "-" {
			continue
		}
		l, err := lc.Listen(ctx, "tcp", p.address)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("tracestore: %w", err)
		}
		*p.into = l
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range []net.Listener{s.query, s.http, s.grpc} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// Run serves until ctx ends. Call Start before.
func (s *Server) Run(ctx context.Context) error {
	ended := make(chan error, 3)
	var servers []*http.Server
	serve := func(l net.Listener, h http.Handler) {
		if l == nil {
			return
		}
		hs := &http.Server{
			Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		}
		servers = append(servers, hs)
		go func() { ended <- hs.Serve(l) }()
	}
	serve(s.query, s.Store.QueryHandler())
	serve(s.http, s.Store.receiveHandler())
	running := len(servers)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(requestBytesMax), grpc.ConnectionTimeout(readHeaderTimeout))
	s.Store.registerGRPC(g)
	if s.grpc != nil {
		running++
		go func() { ended <- g.Serve(s.grpc) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		running--
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	for _, hs := range servers {
		err = errors.Join(err, hs.Shutdown(stopCtx))
	}
	force := time.AfterFunc(shutdownTimeout, g.Stop)
	g.GracefulStop()
	force.Stop()
	for range running {
		<-ended
	}
	return err
}

// QueryURL is the address of the page and the API, "" when off or before Start.
func (s *Server) QueryURL() string { return urlOf(s.query) }

// OTLPHTTPURL is what OTEL_EXPORTER_OTLP_ENDPOINT wants for http/protobuf.
func (s *Server) OTLPHTTPURL() string { return urlOf(s.http) }

// OTLPGRPCURL is what OTEL_EXPORTER_OTLP_ENDPOINT wants for grpc.
func (s *Server) OTLPGRPCURL() string { return urlOf(s.grpc) }

func urlOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return "http://" + l.Addr().String()
}
