// Package sqldb opens the database of a service, SQLite or PostgreSQL, the way the rest of this module expects it: durable
// commits, one writer at a time on SQLite, a place to hang work that follows a commit.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/XSAM/otelsql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
)

// Pool limits.
const (
	postgresConnsMax  = 16
	busyTimeoutMillis = 5000
)

// Dialect of SQL.
type Dialect string

// The dialects. Their values are goose's names, too.
const (
	SQLite   Dialect = "sqlite3"
	Postgres Dialect = "postgres"
)

// DB is a service's database.
type DB struct {
	// Writer is for transactions and statements that write. On SQLite it is one connection: writers queue here instead of
	// failing with SQLITE_BUSY.
	Writer *sql.DB
	// Reader is for queries. On SQLite it cannot write; on PostgreSQL it is the Writer.
	Reader  *sql.DB
	Dialect Dialect

	mu       sync.Mutex
	onCommit []func()
}

// Option changes how a database is opened.
type Option func(*options)

type options struct{ traced bool }

// Traced gives each statement a span, with its text and without its values, in the trace of the context that it runs with. A
// context without a span gets none: what looks at tables again and again would fill a trace store.
func Traced() Option { return func(o *options) { o.traced = true } }

// Open opens a database: "postgres://…" or "postgresql://…", or the path of an SQLite file, with or without "sqlite:" in
// front. It fails when the database cannot be reached.
func Open(ctx context.Context, address string, opts ...Option) (*DB, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return o.openPostgres(ctx, address)
	}
	path := strings.TrimPrefix(strings.TrimPrefix(address, "sqlite://"), "sqlite:")
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("sqldb: SQLite needs a file: the writer and the readers are different connections")
	}
	return o.openSQLite(ctx, path)
}

func (o options) openPostgres(ctx context.Context, address string) (*DB, error) {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("sqldb: %w", err)
	}
	pool := o.pool(stdlib.GetConnector(*cfg), semconv.DBSystemNamePostgreSQL)
	pool.SetMaxOpenConns(postgresConnsMax)
	pool.SetMaxIdleConns(postgresConnsMax)
	db := &DB{Writer: pool, Reader: pool, Dialect: Postgres}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqldb: %w", err), pool.Close())
	}
	return db, nil
}

func (o options) openSQLite(ctx context.Context, path string) (*DB, error) {
	writer := o.pool(connector{sqliteDSN(path, false)}, semconv.DBSystemNameSQLite)
	reader := o.pool(connector{sqliteDSN(path, true)}, semconv.DBSystemNameSQLite)
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(max(4, runtime.NumCPU()))
	db := &DB{Writer: writer, Reader: reader, Dialect: SQLite}
	// The writer comes first: it makes the file and turns WAL on.
	if err := errors.Join(writer.PingContext(ctx), reader.PingContext(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("sqldb: open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// pool returns connections from a connector, traced or not.
func (o options) pool(c driver.Connector, system attribute.KeyValue) *sql.DB {
	if !o.traced {
		return sql.OpenDB(c)
	}
	inTrace := func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
		return trace.SpanContextFromContext(ctx).IsValid()
	}
	return otelsql.OpenDB(c, otelsql.WithAttributes(system), otelsql.WithSpanOptions(otelsql.SpanOptions{
		SpanFilter: inTrace, DisableErrSkip: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true, OmitConnectorConnect: true,
	}))
}

// sqliteDSN carries the pragmas, which SQLite keeps per connection. synchronous=FULL: a commit survives a power cut.
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{"_pragma": {
		"busy_timeout(" + strconv.Itoa(busyTimeoutMillis) + ")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
	}}
	if readOnly {
		q.Add("_pragma", "query_only(ON)")
	} else {
		q.Set("_txlock", "immediate") // a transaction that will write takes the lock at once and never has to upgrade
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// Close closes both pools.
func (d *DB) Close() error {
	if d.Reader == d.Writer {
		return d.Writer.Close()
	}
	return errors.Join(d.Reader.Close(), d.Writer.Close())
}

// Rebind writes a query with ? placeholders for the dialect. The query must hold no other question mark.
func (d *DB) Rebind(query string) string {
	if d.Dialect != Postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// OnCommit adds what InTx calls after every commit. It must not block.
func (d *DB) OnCommit(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onCommit = append(d.onCommit, f)
}

// InTx runs f in a transaction of the writer: committed when f returns nil, else rolled back.
func (d *DB) InTx(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	tx, err := d.Writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqldb: begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing; after a panic it frees the connection
	if err := f(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqldb: commit: %w", err)
	}
	d.mu.Lock()
	hooks := d.onCommit
	d.mu.Unlock()
	for _, h := range hooks {
		h()
	}
	return nil
}

// Row is a row of a query: *sql.Rows and *sql.Row are.
type Row interface{ Scan(dest ...any) error }

// Querier is where a query runs: a transaction, Writer or Reader.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Query returns all rows of a query with ? placeholders, each as scan reads it.
func Query[T any](ctx context.Context, d *DB, on Querier, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := on.QueryContext(ctx, d.Rebind(query), args...)
	if err != nil {
		return nil, fmt.Errorf("sqldb: query: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldb: query: %w", err)
	}
	return all, nil
}
