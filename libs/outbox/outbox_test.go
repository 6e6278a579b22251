package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/sqldb/sqldbtest"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var errCrash = errors.New("the process is gone")

// recorder is a Publisher that remembers, and fails when fail says so.
type recorder struct {
	mu   sync.Mutex
	got  []stream.Raw
	fail func(m stream.Raw) error
	seen chan struct{} // one token per accepted message, when not nil
}

func (r *recorder) PublishRaw(_ context.Context, _ string, ms []stream.Raw) []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := make([]error, len(ms))
	for i, m := range ms {
		if r.fail != nil {
			errs[i] = r.fail(m)
		}
		if errs[i] == nil {
			r.got = append(r.got, m)
			if r.seen != nil {
				r.seen <- struct{}{}
			}
		}
	}
	return errs
}

func prepared(t *testing.T, open func() *sqldb.DB) *sqldb.DB {
	t.Helper()
	db := open()
	for range 2 { // it may run twice
		if err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

func add(t *testing.T, db *sqldb.DB, records ...Record) {
	t.Helper()
	err := db.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return New(db).Add(ctx, tx, records...) })
	if err != nil {
		t.Fatal(err)
	}
}

func record(key string, n int) Record {
	return Record{Destination: "d", Key: key, Type: "T", Payload: fmt.Append(nil, n)}
}

func quick() RelayConfig {
	return RelayConfig{RetryMin: time.Nanosecond, RetryMax: time.Nanosecond, Logger: slog.New(slog.DiscardHandler)}
}

// drain runs batches until nothing is left.
func drain(t *testing.T, r *Relay) {
	t.Helper()
	for range 10_000 {
		if _, err := r.batch(t.Context()); err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		n, _, err := New(r.db).Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Fatal("the outbox does not empty")
}

func TestRollbackPublishesNothing(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		err := db.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(New(db).Add(ctx, tx, record("k", 1)), errCrash)
		})
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if n, oldest, err := New(db).Backlog(t.Context()); n != 0 || !oldest.IsZero() || err != nil {
			t.Errorf("backlog %d %v %v", n, oldest, err)
		}
	})
}

func TestOneTraceThroughTheOutbox(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		rec := tracetest.NewSpanRecorder()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
		app := stream.New(memory.New(memory.NewBroker()), stream.WithInstrumentation(oteltrace.New(oteltrace.Config{TracerProvider: tp})))
		got := make(chan stream.Message[int], 1)
		handled := make(chan trace.SpanContext, 1)
		stream.Consume(app, stream.Binding{Name: "in", Destination: "d", Group: "g"}, func(ctx context.Context, m stream.Message[int]) error {
			handled <- trace.SpanContextFromContext(ctx)
			got <- m
			return nil
		})
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer app.Stop(context.Background())
		ctx, span := tp.Tracer("t").Start(t.Context(), "POST /orders")
		err := db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			return New(db).Add(ctx, tx, Record{Destination: "d", Key: "o-1", Type: "T", Payload: []byte("7"), Headers: map[string]string{"h": "v"}})
		})
		span.End()
		if err != nil {
			t.Fatal(err)
		}
		relay := NewRelay(db, app, quick())
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- relay.Run(ctx) }()
		m := <-got
		if m.Payload != 7 || m.CorrelationID != "o-1" || m.Type != "T" || m.Headers.String("h") != "v" {
			t.Errorf("got %+v", m)
		}
		if sc := <-handled; sc.TraceID() != span.SpanContext().TraceID() {
			t.Error("the trace broke at the outbox")
		}
		for _, s := range rec.Ended() {
			if s.Name() == "publish d" && s.Parent().SpanID() != span.SpanContext().SpanID() {
				t.Error("the publish is not a child of the request")
			}
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

// Whatever fails and whenever the process dies: every record arrives, per key the first arrivals are in order.
func TestNothingIsLostAndKeysStayInOrder(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		for seed := range uint64(15) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			db := prepared(t, open)
			prefix := fmt.Sprint("s", seed, "-")
			want := map[string]int{}
			for range 60 {
				key := prefix + fmt.Sprint(rnd.IntN(5))
				add(t, db, record(key, want[key]))
				want[key]++
			}
			pub := &recorder{fail: func(stream.Raw) error {
				if rnd.IntN(4) == 0 {
					return stream.ErrNacked
				}
				return nil
			}}
			cfg := quick()
			cfg.BatchMax = 1 + rnd.IntN(20)
			r := NewRelay(db, pub, cfg)
			r.crash = func() error {
				if rnd.IntN(5) == 0 {
					return errCrash
				}
				return nil
			}
			drain(t, r)
			r.lead.resign()
			next := map[string]int{}
			for _, m := range pub.got {
				n := 0
				if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
					t.Fatal(err)
				}
				switch key := m.CorrelationID; {
				case n == next[key]:
					next[key]++
				case n > next[key]:
					t.Fatalf("seed %d: key %s: %d came before %d", seed, key, n, next[key])
				}
			}
			for key, n := range want {
				if next[key] != n {
					t.Errorf("seed %d: key %s: %d of %d arrived", seed, key, next[key], n)
				}
			}
		}
	})
}

