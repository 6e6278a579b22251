package oteltrace

import (
	"context"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

type metrics struct {
	client, process  metric.Float64Histogram
	sentN, consumedN metric.Int64Counter
}

func newMetrics(p metric.MeterProvider) *metrics {
	m := p.Meter(scope)
	return &metrics{
		client:    histogram(m, metricClientSeconds, "Duration of a publish until its confirm"),
		process:   histogram(m, metricProcess, "Duration of handling a delivery, all attempts included"),
		sentN:     counter(m, metricSent, "Messages published"),
		consumedN: counter(m, metricConsumed, "Messages delivered"),
	}
}

// histogram never fails: an instrument that cannot be made is one that records nothing.
func histogram(m metric.Meter, name, what string) metric.Float64Histogram {
	h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(secondsBuckets...))
	if err != nil {
		return noop.Float64Histogram{}
	}
	return h
}

func counter(m metric.Meter, name, what string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithUnit("{message}"), metric.WithDescription(what))
	if err != nil {
		return noop.Int64Counter{}
	}
	return c
}

func (m *metrics) sent(ctx context.Context, s stream.System, destination string, err error) {
	m.sentN.Add(ctx, 1, metric.WithAttributes(metricAttributes(s, operationPublish, destination, err)...))
}

func (m *metrics) clientDuration(ctx context.Context, s stream.System, destination string, d time.Duration, err error) {
	attrs := append(metricAttributes(s, operationPublish, destination, err), attribute.String(attrOperationType, typeSend))
	m.client.Record(ctx, d.Seconds(), metric.WithAttributes(attrs...))
}

func (m *metrics) processed(ctx context.Context, s stream.System, queue string, d time.Duration, err error) {
	attrs := metric.WithAttributes(metricAttributes(s, operationProcess, queue, err)...)
	m.consumedN.Add(ctx, 1, attrs)
	m.process.Record(ctx, d.Seconds(), attrs)
}

func metricAttributes(s stream.System, operation, destination string, err error) []attribute.KeyValue {
	attrs := append(serverAttributes(s), attribute.String(attrOperationName, operation), attribute.String(attrTemplate, destination))
	if err != nil {
		attrs = append(attrs, attribute.String(attrErrorType, errorType(err)))
	}
	return attrs
}
