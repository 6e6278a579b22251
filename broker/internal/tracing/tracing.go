// Package tracing makes the broker's own OpenTelemetry spans: what happens to a message
// between its publisher and its consumer. It follows only messages whose publisher has
// sampled them, and leaves their headers as they are.
package tracing

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// batchDelay is how long spans wait for others; the SDK's own 5 s look like no tracing.
const batchDelay = 200 * time.Millisecond

// Config says who makes the spans, and where they go.
type Config struct {
	Service string // service.name
	Version string
	Node    string // the node's name: service.instance.id
	// Endpoint is an OTLP/HTTP address, such as http://localhost:4318.
	Endpoint string
	Logger   *slog.Logger
	// Exporter takes the spans instead, at once; for tests.
	Exporter sdktrace.SpanExporter
}

// quiet tells once that spans can't be sent, and once that they can again: nobody's
// messages wait for that.
type quiet struct {
	sdktrace.SpanExporter
	log      *slog.Logger
	endpoint string
	failing  bool // the batch processor's: it exports one batch at a time
}

// ExportSpans implements sdktrace.SpanExporter.
func (q *quiet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if failing := err != nil; failing != q.failing {
		q.failing = failing
		q.log.Warn("traces", "endpoint", q.endpoint, "sent", !failing, "error", err)
	}
	return nil
}

// Tracer makes spans.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	server   []attribute.KeyValue
}

var _ node.Tracer = (*Tracer)(nil)

// New returns a tracer. An endpoint that does not answer is no error: its spans are
// dropped.
func New(ctx context.Context, c Config) (*Tracer, error) {
	res := resource.NewSchemaless(attribute.String("service.name", c.Service), attribute.String("service.version", c.Version),
		attribute.String("service.instance.id", c.Node), attribute.String("messaging.system", "rabbitmq"))
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithSampler(sdktrace.AlwaysSample())} // the publisher has chosen
	if c.Exporter != nil {
		options = append(options, sdktrace.WithSyncer(c.Exporter))
	} else {
		to, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces"))
		if err != nil {
			return nil, fmt.Errorf("traces to %s: %w", c.Endpoint, err)
		}
		options = append(options, sdktrace.WithBatcher(&quiet{SpanExporter: to, log: c.Logger, endpoint: c.Endpoint}, sdktrace.WithBatchTimeout(batchDelay)))
	}
	t := &Tracer{provider: sdktrace.NewTracerProvider(options...), server: []attribute.KeyValue{
		attribute.String("messaging.system", "rabbitmq"), attribute.String("warren.node", c.Node),
	}}
	t.tracer = t.provider.Tracer("github.com/warren-mq/warren/broker")
	return t, nil
}

// Shutdown sends what is left.
func (t *Tracer) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Sampled implements node.Tracer. It reads traceparent, then b3, then X-B3-…: whichever
// is there first counts.
func (t *Tracer) Sampled(properties []byte) (c node.TraceContext, ok bool) {
	headers := message.PeekHeaders(properties)
	if headers == nil {
		return c, false
	}
	if v, found := text(headers, "traceparent"); found {
		return parseW3C(v)
	}
	if v, found := text(headers, "b3"); found {
		return parseB3(v)
	}
	id, found := text(headers, "X-B3-TraceId")
	if !found {
		return c, false
	}
	span, _ := text(headers, "X-B3-SpanId")
	sampled, _ := text(headers, "X-B3-Sampled")
	return parseB3(id + "-" + span + "-" + sampled)
}

// text returns a header that is a text, or the bytes of one.
func text(headers []byte, name string) (string, bool) {
	switch v, _ := message.FindField(headers, name); s := v.(type) {
	case string:
		return s, true
	case []byte:
		return string(s), true
	}
	return "", false
}

// parseW3C reads version-trace-span-flags.
func parseW3C(v string) (c node.TraceContext, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(v) < length || v[2] != '-' || v[35] != '-' || v[52] != '-' || v[:2] == "ff" {
		return c, false
	}
	var flags [1]byte
	if _, err := hex.Decode(flags[:], []byte(v[53:55])); err != nil || flags[0]&1 == 0 {
		return c, false
	}
	return ids(v[3:35], v[36:52])
}

// parseB3 reads trace-span-sampled, in which the trace's id may be a short one.
func parseB3(v string) (c node.TraceContext, ok bool) {
	part := strings.SplitN(v, "-", 4)
	if len(part) < 3 || part[2] != "1" && part[2] != "d" && part[2] != "true" {
		return c, false
	}
	if len(part[0]) == 16 {
		part[0] = "0000000000000000" + part[0]
	}
	return ids(part[0], part[1])
}

func ids(traceID, span string) (c node.TraceContext, ok bool) {
	if len(traceID) != 32 || len(span) != 16 {
		return c, false
	}
	if _, err := hex.Decode(c.Trace[:], []byte(traceID)); err != nil {
		return c, false
	}
	if _, err := hex.Decode(c.Span[:], []byte(span)); err != nil {
		return c, false
	}
	return c, c.Trace != [16]byte{} && c.Span != [8]byte{}
}

// Span implements node.Tracer.
func (t *Tracer) Span(parent node.TraceContext, s *node.Span) node.TraceContext {
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: parent.Trace, SpanID: parent.Span, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	attributes := append(make([]attribute.KeyValue, 0, len(t.server)+len(s.Attributes)+5), t.server...)
	for key, v := range map[string]string{
		"messaging.destination.name": s.Exchange, "messaging.rabbitmq.destination.routing_key": s.Key, "warren.queue": s.Queue, "warren.outcome": s.Outcome,
	} {
		if v != "" {
			attributes = append(attributes, attribute.String(key, v))
		}
	}
	for _, a := range s.Attributes {
		switch v := a.Value.(type) {
		case string:
			if v != "" {
				attributes = append(attributes, attribute.String(a.Key, v))
			}
		case int64:
			attributes = append(attributes, attribute.Int64(a.Key, v))
		case bool:
			attributes = append(attributes, attribute.Bool(a.Key, v))
		}
	}
	_, span := t.tracer.Start(ctx, s.Name, trace.WithTimestamp(s.Start), trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(attributes...))
	if s.Event != "" {
		span.AddEvent(s.Event, trace.WithTimestamp(s.Start))
	}
	if failed[s.Outcome] {
		span.SetStatus(codes.Error, s.Outcome)
	}
	span.End(trace.WithTimestamp(s.End))
	sc := span.SpanContext()
	return node.TraceContext{Trace: sc.TraceID(), Span: sc.SpanID()}
}

// failed are outcomes that somebody should look at.
var failed = map[string]bool{"refused": true, "unroutable": true, "rejected": true, "delivery_limit": true, "nowhere": true, "maxlen": true}
