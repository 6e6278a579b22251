package chassis

import (
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/warren-mq/warren/libs/telemetry"
)

// Config is what every service is told from outside. Instead of a password, <SETTING>_FILE may name a file that holds it.
type Config struct {
	Service string
	// Address the HTTP API listens on: <SERVICE>_HTTP.
	Address string
	// Cert and Key are PEM files that the HTTP API is served with; none: without TLS. HTTP_TLS_CERT, HTTP_TLS_KEY.
	Cert, Key string
	// CA is a PEM file of who signs the certificates of the broker and of other services; none: whom the machine trusts. TLS_CA.
	CA string
	// Database is a PostgreSQL URL or the path of an SQLite file: <SERVICE>_DATABASE_URL, with <SERVICE>_DATABASE_PASSWORD, else
	// <SERVICE>_DATA/<service>.db.
	Database string
	// TraceSQL gives each statement that belongs to a trace a span in it: TRACE_SQL.
	TraceSQL bool
	// AMQP addresses of the broker, tried in turn; a proxy's is enough: AMQP_ADDRESSES, with AMQP_PASSWORD.
	AMQP []string
	// Quorum asks for replicated queues: QUORUM_QUEUES.
	Quorum bool
	// Actuator serves /actuator, where whoever reaches it sees and stops bindings: ACTUATOR.
	Actuator bool
	// Attempts of a handler before its message is dead-lettered: CONSUMER_ATTEMPTS.
	Attempts int
	// Failures lets failures be switched on over /admin/failures: FAILURES.
	Failures bool
	// TraceURL is where people look at traces: TRACE_URL.
	TraceURL string
	// LogFormat and LogLevel: LOG_FORMAT, LOG_LEVEL.
	LogFormat telemetry.Format
	LogLevel  slog.Level
	// Getenv is for OpenTelemetry's own variables, OTEL_*.
	Getenv func(string) string
}

// DefaultAMQP is the balancer's address.
const DefaultAMQP = "amqp://guest:guest@127.0.0.1:5670/"

// Read reads the settings that all services share. port is the service's default one.
func Read(e *Env, service, port string) Config {
	prefix := strings.ToUpper(service)
	c := Config{
		Service:   service,
		Address:   e.Address(prefix+"_HTTP", "127.0.0.1:"+port),
		Cert:      e.String("HTTP_TLS_CERT", ""),
		Key:       e.String("HTTP_TLS_KEY", ""),
		CA:        e.String("TLS_CA", ""),
		Database:  e.URL(prefix+"_DATABASE_URL", "", "postgres", "postgresql"),
		TraceSQL:  e.Bool("TRACE_SQL", false),
		AMQP:      e.WithPassword("AMQP_PASSWORD", e.URLs("AMQP_ADDRESSES", DefaultAMQP, "amqp", "amqps")...),
		Quorum:    e.Bool("QUORUM_QUEUES", true),
		Actuator:  e.Bool("ACTUATOR", false),
		Attempts:  e.Int("CONSUMER_ATTEMPTS", 5, 1, attemptsMax),
		Failures:  e.Bool("FAILURES", false),
		TraceURL:  e.URL("TRACE_URL", "http://127.0.0.1:16686", "http", "https"),
		LogFormat: telemetry.Format(e.OneOf("LOG_FORMAT", string(telemetry.FormatJSON), string(telemetry.FormatBracket))),
		Getenv:    e.get,
	}
	if (c.Cert == "") != (c.Key == "") {
		e.Bad("HTTP_TLS_CERT", c.Cert, "want it together with HTTP_TLS_KEY")
	}
	if c.Database != "" {
		c.Database = e.WithPassword(prefix+"_DATABASE_PASSWORD", c.Database)[0]
	} else {
		c.Database = filepath.Join(e.String(prefix+"_DATA", filepath.Join(".warren", "data", service)), service+".db")
	}
	// The words are slog's own: this cannot fail.
	_ = c.LogLevel.UnmarshalText([]byte(e.OneOf("LOG_LEVEL", "info", "debug", "warn", "error")))
	return c
}
