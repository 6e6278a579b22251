package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
	"github.com/warren-mq/warren/services/demo/system"
)

const (
	faultTimeEnv  = "WARREN_FAULT_TIME" // how long things break
	faultSeedEnv  = "WARREN_FAULT_SEED" // repeats a run's faults
	faultTime     = 15 * time.Second
	faultSenders  = 2
	faultPace     = 5 * time.Millisecond // between two messages of a sender
	faultMembers  = 2
	faultHandlers = 2 // of a member
	faultKinds    = 8 // of which half are killed nodes
	faultPatience = 60 * time.Second
	warmUp        = 500      // messages before the first measurement
	heapNoise     = 16 << 20 // by which the heap may differ after the same work
)

// What the sender of a message was told.
const (
	fateOpen int32 = iota
	fateAccepted
	fateRefused // certainly not stored
	fateUnknown
)

// ledger is the truth about the messages, which are numbers from 0 on. All room it needs is made at the start, so that the heap
// tells about the binder.
type ledger struct {
	db        *sqldb.DB
	next      atomic.Int64
	fate      []atomic.Int32 // by number
	delivered []atomic.Int32
}

// TestTheBinderUnderFaults has a producer and two members of a group behind the balancer, while nodes are killed and frozen, the
// balancer ends and comes back, and members leave: what was accepted is delivered at least once and applied exactly once, what
// was refused never comes, and at the end there are as many goroutines and as much memory as at the beginning.
func TestTheBinderUnderFaults(t *testing.T) {
	length, seed := faultSettings(t)
	r := startThese(t, (*system.System).Cluster, system.Config{})
	before := measured().goroutines // those that wait for the processes
	l := newLedger(t, int(length/faultPace+1)*faultSenders)
	producer := binderApp(t, r.AMQPURL())
	out := stream.Binding{Name: "out", Destination: "faults"}
	out.Producer.RequiredGroups, out.Producer.Queue.Quorum = []string{"g"}, stream.Quorum{Enabled: true}
	send := stream.NewSender[int](producer, out)
	members := make([]*stream.App, faultMembers)
	for i := range members {
		members[i] = l.join(t, r.AMQPURL())
	}
	startApp(t, producer)

	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var wg sync.WaitGroup
	for range faultSenders {
		wg.Go(func() { l.sendUntil(ctx, send) })
	}
	eventually(t, faultPatience, func() error { return l.count(warmUp) })
	first := measured()
	faults := l.breakThings(ctx, r, members, rand.New(rand.NewPCG(seed, 0))) //nolint:gosec // no secret
	wg.Wait()
	eventually(t, faultPatience, l.complete)
	last := measured()
	eventually(t, faultPatience, func() error {
		if last = measured(); last.goroutines > first.goroutines {
			return fmt.Errorf("%d goroutines, there were %d", last.goroutines, first.goroutines)
		}
		return nil
	})
	if last.heap > first.heap+heapNoise {
		t.Errorf("the heap grew from %d to %d bytes", first.heap, last.heap)
	}
	l.check(t)
	for _, a := range append(members, producer) {
		stopApp(t, a)
	}
	if err := l.db.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, faultPatience, func() error {
		if n := measured().goroutines; n > before {
			return fmt.Errorf("%d goroutines are left, there were %d", n, before)
		}
		return nil
	})
	t.Logf("%v, seed %d: %v; %v; after the first %d messages %v, at the end %v", length, seed, faults, l, warmUp, first, last)
}

func faultSettings(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	length, seed = faultTime, 1
	var err error
	if v := os.Getenv(faultTimeEnv); v != "" {
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("%s: %v", faultTimeEnv, err)
		}
	}
	if v := os.Getenv(faultSeedEnv); v != "" {
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("%s: %v", faultSeedEnv, err)
		}
	}
	return length, seed
}

func newLedger(t *testing.T, messages int) *ledger {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	_, ddl := db.Writer.ExecContext(t.Context(), "CREATE TABLE effect (n INTEGER NOT NULL)")
	if err := errors.Join(ddl, outbox.Migrate(t.Context(), db)); err != nil {
		t.Fatal(err)
	}
	return &ledger{db: db, fate: make([]atomic.Int32, messages), delivered: make([]atomic.Int32, messages)}
}

func binderApp(t *testing.T, url string) *stream.App {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	b, err := rabbit.New(rabbit.Config{Addresses: []string{url}, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	return stream.New(b, stream.WithLogger(silent))
}

func startApp(t *testing.T, a *stream.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), faultPatience)
	defer cancel()
	if err := errors.Join(a.Start(ctx), a.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopApp(t, a) })
}

func stopApp(t *testing.T, a *stream.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), faultPatience)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// join starts a member of the group that applies what comes.
func (l *ledger) join(t *testing.T, url string) *stream.App {
	t.Helper()
	a := binderApp(t, url)
	in := stream.Binding{Name: "in", Destination: "faults", Group: "g", Consumer: stream.ConsumerProperties{Concurrency: faultHandlers}}
	in.Consumer.Queue.Quorum = stream.Quorum{Enabled: true}
	stream.Consume(a, in, func(ctx context.Context, m stream.Message[int]) error {
		_, err := outbox.Process(ctx, l.db, "g", m.ID, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO effect (n) VALUES (?)", m.Payload)
			return err
		})
		l.delivered[m.Payload].Add(1)
		return err
	})
	startApp(t, a)
	return a
}

