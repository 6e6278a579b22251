// Package oteltrace makes spans and metrics of messages after OpenTelemetry's messaging conventions, and carries the trace
// through the headers of every generation that a peer may speak: W3C, B3, Sleuth 1.
package oteltrace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Config of the instrumentation. The zero value is right for a service: global providers, one trace from end to end.
type Config struct {
	TracerProvider trace.TracerProvider // otel's global one when nil
	MeterProvider  metric.MeterProvider // otel's global one when nil
	// Link makes the consumer's span a root with a link to the producer's, in place of its child.
	Link bool
	// Sleuth1 also writes the headers that Spring Cloud Sleuth before 1.3.5 reads.
	Sleuth1 bool
}

type tracer struct {
	cfg    Config
	tracer trace.Tracer
	m      *metrics
}

// New returns the instrumentation for stream.WithInstrumentation.
//
// A publish makes one PRODUCER span `publish <destination>` per message, a delivery one CONSUMER span `process <queue>` for
// all its attempts. A message that already carries trace headers, as an outbox relay's do, continues that trace when the
// context has no span of its own; otherwise the context wins and old headers are dropped.
func New(cfg Config) stream.Instrumentation {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	t := &tracer{cfg: cfg, tracer: cfg.TracerProvider.Tracer(scope), m: newMetrics(cfg.MeterProvider)}
	return stream.Instrumentation{Publish: t.publish, Consume: t.consume, Retry: t.retry}
}

func (t *tracer) publish(s stream.System, b stream.Binding, next stream.PublishFunc) stream.PublishFunc {
	exchange := b.Producer.Queue.Prefix + b.Destination
	name := operationPublish + " " + cmp.Or(exchange, "amq.default")
	common := append(serverAttributes(s),
		attribute.String(attrOperationName, operationPublish), attribute.String(attrOperationType, typeSend),
		attribute.String(attrTemplate, exchange))
	return func(ctx context.Context, ms []stream.Raw) []error {
		start := time.Now()
		spans := make([]trace.Span, len(ms))
		for i, m := range ms {
			spanCtx := ctx
			if !trace.SpanContextFromContext(ctx).IsValid() {
				spanCtx = Extract(ctx, m.Headers)
			}
			spanCtx, spans[i] = t.tracer.Start(spanCtx, name, trace.WithSpanKind(trace.SpanKindProducer),
				trace.WithAttributes(common...), trace.WithAttributes(messageAttributes(m, joined(exchange, m.RoutingKey), m.RoutingKey)...))
			Inject(spanCtx, m.Headers, t.cfg.Sleuth1)
		}
		errs := next(ctx, ms)
		for i, err := range errs {
			t.m.sent(ctx, s, exchange, err)
			end(spans[i], err)
		}
		t.m.clientDuration(ctx, s, exchange, time.Since(start), errors.Join(errs...))
		return errs
	}
}

func (t *tracer) consume(s stream.System, b stream.Binding, next stream.Handler) stream.Handler {
	common := append(serverAttributes(s),
		attribute.String(attrOperationName, operationProcess), attribute.String(attrOperationType, typeProcess))
	if b.Group != "" {
		common = append(common, attribute.String(attrGroup, b.Group))
	}
	return func(ctx context.Context, m stream.Raw) stream.Outcome {
		start := time.Now()
		template := m.Delivery.Queue
		attrs := messageAttributes(m, joined(m.Delivery.Exchange, m.Delivery.RoutingKey, m.Delivery.Queue), m.Delivery.RoutingKey)
		if b.Group == "" {
			template = m.Delivery.Exchange
			attrs = append(attrs, attribute.Bool(attrAnonymous, true))
		}
		attrs = append(attrs, attribute.String(attrTemplate, template), attribute.Int64(attrDeliveryTag, int64(m.Delivery.Tag)))
		if m.Delivery.Redelivered {
			attrs = append(attrs, attribute.Bool(attrRedelivered, true))
		}
		opts := []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(common...), trace.WithAttributes(attrs...),
		}
		ctx = Extract(ctx, m.Headers)
		if t.cfg.Link {
			opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.LinkFromContext(ctx)))
		}
		ctx, span := t.tracer.Start(ctx, operationProcess+" "+template, opts...)
		out := next(ctx, m)
		if out.Err != nil {
			span.SetAttributes(attribute.String(attrOutcome, out.Action.String()))
		}
		t.m.processed(ctx, s, template, time.Since(start), out.Err)
		end(span, out.Err)
		return out
	}
}

func (t *tracer) retry(ctx context.Context, _ stream.Binding, attempt int, err error, pause time.Duration) {
	trace.SpanFromContext(ctx).AddEvent(eventRetry, trace.WithAttributes(
		attribute.Int(attrRetryAttempt, attempt), attribute.Int64(attrRetryPause, pause.Milliseconds()),
		attribute.String("exception.message", err.Error())))
}

func serverAttributes(s stream.System) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String(attrSystem, s.Name)}
	if s.Address != "" {
		attrs = append(attrs, attribute.String(attrServerAddress, s.Address))
	}
	if s.Port != 0 {
		attrs = append(attrs, attribute.Int(attrServerPort, s.Port))
	}
	return attrs
}

func messageAttributes(m stream.Raw, destination, routingKey string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String(attrDestination, destination),
		attribute.String(attrMessageID, m.ID),
		attribute.Int(attrBodySize, len(m.Payload)),
	}
	if routingKey != "" {
		attrs = append(attrs, attribute.String(attrRoutingKey, routingKey))
	}
	if m.CorrelationID != "" {
		attrs = append(attrs, attribute.String(attrConversationID, m.CorrelationID))
	}
	return attrs
}

// joined is the conventions' name of a RabbitMQ destination: {exchange}:{routing key}[:{queue}], without empty parts and
// without the queue when it is the routing key.
func joined(exchange, key string, queue ...string) string {
	name := exchange
	if key != "" {
		if name != "" {
			name += ":"
		}
		name += key
	}
	if len(queue) > 0 && queue[0] != "" && queue[0] != key {
		name += ":" + queue[0]
	}
	return cmp.Or(name, "amq.default")
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(attribute.String(attrErrorType, errorType(err)))
		span.SetStatus(codes.Error, err.Error())
		span.RecordError(err)
	}
	span.End()
}

// errorType is a name of low cardinality.
func errorType(err error) string {
	var panicked *stream.PanicError
	switch {
	case errors.Is(err, stream.ErrReturned):
		return "returned"
	case errors.Is(err, stream.ErrNacked):
		return "nacked"
	case errors.Is(err, stream.ErrUnknownOutcome), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, stream.ErrUndecodable):
		return "undecodable"
	case errors.As(err, &panicked):
		return "panic"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}
