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
	// Write is in which generations of headers the trace is written, W3C and B3 when empty. Every header costs its reader about a
	// microsecond: W3C alone does among peers that read it. Spring Cloud Sleuth before 1.3.5 needs B3Multi and Sleuth.
	Write []Generation
	// Settle makes a span of every acknowledgement, and not only of what was rejected, requeued, dead-lettered or retried later.
	Settle bool
	// Order is which headers are believed first, when a message has several generations of them; see Extract. A generation that
	// is not named is not read.
	Order []Generation
}

type tracer struct {
	cfg    Config
	tracer trace.Tracer
	m      *metrics
}

// New returns the instrumentation for stream.WithInstrumentation.
//
// A publish makes one PRODUCER span `publish <destination>` per message, a delivery one CONSUMER span `process <queue>` for
// all its attempts, a batch of deliveries one that is linked to all their producers. Messages that travel as one have a span
// `create <destination>` each, in the traces that they were sent in, and share one CLIENT span of the publish, which is linked
// to all of them and continues the first one's trace. A message that already carries trace headers, as an outbox relay's do,
// continues that trace when the context has no span of its own; otherwise the context wins and old headers are dropped.
func New(cfg Config) stream.Instrumentation {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	t := &tracer{cfg: cfg, tracer: cfg.TracerProvider.Tracer(scope), m: newMetrics(cfg.MeterProvider)}
	return stream.Instrumentation{
		Publish: t.publish, PublishPacked: t.publishPacked, Consume: t.consume, ConsumeBatch: t.consumeBatch, Retry: t.retry, Settled: t.settled,
	}
}

func (t *tracer) publish(s stream.System, b stream.Binding, next stream.PublishFunc) stream.PublishFunc {
	exchange := b.Producer.Queue.Prefix + b.Destination
	targets := producerTargets(s, exchange)
	m := t.m.ofPublisher(s, exchange)
	return func(ctx context.Context, ms []stream.Raw) []error {
		start := time.Now()
		spans := make([]trace.Span, len(ms))
		own := trace.SpanContextFromContext(ctx).IsValid()
		for i := range ms {
			m := &ms[i]
			spanCtx := ctx
			if !own {
				spanCtx = Extract(ctx, m.Headers, t.cfg.Order...)
			}
			to := targets.of(way{exchange: exchange, key: m.RoutingKey})
			spanCtx, spans[i] = t.tracer.Start(spanCtx, to.name, to.start...)
			describe(spans[i], m)
			Inject(spanCtx, m.Headers, t.cfg.Write...)
		}
		errs := next(ctx, ms)
		for i, err := range errs {
			m.sent(ctx, 1, err)
			end(spans[i], err)
		}
		m.took(ctx, time.Since(start), errors.Join(errs...))
		return errs
	}
}

func (t *tracer) publishPacked(s stream.System, b stream.Binding, next stream.PublishFunc) stream.PackedFunc {
	exchange := b.Producer.Queue.Prefix + b.Destination
	destination := cmp.Or(exchange, defaultExchange)
	common := append(serverAttributes(s), attribute.String(attrTemplate, exchange))
	metrics := t.m.ofPublisher(s, exchange)
	return func(ctx context.Context, m stream.Raw, parts []context.Context) error {
		start := time.Now()
		attrs := append(common[:len(common):len(common)], attribute.String(attrDestination, way{exchange: exchange, key: m.RoutingKey}.String()))
		links := make([]trace.Link, len(parts))
		for i, part := range parts {
			if !trace.SpanContextFromContext(part).IsValid() && i == 0 {
				part = Extract(part, m.Headers, t.cfg.Order...)
			}
			part, create := t.tracer.Start(part, operationCreate+" "+destination, trace.WithSpanKind(trace.SpanKindProducer),
				trace.WithAttributes(attrs...), trace.WithAttributes(
					attribute.String(attrOperationName, operationCreate), attribute.String(attrOperationType, operationCreate)))
			create.End()
			links[i] = trace.LinkFromContext(part)
			if i == 0 {
				ctx = trace.ContextWithSpanContext(ctx, create.SpanContext())
			}
		}
		ctx, span := t.tracer.Start(ctx, operationPublish+" "+destination, trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...),
			trace.WithAttributes(attrs...), trace.WithAttributes(
				attribute.String(attrOperationName, operationPublish), attribute.String(attrOperationType, typeSend),
				attribute.Int(attrBatchCount, len(parts)), attribute.Int(attrBodySize, len(m.Payload))))
		Inject(ctx, m.Headers, t.cfg.Write...)
		err := next(ctx, []stream.Raw{m})[0]
		metrics.sent(ctx, int64(len(parts)), err)
		metrics.took(ctx, time.Since(start), err)
		end(span, err)
		return err
	}
}

