package oteltrace

import (
	"context"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

type metrics struct {
	client, process, age     metric.Float64Histogram
	sentN, consumedN, againN metric.Int64Counter
	retries, outcomeN        metric.Int64Counter
	inFlight                 metric.Int64UpDownCounter
	consumers                sync.Map // of queue names to *consumerMetrics: attributes are made once, not for every message
	outcomes                 outcomes
}

func newMetrics(p metric.MeterProvider) *metrics {
	m := p.Meter(scope)
	return &metrics{
		client:    histogram(m, metricClientSeconds, "Duration of a publish until its confirm", secondsBuckets),
		process:   histogram(m, metricProcess, "Duration of handling a delivery, all attempts included", secondsBuckets),
		age:       histogram(m, metricAge, "Time from a message's timestamp, which has whole seconds, to its delivery", ageBuckets),
		sentN:     counter(m, metricSent, "{message}", "Messages published"),
		consumedN: counter(m, metricConsumed, "{message}", "Messages delivered"),
		againN:    counter(m, metricRedelivered, "{message}", "Messages that the broker delivered again"),
		retries:   counter(m, metricRetries, "{attempt}", "Attempts that failed and were repeated in the process"),
		outcomeN:  counter(m, metricOutcomes, "{message}", "Messages by what became of them"),
		inFlight:  upDown(m, metricInFlight, "{message}", "Messages in the hands of handlers"),
	}
}

// histogram never fails: an instrument that cannot be made is one that records nothing.
func histogram(m metric.Meter, name, what string, buckets []float64) metric.Float64Histogram {
	h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(buckets...))
	if err != nil {
		return noop.Float64Histogram{}
	}
	return h
}

func counter(m metric.Meter, name, unit, what string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
	if err != nil {
		return noop.Int64Counter{}
	}
	return c
}

func upDown(m metric.Meter, name, unit, what string) metric.Int64UpDownCounter {
	c, err := m.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	if err != nil {
		return noop.Int64UpDownCounter{}
	}
	return c
}

// publisherMetrics are of one destination.
type publisherMetrics struct {
	m     *metrics
	attrs []attribute.KeyValue
	count []metric.AddOption // of success
	timed []metric.RecordOption
}

func (m *metrics) ofPublisher(s stream.System, exchange string) *publisherMetrics {
	attrs := metricAttributes(s, operationPublish, exchange)
	return &publisherMetrics{
		m: m, attrs: attrs, count: []metric.AddOption{setOf(attrs)},
		timed: []metric.RecordOption{setOf(attrs, attribute.String(attrOperationType, typeSend))},
	}
}

func (p *publisherMetrics) sent(ctx context.Context, n int64, err error) {
	opts := p.count
	if err != nil {
		opts = []metric.AddOption{setOf(p.attrs, attribute.String(attrErrorType, errorType(err)))}
	}
	p.m.sentN.Add(ctx, n, opts...)
}

func (p *publisherMetrics) took(ctx context.Context, d time.Duration, err error) {
	opts := p.timed
	if err != nil {
		opts = []metric.RecordOption{setOf(p.attrs, attribute.String(attrOperationType, typeSend), attribute.String(attrErrorType, errorType(err)))}
	}
	p.m.client.Record(ctx, d.Seconds(), opts...)
}

// consumerMetrics are of one queue.
type consumerMetrics struct {
	m     *metrics
	attrs []attribute.KeyValue
	count []metric.AddOption // of success
	timed []metric.RecordOption
}

func (m *metrics) ofConsumer(s stream.System, queue string) *consumerMetrics {
	if c, ok := m.consumers.Load(queue); ok {
		return c.(*consumerMetrics)
	}
	attrs := metricAttributes(s, operationProcess, queue)
	set := setOf(attrs)
	c, _ := m.consumers.LoadOrStore(queue, &consumerMetrics{
		m: m, attrs: attrs, count: []metric.AddOption{set}, timed: []metric.RecordOption{set},
	})
	return c.(*consumerMetrics)
}

func (c *consumerMetrics) begin(ctx context.Context, now time.Time, m *stream.Raw) {
	c.m.inFlight.Add(ctx, 1, c.count...)
	if m.Delivery.Redelivered {
		c.m.againN.Add(ctx, 1, c.count...)
	}
	if !m.Timestamp.IsZero() {
		c.m.age.Record(ctx, max(now.Sub(m.Timestamp), 0).Seconds(), c.timed...)
	}
}

func (c *consumerMetrics) processed(ctx context.Context, n int64, d time.Duration, err error) {
	c.m.inFlight.Add(ctx, -n, c.count...)
	counted, timed := c.count, c.timed
	if err != nil {
		set := setOf(c.attrs, attribute.String(attrErrorType, errorType(err)))
		counted, timed = []metric.AddOption{set}, []metric.RecordOption{set}
	}
	c.m.consumedN.Add(ctx, n, counted...)
	c.m.process.Record(ctx, d.Seconds(), timed...)
}

// outcomes keeps the attributes of each outcome of each binding.
type outcomes struct{ made sync.Map }

type outcomeKey struct {
	action  stream.Action
	binding string
	failed  bool
}

type outcome struct{ opts []metric.AddOption }

func (o *outcomes) of(a stream.Action, binding string, failed bool) outcome {
	key := outcomeKey{a, binding, failed}
	if x, ok := o.made.Load(key); ok {
		return x.(outcome)
	}
	x, _ := o.made.LoadOrStore(key, outcome{[]metric.AddOption{setOf([]attribute.KeyValue{
		attribute.String(attrBinding, binding), attribute.String(attrOutcome, a.String()), attribute.Bool(attrFailed, failed),
	})}})
	return x.(outcome)
}

func (o outcome) add(ctx context.Context, c metric.Int64Counter) { c.Add(ctx, 1, o.opts...) }

func metricAttributes(s stream.System, operation, destination string) []attribute.KeyValue {
	return append(serverAttributes(s), attribute.String(attrOperationName, operation), attribute.String(attrTemplate, destination))
}

func setOf(attrs []attribute.KeyValue, more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(attrs[:len(attrs):len(attrs)], more...)...))
}
