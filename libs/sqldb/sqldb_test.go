package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/sqldb/sqldbtest"
)

func TestTransactions(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := open()
		var commits atomic.Int32
		db.OnCommit(func() { commits.Add(1) })
		if _, err := db.Writer.Exec("CREATE TABLE t (n INTEGER NOT NULL, m INTEGER NOT NULL DEFAULT 0)"); err != nil {
			t.Fatal(err)
		}
		insert := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, db.Rebind("INSERT INTO t (n, m) VALUES (?, ?)"), 1, 2)
			return err
		}
		no := errors.New("no")
		if err := db.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return errors.Join(insert(ctx, tx), no) }); !errors.Is(err, no) {
			t.Error(err)
		}
		if err := db.InTx(t.Context(), insert); err != nil {
			t.Error(err)
		}
		var n int
		if err := db.Reader.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 || commits.Load() != 1 {
			t.Errorf("%d rows, %d commits, %v", n, commits.Load(), err)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := db.InTx(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, "INSERT INTO t (n) VALUES (2)")
					return err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

// Statements that belong to a trace are seen in it, without their values; others are not.
func TestTraced(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	for _, opts := range [][]sqldb.Option{nil, {sqldb.Traced()}} {
		db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "t.db"), opts...)
		if err != nil {
			t.Fatal(err)
		}
		work := func(ctx context.Context, tx *sql.Tx) error {
			var secret string
			return tx.QueryRowContext(ctx, "SELECT ?", "secret").Scan(&secret)
		}
		if err := db.InTx(t.Context(), work); err != nil {
			t.Error(err)
		}
		ctx, parent := otel.Tracer("test").Start(t.Context(), "parent")
		if err := db.InTx(ctx, work); err != nil {
			t.Error(err)
		}
		parent.End()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		var got []string
		for _, s := range spans.Ended() {
			if s.Name() == "parent" {
				continue
			}
			if s.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("%s is not in the trace", s.Name())
			}
			for _, a := range s.Attributes() {
				got = append(got, string(a.Key)+"="+a.Value.Emit())
			}
		}
		want := 0
		if opts != nil {
			want = 1
		}
		if n := strings.Count(fmt.Sprint(got), "db.query.text=SELECT ?"); n != want || strings.Contains(fmt.Sprint(got), "secret") {
			t.Errorf("%d statements, want %d: %v", n, want, got)
		}
	}
}

func TestSQLiteIsDurableAndReadersOnlyRead(t *testing.T) {
	db, err := sqldb.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "with space#.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := db.Writer.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	if _, err := db.Reader.Exec("CREATE TABLE t (n INTEGER)"); err == nil {
		t.Error("a reader writes")
	}
	for _, address := range []string{"", ":memory:", "sqlite:", "/no/such/dir/x.db", "postgres://nobody@127.0.0.1:1/x?connect_timeout=1"} {
		if db, err := sqldb.Open(t.Context(), address); err == nil {
			db.Close()
			t.Errorf("%q opens", address)
		}
	}
}
