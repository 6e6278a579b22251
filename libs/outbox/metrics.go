package outbox

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/warren-mq/warren/libs/sqldb"
)

// Names of the metrics.
const (
	scope           = "github.com/warren-mq/warren/libs/outbox"
	metricBacklog   = "outbox.backlog"          // {message}: records that are not sent
	metricOldest    = "outbox.oldest.age"       // s: since when the oldest of them waits
	metricLeader    = "outbox.leader"           // 1 where the relay leads
	metricPublished = "outbox.published"        // {message}, by outbox.destination and outbox.failed
	metricDuration  = "outbox.publish.duration" // s: of one batch
	metricInbox     = "inbox.messages"          // {message}, by inbox.consumer and inbox.duplicate
	backlogTimeout  = 2 * time.Second           // of the query behind the first two
)

type metrics struct {
	meter    metric.Meter
	count    metric.Int64Counter
	duration metric.Float64Histogram
	leader   atomic.Bool
}

// newMetrics never fails: an instrument that cannot be made is one that records nothing.
func newMetrics(p metric.MeterProvider) *metrics {
	if p == nil {
		p = otel.GetMeterProvider()
	}
	m := &metrics{meter: p.Meter(scope), count: noop.Int64Counter{}, duration: noop.Float64Histogram{}}
	if c, err := m.meter.Int64Counter(metricPublished, metric.WithUnit("{message}"), metric.WithDescription("Records that the relay tried to publish")); err == nil {
		m.count = c
	}
	if h, err := m.meter.Float64Histogram(metricDuration, metric.WithUnit("s"), metric.WithDescription("Duration of publishing one batch until its confirms")); err == nil {
		m.duration = h
	}
	return m
}

func (m *metrics) leads(ours bool) { m.leader.Store(ours) }

func (m *metrics) published(ctx context.Context, destination string, errs []error, d time.Duration) {
	var failed int64
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	at := attribute.String("outbox.destination", destination)
	for bad, n := range map[bool]int64{false: int64(len(errs)) - failed, true: failed} {
		if n > 0 {
			m.count.Add(ctx, n, metric.WithAttributes(at, attribute.Bool("outbox.failed", bad)))
		}
	}
	m.duration.Record(ctx, d.Seconds(), metric.WithAttributes(at))
}

// watch observes the backlog whenever metrics are collected, until the result is called.
func (m *metrics) watch(db *sqldb.DB, log *slog.Logger) (stop func()) {
	nothing := func() {}
	backlog, err := m.meter.Int64ObservableGauge(metricBacklog, metric.WithUnit("{message}"))
	if err != nil {
		return nothing
	}
	oldest, err := m.meter.Float64ObservableGauge(metricOldest, metric.WithUnit("s"))
	if err != nil {
		return nothing
	}
	leader, err := m.meter.Int64ObservableGauge(metricLeader)
	if err != nil {
		return nothing
	}
	reg, err := m.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
		defer cancel()
		o.ObserveInt64(leader, int64(map[bool]int{true: 1}[m.leader.Load()]))
		n, since, err := New(db).Backlog(ctx)
		if err != nil {
			return err
		}
		age := 0.0
		if !since.IsZero() {
			age = max(time.Since(since), 0).Seconds()
		}
		o.ObserveInt64(backlog, int64(n))
		o.ObserveFloat64(oldest, age)
		return nil
	}, backlog, oldest, leader)
	if err != nil {
		return nothing
	}
	return func() {
		if err := reg.Unregister(); err != nil {
			log.Warn("outbox metrics", "error", err)
		}
	}
}

// countApplied counts a message of an inbox. The instrument is looked up each time: Process has no state, and the meter keeps it.
func countApplied(ctx context.Context, consumer string, applied bool) {
	c, err := otel.GetMeterProvider().Meter(scope).Int64Counter(metricInbox, metric.WithUnit("{message}"), metric.WithDescription("Messages that came to an inbox"))
	if err != nil {
		return
	}
	c.Add(ctx, 1, metric.WithAttributes(attribute.String("inbox.consumer", consumer), attribute.Bool("inbox.duplicate", !applied)))
}
