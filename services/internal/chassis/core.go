package chassis

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
)

// Core is what a service's logic works with.
type Core struct {
	DB  *sqldb.DB
	Log *slog.Logger
	// Now tells the time.
	Now func() time.Time
	// Failures are the switches of the failures that can be shown; nil where there are none.
	Failures *failure.Set

	outbox *outbox.Outbox
}

// NewCore returns a core on a database with the wall's clock.
func NewCore(db *sqldb.DB, log *slog.Logger) Core {
	return Core{DB: db, Log: log, Now: time.Now, outbox: outbox.New(db)}
}

// Emit writes events into the outbox: they are published when tx is committed, and only then.
func (c Core) Emit(ctx context.Context, tx *sql.Tx, es ...events.Event) error {
	for _, e := range es {
		r, err := outbox.JSON(e.Destination(), e.Key(), e.Type(), e)
		if err != nil {
			return err
		}
		if err := c.outbox.Add(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// Once runs f in a transaction unless a message of this id came to the consumer before.
func (c Core) Once(ctx context.Context, consumer, id string, f func(ctx context.Context, tx *sql.Tx) error) error {
	_, err := outbox.Process(ctx, c.DB, consumer, id, f)
	return err
}

// ForUpdate is what a SELECT in a transaction ends with so that the rows stay as they were read. SQLite has one writer at a time
// and needs nothing.
func (c Core) ForUpdate() string {
	if c.DB.Dialect == sqldb.Postgres {
		return " FOR UPDATE"
	}
	return ""
}

// MigrationFiles is a service's embedded directory "migrations".
func MigrationFiles(files embed.FS) fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	return sub
}

// The clock.
const (
	DueBatch = 64              // entries per look
	duePoll  = 5 * time.Second // longest wait between looks; a commit ends it earlier
	dueRetry = time.Second     // pause after a failure
)

// Due does what is due by now and returns when there will be more, zero when nobody knows of any.
type Due func(ctx context.Context, now time.Time) (next time.Time, err error)

// Clock calls due whenever something may be, until ctx ends. Several may run on one database.
func (c Core) Clock(ctx context.Context, due Due) error {
	wake := make(chan struct{}, 1)
	c.DB.OnCommit(func() {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	})
	for ctx.Err() == nil {
		pause := duePoll
		next, err := due(ctx, c.Now())
		switch {
		case err != nil && ctx.Err() == nil:
			c.Log.ErrorContext(ctx, "clock", "error", err)
			pause = dueRetry
		case !next.IsZero():
			pause = min(max(next.Sub(c.Now()), 0), duePoll)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-c.Failures.Changed(): // the clock itself may be another
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// NextDue returns when the first row of a table with a due_ms is due, zero when none is.
func (c Core) NextDue(ctx context.Context, table string) (time.Time, error) {
	var first sql.NullInt64
	if err := c.DB.Reader.QueryRowContext(ctx, `SELECT MIN(due_ms) FROM `+table+` WHERE due_ms > 0`).Scan(&first); err != nil {
		return time.Time{}, fmt.Errorf("due of %s: %w", table, err)
	}
	return FromMillis(first.Int64), nil
}

// Traceparent is ctx's trace as a header's value, "" when there is none. It is kept with what happens later, see Resume.
func Traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}

// Resume begins a span in the trace that Traceparent wrote down.
func Resume(ctx context.Context, service, traceparent, name string) (context.Context, trace.Span) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
	return otel.Tracer(service).Start(ctx, name)
}

// Millis is how a time is stored; the zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the time that Millis stored.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