// sendUntil sends until ctx ends. Every send has its own deadline, the App's.
func (l *ledger) sendUntil(ctx context.Context, send stream.Sender[int]) {
	pace := time.NewTicker(faultPace)
	defer pace.Stop()
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		n := int(l.next.Add(1) - 1)
		switch err := send.Send(context.WithoutCancel(ctx), stream.NewMessage(n)); {
		case err == nil:
			l.fate[n].Store(fateAccepted)
		case errors.Is(err, stream.ErrUnavailable) && !errors.Is(err, stream.ErrUnknownOutcome):
			l.fate[n].Store(fateRefused)
		default:
			l.fate[n].Store(fateUnknown)
		}
	}
}

// faultCounts says how often each thing broke.
type faultCounts struct{ killed, frozen, proxyKilled, proxyStopped, left int }

func (c faultCounts) String() string {
	return fmt.Sprintf("%d nodes killed, %d frozen, the balancer killed %d and stopped %d times, %d members left",
		c.killed, c.frozen, c.proxyKilled, c.proxyStopped, c.left)
}

// breakThings breaks one thing after another until ctx ends. What it broke is whole again when it returns.
func (l *ledger) breakThings(ctx context.Context, r run, members []*stream.App, rnd *rand.Rand) (n faultCounts) {
	r.t.Helper()
	pause := func(most int) {
		select {
		case <-time.After(time.Duration(rnd.IntN(most)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	run := r.t.Context()
	var kinds []int
	for ctx.Err() == nil {
		if len(kinds) == 0 {
			kinds = rnd.Perm(faultKinds) // so that a short run has each of them, too
		}
		node := system.BrokerName(1 + rnd.IntN(system.Nodes))
		var err error
		switch kinds[0] {
		default:
			n.killed++
			err = r.Kill(run, node)
			pause(1000)
			err = errors.Join(err, r.Start(run, false, node))
		case 0:
			n.frozen++
			err = r.Freeze(node)
			pause(3000)
			err = errors.Join(err, r.Thaw(node))
		case 1:
			n.proxyKilled++
			err = r.Kill(run, system.Balancer)
			pause(500)
			err = errors.Join(err, r.Start(run, false, system.Balancer))
		case 2:
			n.proxyStopped++
			err = r.Restart(run, system.Balancer, false)
		case 3:
			n.left++
			i := rnd.IntN(len(members))
			stopApp(r.t, members[i])
			members[i] = l.join(r.t, r.AMQPURL())
		}
		if err != nil {
			r.t.Fatal(err)
		}
		kinds = kinds[1:]
		pause(1000)
	}
	return n
}

// count is nil when that many messages came.
func (l *ledger) count(want int) error {
	got := 0
	for i := range l.delivered {
		if l.delivered[i].Load() > 0 {
			got++
		}
	}
	if got < want {
		return fmt.Errorf("%d of %d messages came", got, want)
	}
	return nil
}

// complete is nil when everything accepted came and was applied.
func (l *ledger) complete() error {
	for i := range l.fate {
		if l.fate[i].Load() == fateAccepted && l.delivered[i].Load() == 0 {
			return fmt.Errorf("message %d was accepted and never came", i)
		}
	}
	return nil
}

// check compares what was applied with what was accepted.
func (l *ledger) check(t *testing.T) {
	t.Helper()
	rows, err := l.db.Reader.QueryContext(t.Context(), "SELECT n, count(*) FROM effect GROUP BY n")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	applied := make([]int, len(l.fate))
	for rows.Next() {
		var n, times int
		if err := rows.Scan(&n, &times); err != nil {
			t.Fatal(err)
		}
		if applied[n] = times; times != 1 {
			t.Errorf("message %d was applied %d times", n, times)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for n, times := range applied {
		switch fate := l.fate[n].Load(); {
		case fate == fateAccepted && times == 0:
			t.Errorf("message %d was delivered and not applied", n)
		case fate == fateRefused && l.delivered[n].Load() > 0:
			t.Errorf("message %d was refused and came", n)
		}
	}
}

func (l *ledger) String() string {
	var by [fateUnknown + 1]int
	deliveries, again := 0, 0
	for i := range l.fate {
		by[l.fate[i].Load()]++
		d := int(l.delivered[i].Load())
		deliveries += d
		again += max(d-1, 0)
	}
	return fmt.Sprintf("%d accepted, %d refused, %d unknown; %d deliveries, %d of them again",
		by[fateAccepted], by[fateRefused], by[fateUnknown], deliveries, again)
}

// measure is what must not grow.
type measure struct {
	goroutines int
	heap       uint64
}

func (m measure) String() string {
	return fmt.Sprintf("%d goroutines, heap %.1f MiB", m.goroutines, float64(m.heap)/(1<<20))
}

func measured() measure {
	http.DefaultClient.CloseIdleConnections() // of asking brokers whether they are ready
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return measure{goroutines: runtime.NumGoroutine(), heap: s.HeapAlloc}
}
