package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

// accepts confirms everything.
type accepts struct{}

func (accepts) PublishRaw(_ context.Context, _ string, ms []stream.Raw) []error {
	return make([]error, len(ms))
}

func benchDB(b *testing.B) *sqldb.DB {
	b.Helper()
	db, err := sqldb.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkAdd is a transaction with one record, on a disk that syncs.
func BenchmarkAdd(b *testing.B) {
	db := benchDB(b)
	o := New(db)
	for i := range b.N {
		if err := db.InTx(b.Context(), func(ctx context.Context, tx *sql.Tx) error { return o.Add(ctx, tx, record(fmt.Sprint(i), i)) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRelay is one record from the table to its mark, in full batches, publishing being free.
func BenchmarkRelay(b *testing.B) {
	db := benchDB(b)
	o := New(db)
	err := db.InTx(b.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i := range b.N {
			if err := o.Add(ctx, tx, record(fmt.Sprint("k", i%1000), i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	r := NewRelay(db, accepts{}, RelayConfig{Logger: slog.New(slog.DiscardHandler)})
	b.ResetTimer()
	for {
		if _, err := r.batch(b.Context()); err != nil {
			b.Fatal(err)
		}
		n, _, err := o.Backlog(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// BenchmarkProcess is one message applied, its note included.
func BenchmarkProcess(b *testing.B) {
	db := benchDB(b)
	for i := range b.N {
		if _, err := Process(b.Context(), db, "c", fmt.Sprint(i), func(context.Context, *sql.Tx) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