func (t *tracer) consume(s stream.System, b stream.Binding, next stream.Handler) stream.Handler {
	targets := consumerTargets(s, b, t.m)
	return func(ctx context.Context, m stream.Raw) stream.Outcome {
		start := time.Now()
		d := &m.Delivery
		from := targets.of(way{exchange: d.Exchange, key: d.RoutingKey, queue: d.Queue})
		ctx = Extract(ctx, m.Headers, t.cfg.Order...)
		opts := from.start
		if t.cfg.Link {
			opts = append(opts[:len(opts):len(opts)], trace.WithNewRoot(), trace.WithLinks(trace.LinkFromContext(ctx)))
		}
		ctx, span := t.tracer.Start(ctx, from.name, opts...)
		describe(span, &m)
		from.metrics.begin(ctx, start, &m)
		out := next(ctx, m)
		if out.Err != nil {
			span.SetAttributes(attribute.String(attrOutcome, out.Action.String()))
		}
		from.metrics.processed(ctx, 1, time.Since(start), out.Err)
		end(span, out.Err)
		out.Context = ctx
		return out
	}
}

// consumeBatch links to every producer. A batch of one is that one's child, as it would be without batches.
func (t *tracer) consumeBatch(s stream.System, b stream.Binding, next stream.BatchHandler) stream.BatchHandler {
	targets := consumerTargets(s, b, t.m)
	return func(ctx context.Context, ms []stream.Raw) []stream.Outcome {
		start := time.Now()
		d := &ms[0].Delivery
		w := way{exchange: d.Exchange, queue: d.Queue}
		if len(ms) == 1 {
			w.key = d.RoutingKey
		}
		from := targets.of(w)
		opts := append(from.start[:len(from.start):len(from.start)], trace.WithAttributes(attribute.Int(attrBatchCount, len(ms))))
		for _, m := range ms {
			producer := Extract(ctx, m.Headers, t.cfg.Order...)
			if len(ms) == 1 && !t.cfg.Link {
				ctx = producer
			} else if sc := trace.SpanContextFromContext(producer); sc.IsValid() {
				opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{
					attribute.String(attrMessageID, m.ID), attribute.String(attrRoutingKey, m.Delivery.RoutingKey),
					attribute.Int64(attrDeliveryTag, int64(m.Delivery.Tag)),
				}}))
			}
		}
		ctx, span := t.tracer.Start(ctx, from.name, opts...)
		if len(ms) == 1 {
			describe(span, &ms[0])
		}
		for i := range ms {
			from.metrics.begin(ctx, start, &ms[i])
		}
		outs := next(ctx, ms)
		var errs []error
		for i := range outs {
			errs = append(errs, outs[i].Err)
			outs[i].Context = ctx
		}
		err := errors.Join(errs...)
		from.metrics.processed(ctx, int64(len(ms)), time.Since(start), err)
		end(span, err)
		return outs
	}
}

func (t *tracer) retry(ctx context.Context, b stream.Binding, attempt int, err error, pause time.Duration) {
	t.m.retries.Add(ctx, 1, metric.WithAttributes(attribute.String(attrBinding, b.Name)))
	text := ""
	if err != nil {
		text = err.Error()
	}
	trace.SpanFromContext(ctx).AddEvent(eventRetry, trace.WithAttributes(
		attribute.Int(attrRetryAttempt, attempt), attribute.Int64(attrRetryPause, pause.Milliseconds()),
		attribute.String("exception.message", text)))
}

// settled counts what became of messages: that is how many were dead-lettered, retried later, and so on. What is not simply
// acknowledged, or cannot be, has a span of its own beside the handling's, with Config.Settle everything.
func (t *tracer) settled(ctx context.Context, s stream.System, b stream.Binding, m stream.Raw, out stream.Outcome, began time.Time, err error) {
	t.m.outcomes.of(out.Action, b.Name, err != nil).add(ctx, t.m.outcomeN)
	if out.Action == stream.ActionAccept && err == nil && !t.cfg.Settle {
		return
	}
	d := m.Delivery
	attrs := append(serverAttributes(s), attribute.String(attrOperationName, operationOf(out.Action)), attribute.String(attrOperationType, typeSettle),
		attribute.String(attrDestination, way{exchange: d.Exchange, key: d.RoutingKey, queue: d.Queue}.String()),
		attribute.String(attrMessageID, m.ID), attribute.Int64(attrDeliveryTag, int64(d.Tag)), attribute.String(attrOutcome, out.Action.String()))
	name := d.Queue
	if b.Group == "" {
		name = d.Exchange
	}
	_, span := t.tracer.Start(ctx, operationOf(out.Action)+" "+cmp.Or(name, defaultExchange), trace.WithTimestamp(began),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(withKey(attrs, d.RoutingKey)...))
	end(span, err)
}

// operationOf is AMQP's word for how the delivery itself is settled: what was published elsewhere is acknowledged.
func operationOf(a stream.Action) string {
	switch a {
	case stream.ActionRequeue:
		return operationNack
	case stream.ActionReject:
		return operationReject
	case stream.ActionAccept, stream.ActionDeadLetter, stream.ActionRetry, stream.ActionManual:
	}
	return operationAck
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
