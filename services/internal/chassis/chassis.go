// Package chassis is what the four services have in common: settings, database, outbox and inbox, bindings, HTTP server, the
// order of start and stop. What a service is about stands in its own directory.
package chassis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/actuator"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	"github.com/warren-mq/warren/libs/stream/rabbit"
	"github.com/warren-mq/warren/libs/telemetry"
	"github.com/warren-mq/warren/services/internal/failure"
)

// APIVersion is that of the HTTP APIs: it changes when something breaks.
const APIVersion = "1.0.0"

// Service is one service, assembled but not running.
type Service struct {
	Core
	Server *httpserver.Server
	// Trust is how others are spoken to with TLS; nil as the machine is set up.
	Trust *tls.Config
	// Ready are the checks behind /health/ready; add to them before Run.
	Ready map[string]httpserver.Check

	cfg       Config
	app       *stream.App
	link      *failure.Link // between the service and the broker, where failures are allowed
	telemetry *telemetry.Telemetry
}

// Open connects what a service is made of and brings its database up to date. Nothing listens yet. The caller must Run it.
func Open(ctx context.Context, cfg Config, migrations fs.FS, stderr io.Writer) (_ *Service, err error) {
	s := &Service{cfg: cfg, Ready: map[string]httpserver.Check{}}
	serving, err := cfg.serving()
	if err != nil {
		return nil, err
	}
	if s.Trust, err = cfg.trusting(); err != nil {
		return nil, err
	}
	s.telemetry, err = telemetry.Start(ctx, telemetry.Config{
		Service: cfg.Service, Getenv: cfg.Getenv, Log: stderr, Level: cfg.LogLevel, Format: cfg.LogFormat,
	})
	if err != nil {
		return nil, err
	}
	slog.SetDefault(s.telemetry.Logger)
	var opts []sqldb.Option
	if cfg.TraceSQL {
		opts = append(opts, sqldb.Traced())
	}
	db, err := OpenDB(ctx, cfg.Database, migrations, opts...)
	if err != nil {
		return nil, errors.Join(err, s.telemetry.Shutdown(ctx))
	}
	s.Core = NewCore(db, s.telemetry.Logger)
	if cfg.Failures {
		if err := s.allowFailures(ctx); err != nil {
			return nil, errors.Join(err, db.Close(), s.telemetry.Shutdown(ctx))
		}
	}
	binder, err := rabbit.New(rabbit.Config{Addresses: s.cfg.AMQP, ConnectionName: cfg.Service, TLS: s.Trust, Logger: s.Log})
	if err != nil {
		return nil, errors.Join(err, s.DB.Close(), s.telemetry.Shutdown(ctx))
	}
	s.app = stream.New(binder, stream.WithInstrumentation(oteltrace.New(oteltrace.Config{})), stream.WithLogger(s.Log))
	s.Ready["broker"] = s.app.Ready
	s.Ready["database"] = s.DB.Reader.PingContext
	s.Server = httpserver.New(httpserver.Config{
		Service: cfg.Service, Version: APIVersion, Address: cfg.Address, TLS: serving, TraceBaseURL: cfg.TraceURL, Ready: s.Ready, Logger: s.Log,
		Details: func() any { return s.app.Health() }, Streams: eventStream,
	})
	if cfg.Actuator {
		s.Server.Router.Mount("/actuator", http.StripPrefix("/actuator", actuator.Handler(s.app)))
	}
	if s.Failures != nil {
		failure.Routes(s.Server.API, s.Failures)
	}
	return s, nil
}

// eventStream finds the requests that go on for as long as the client listens, whatever it says it accepts.
func eventStream(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/events") }

// OpenDB opens a database, a file's directory included, and migrates it.
func OpenDB(ctx context.Context, address string, migrations fs.FS, opts ...sqldb.Option) (*sqldb.DB, error) {
	if !strings.Contains(address, "://") {
		if err := os.MkdirAll(filepath.Dir(address), 0o750); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	db, err := sqldb.Open(ctx, address, opts...)
	if err != nil {
		return nil, err
	}
	if err := Migrate(ctx, db, migrations); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Run starts everything, works until ctx ends, and stops in the opposite order: first no new request and no new message, then
// what is under way, then the connections. more are the service's own loops; they end before the outbox's relay does.
func (s *Service) Run(ctx context.Context, more ...run.Component) error {
	relay := outbox.NewRelay(s.DB, publisher{s.app, s.Failures}, outbox.RelayConfig{Logger: s.Log})
	parts := make([]run.Component, 0, 7+len(more))
	if s.link != nil {
		parts = append(parts, run.Component{Name: "link", Run: s.link.Run})
	}
	parts = append(parts,
		run.Component{Name: "telemetry", Stop: s.telemetry.Shutdown},
		run.Component{Name: "database", Stop: func(context.Context) error { return s.DB.Close() }},
		// It listens first, so that a taken port is the only thing that happens, and serves last.
		run.Component{Name: "address", Start: s.listen},
		run.Component{Name: "bindings", Start: s.app.Start, Stop: s.app.Stop},
		run.Component{Name: "relay", Run: relay.Run},
	)
	parts = append(parts, more...)
	parts = append(parts, run.Component{Name: "http", Run: s.Server.Run})
	s.Log.InfoContext(ctx, "starting", "address", s.cfg.Address, "database", string(s.DB.Dialect), "quorum_queues", s.cfg.Quorum)
	err := run.Components(ctx, s.Log, parts...)
	s.Log.InfoContext(ctx, "stopped")
	return err
}

func (s *Service) listen(ctx context.Context) error {
	if err := s.Server.Start(ctx); err != nil {
		return run.UsageError{Err: fmt.Errorf("%w; %s_HTTP moves it", err, strings.ToUpper(s.cfg.Service))}
	}
	return nil
}
