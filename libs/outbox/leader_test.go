package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/sqldb/sqldbtest"
	"github.com/warren-mq/warren/libs/stream"
)

// Several instances of a service share one database, as three replicas do: every record is published, in order, and when the leader
// goes another takes over.
func TestRelaysShareADatabase(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		const instances, each = 3, 40
		first := prepared(t, open)
		pub := &recorder{}
		type instance struct {
			cancel context.CancelFunc
			ran    chan error
		}
		var running []instance
		for range instances {
			cfg := quick()
			cfg.PollInterval = 5 * time.Millisecond
			r := NewRelay(open(), pub, cfg)
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- r.Run(ctx) }()
			running = append(running, instance{cancel, ran})
		}
		want := 0
		for _, i := range running { // one after another goes, while records come
			for range each {
				want++
				add(t, first, record("k", want))
			}
			awaitEmpty(t, first)
			i.cancel()
			if err := <-i.ran; err != nil {
				t.Error(err)
			}
		}
		next := 1
		for _, m := range pub.got { // a leader that was slow may have published something twice, never in another order
			n, err := strconv.Atoi(string(m.Payload))
			if err != nil || n > next {
				t.Fatalf("%s came before %d (%v)", m.Payload, next, err)
			}
			if n == next {
				next++
			}
		}
		if next != want+1 {
			t.Errorf("%d of %d published", next-1, want)
		}
	})
}

func awaitEmpty(t *testing.T, db *sqldb.DB) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { //nolint:forbidigo // the table is asked, not awaited
		n, _, err := New(db).Backlog(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d records are not sent", n)
		}
	}
}

func TestALeaseRunsOut(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		if db.Dialect != sqldb.SQLite {
			t.Skip("PostgreSQL has its own lock")
		}
		clock := time.Now()
		leases := [2]*lease{}
		for i := range leases {
			leases[i] = &lease{db: db, holder: fmt.Sprint(i), now: func() time.Time { return clock }}
		}
		acquire := func(i int) bool {
			_, ours, err := leases[i].acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return ours
		}
		if !acquire(0) || acquire(1) || !acquire(0) {
			t.Error("the first leads")
		}
		clock = clock.Add(leaseTime * 3 / 4)
		if !acquire(0) || acquire(1) {
			t.Error("it renews in time")
		}
		clock = clock.Add(leaseTime + time.Second)
		if leases[0].valid() || !acquire(1) || acquire(0) {
			t.Error("the second takes over")
		}
		leases[1].resign()
		if !acquire(0) {
			t.Error("who resigns leaves the place at once")
		}
	})
}

func TestMetrics(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		db := prepared(t, open)
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		before := otel.GetMeterProvider()
		otel.SetMeterProvider(provider)
		defer otel.SetMeterProvider(before)
		add(t, db, record("a", 1), record("b", 2))
		cfg := quick()
		cfg.MeterProvider, cfg.RetryMin, cfg.RetryMax = provider, time.Hour, time.Hour
		r := NewRelay(db, &recorder{fail: func(m stream.Raw) error {
			if m.CorrelationID == "b" {
				return stream.ErrNacked
			}
			return nil
		}}, cfg)
		stop := r.metrics.watch(db, cfg.Logger)
		defer stop()
		if _, err := r.batch(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := Process(t.Context(), db, "c", "m", func(context.Context, *sql.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		var got metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
		values := map[string]int64{}
		for _, m := range got.ScopeMetrics[0].Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					values[m.Name] += p.Value
				}
			case metricdata.Gauge[int64]:
				values[m.Name] = d.DataPoints[0].Value
			}
		}
		for name, want := range map[string]int64{metricBacklog: 1, metricLeader: 1, metricPublished: 2, metricInbox: 2} {
			if values[name] != want {
				t.Errorf("%s is %d, want %d", name, values[name], want)
			}
		}
	})
}
