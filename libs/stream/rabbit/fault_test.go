package rabbit_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

var (
	faultTime = flag.Duration("fault", 8*time.Second, "how long TestFaultRun breaks things")
	faultSeed = flag.Uint64("fault-seed", 1, "repeats a run's faults")
)

const (
	faultPace   = 3 * time.Millisecond // between two messages of a sender
	faultSender = 2
	heapGrowth  = 64 << 20 // what the heap may have grown by: brokers, logs and ledger are in this process, too
)

// ledger is the truth: what was accepted, what came, and what was applied.
type ledger struct {
	db *sqldb.DB

	mu        sync.Mutex
	accepted  map[string]bool
	delivered map[string]int
	unknown   int
}

// TestFaultRun has a producer and two consumers behind a proxy while nodes are killed and the proxy cuts, restarts and refuses: what was
// accepted is delivered at least once and applied exactly once, and at the end nothing is left that was not there before.
// go test -run TestFaultRun -args -fault 5m makes it a long one.
func TestFaultRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes three brokers and some time")
	}
	c := brokertest.StartCluster(t, 3)
	p, url := newProxy(t, c.URLs()...)
	l := newLedger(t)
	producer := faultApp(t, url)
	out := stream.Binding{Name: "out", Destination: "faults"}
	out.Producer.RequiredGroups, out.Producer.Queue.Quorum = []string{"g"}, stream.Quorum{Enabled: true}
	send := stream.NewSender[int](producer, out)
	for range 2 {
		begin(t, l.consumer(t, url))
	}
	begin(t, producer)

	ctx, stop := context.WithTimeout(t.Context(), *faultTime)
	defer stop()
	before := measured()
	var wg sync.WaitGroup
	for range faultSender {
		wg.Go(func() { l.sendUntil(ctx, send) })
	}
	faults := breakThings(ctx, t, c, p)
	wg.Wait()
	l.settle(t)
	after := measured()
	t.Logf("%v: %d faults, %d accepted, %d unknown, %d deliveries; %v, at the end %v",
		*faultTime, faults, len(l.accepted), l.unknown, l.deliveries(), before, after)
	if after.heap > before.heap+heapGrowth {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+before.goroutines/2 {
		t.Errorf("goroutines grew from %d to %d", before.goroutines, after.goroutines)
	}
}

func faultApp(t *testing.T, url string) *stream.App {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{
		Addresses: []string{url}, ReconnectMin: 10 * time.Millisecond, ReconnectMax: 200 * time.Millisecond, ConnectTimeout: 2 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return stream.New(b, stream.WithLogger(slog.New(slog.DiscardHandler)))
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, ddl := db.Writer.Exec("CREATE TABLE effect (id TEXT NOT NULL)")
	if err := errors.Join(ddl, outbox.Migrate(t.Context(), db)); err != nil {
		t.Fatal(err)
	}
	return &ledger{db: db, accepted: map[string]bool{}, delivered: map[string]int{}}
}

// consumer is a member of the group that applies what comes.
func (l *ledger) consumer(t *testing.T, url string) *stream.App {
	t.Helper()
	a := faultApp(t, url)
	in := stream.Binding{Name: "in", Destination: "faults", Group: "g", Consumer: stream.ConsumerProperties{MaxAttempts: 100, Concurrency: 2}}
	in.Consumer.Queue.Quorum = stream.Quorum{Enabled: true}
	stream.Consume(a, in, func(ctx context.Context, m stream.Message[int]) error {
		_, err := outbox.Process(ctx, l.db, "g", m.ID, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO effect (id) VALUES (?)", m.ID)
			return err
		})
		l.mu.Lock()
		defer l.mu.Unlock()
		l.delivered[m.ID]++
		return err
	})
	return a
}

func (l *ledger) sendUntil(ctx context.Context, send stream.Sender[int]) {
	pace := time.NewTicker(faultPace)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		m := stream.NewMessage(i)
		err := send.Send(context.WithoutCancel(ctx), m)
		l.mu.Lock()
		if err == nil {
			l.accepted[m.ID] = true
		} else {
			l.unknown++
		}
		l.mu.Unlock()
	}
}

// breakThings breaks one thing after another and returns how many.
func breakThings(ctx context.Context, t *testing.T, c *brokertest.Cluster, p *proxy) (n int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(*faultSeed, 0)) //nolint:gosec // no secret
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for ; ctx.Err() == nil; n++ {
		switch rnd.IntN(4) {
		case 0: // the proxy forgets its connections
			p.cut()
		case 1: // it restarts
			p.setRefuse(true)
			p.cut()
			pause(time.Duration(rnd.IntN(500)) * time.Millisecond)
			p.setRefuse(false)
		default:
			node := c.Nodes[rnd.IntN(3)]
			node.Kill()
			pause(time.Duration(rnd.IntN(1000)) * time.Millisecond)
			node.Start()
			node.AwaitReady()
		}
		pause(time.Duration(300+rnd.IntN(700)) * time.Millisecond)
	}
	return n
}

// settle waits until everything accepted was applied, and compares.
func (l *ledger) settle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(2 * patience)
	for ; ; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // the ledger is asked, not awaited
		missing := ""
		l.mu.Lock()
		for id := range l.accepted {
			if l.delivered[id] == 0 {
				missing = id
			}
		}
		l.mu.Unlock()
		if missing == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("message %s was accepted and never came", missing)
		}
	}
	rows, err := l.db.Reader.QueryContext(t.Context(), "SELECT id, count(*) FROM effect GROUP BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	applied := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		if applied[id] = n; n != 1 {
			t.Errorf("message %s was applied %d times", id, n)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for id := range l.accepted {
		if applied[id] == 0 {
			t.Errorf("message %s was delivered and not applied", id)
		}
	}
}

func (l *ledger) deliveries() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.delivered {
		n += times
	}
	return n
}

// measure is what must not grow.
type measure struct {
	goroutines int
	heap       uint64
}

func (m measure) String() string {
	return fmt.Sprintf("%d goroutines, %d MiB", m.goroutines, m.heap>>20)
}

func measured() measure {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return measure{goroutines: runtime.NumGoroutine(), heap: s.HeapAlloc}
}