func TestAFailedKeyDoesNotStopTheOthers(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		for i := range 10 {
			add(t, db, record("bad", i), record("good", i), record("", i))
		}
		pub := &recorder{fail: func(m stream.Raw) error {
			if m.CorrelationID == "bad" {
				return stream.ErrReturned
			}
			return nil
		}}
		cfg := quick()
		cfg.RetryMin, cfg.RetryMax, cfg.BatchMax = time.Hour, time.Hour, 4
		r := NewRelay(db, pub, cfg)
		for range 20 {
			if _, err := r.batch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(pub.got) != 20 {
			t.Errorf("%d of 20 published", len(pub.got))
		}
		if n, _, _ := New(db).Backlog(t.Context()); n != 10 {
			t.Errorf("backlog %d, want the 10 of the bad key", n)
		}
	})
}

func TestRunWakesAtCommit(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		pub := &recorder{seen: make(chan struct{}, 1)}
		cfg := quick()
		cfg.PollInterval = time.Hour
		r := NewRelay(db, pub, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- r.Run(ctx) }()
		for i := range 3 {
			add(t, db, record("k", i))
			select {
			case <-pub.seen:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody woke the relay")
			}
		}
		cancel()
		<-ran
	})
}

func TestClean(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		add(t, db, record("k", 1))
		drain(t, NewRelay(db, &recorder{}, quick()))
		add(t, db, record("k", 2)) // not sent: stays
		if _, err := Process(t.Context(), db, "c", "m", func(context.Context, *sql.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		later := time.Now().Add(time.Minute)
		if err := (store{db}).clean(t.Context(), later, later); err != nil {
			t.Fatal(err)
		}
		var out, in int
		if err := errors.Join(db.Reader.QueryRow("SELECT count(*) FROM outbox").Scan(&out), db.Reader.QueryRow("SELECT count(*) FROM inbox").Scan(&in)); err != nil {
			t.Fatal(err)
		}
		if out != 1 || in != 0 {
			t.Errorf("outbox %d, inbox %d", out, in)
		}
	})
}

func TestInboxAppliesOnce(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		if _, err := db.Writer.Exec(`CREATE TABLE stock (n INTEGER NOT NULL)`); err != nil {
			t.Fatal(err)
		}
		effect := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO stock (n) VALUES (1)`)
			return err
		}
		// A handler that fails after its effect leaves neither.
		if applied, err := Process(t.Context(), db, "c", "m1", func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(effect(ctx, tx), errCrash)
		}); applied || !errors.Is(err, errCrash) {
			t.Errorf("%v %v", applied, err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		count := 0
		for range 8 {
			wg.Go(func() {
				applied, err := Process(t.Context(), db, "c", "m1", effect)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if applied {
					count++
				}
			})
		}
		wg.Wait()
		if applied, err := Process(t.Context(), db, "another", "m1", effect); !applied || err != nil {
			t.Errorf("another consumer: %v %v", applied, err)
		}
		if _, err := Process(t.Context(), db, "c", "", effect); !errors.Is(err, ErrNoMessageID) {
			t.Error(err)
		}
		var n int
		if err := db.Reader.QueryRow(`SELECT count(*) FROM stock`).Scan(&n); err != nil || n != 2 || count != 1 {
			t.Errorf("%d effects, %d applied, %v", n, count, err)
		}
	})
}
