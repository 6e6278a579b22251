package oteltrace

import (
	"context"
	"strings"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// longHeaderBytesMax: Spring AMQP turns longer strings into a type that breaks its readers, so such baggage is left out.
const longHeaderBytesMax = 1024

// Strip removes every trace header of an earlier hop, whatever generation wrote it.
func Strip(h stream.Headers) {
	for k := range h {
		if stale[strings.ToLower(k)] {
			delete(h, k)
		}
	}
}

// Inject strips h and writes the context's span: traceparent, tracestate and baggage, and b3 for peers of Spring Cloud
// Sleuth 1.3.5 and later. With sleuth1 also the two sets that older ones read, X-B3-* in exact case and span*.
// All values are strings: that is AMQP's long string, which every peer reads.
func Inject(ctx context.Context, h stream.Headers, sleuth1 bool) {
	Strip(h)
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	propagation.TraceContext{}.Inject(ctx, carrier(h))
	if b := baggage.FromContext(ctx).String(); b != "" && len(b) <= longHeaderBytesMax {
		h[headerBaggage] = b
	}
	sampled := "0"
	if sc.IsSampled() {
		sampled = "1"
	}
	traceID, spanID := sc.TraceID().String(), sc.SpanID().String()
	h[headerB3] = traceID + "-" + spanID + "-" + sampled
	if !sleuth1 {
		return
	}
	if high := strings.Repeat("0", 16); strings.HasPrefix(traceID, high) {
		traceID = traceID[16:] // Sleuth's own length
	}
	h[headerB3TraceID], h[headerB3SpanID], h[headerB3Sampled] = traceID, spanID, sampled
	h[headerSleuthTraceID], h[headerSleuthSpanID], h[headerSleuthSampled] = traceID, spanID, sampled
	if s, ok := trace.SpanFromContext(ctx).(interface{ Parent() trace.SpanContext }); ok && s.Parent().IsValid() {
		h[headerB3Parent], h[headerSleuthParent] = s.Parent().SpanID().String(), s.Parent().SpanID().String()
	}
}

// Generation is a way of writing a trace into headers.
type Generation uint8

// The generations.
const (
	W3C     Generation = iota // traceparent
	B3                        // b3, Sleuth since 1.3.5
	B3Multi                   // X-B3-*, Sleuth 1.0 and 2.x
	Sleuth                    // span*, Sleuth 1.0.4 to 2.x
)

var generations = []Generation{W3C, B3, B3Multi, Sleuth}

var readers = map[Generation]func(propagation.MapCarrier) trace.SpanContext{
	W3C: func(c propagation.MapCarrier) trace.SpanContext {
		return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
	},
	B3: b3Single, B3Multi: b3Multi, Sleuth: sleuth,
}

// Extract returns ctx with the remote span and the baggage that the headers carry. The first valid generation wins, in the
// given order; without one it is traceparent, b3, X-B3-*, span*. Names match in any case, values may be string or []byte,
// 64-bit trace ids are padded. Where none is on the message itself, the copy that Spring keeps in nativeHeaders is looked at.
func Extract(ctx context.Context, h stream.Headers, order ...Generation) context.Context {
	if len(order) == 0 {
		order = generations
	}
	found := folded(h)
	if len(found) == 0 {
		if found = nativeCopy(h); len(found) == 0 {
			return ctx
		}
	}
	if found[headerBaggage] != "" {
		ctx = propagation.Baggage{}.Extract(ctx, found)
	}
	for _, g := range order {
		if read := readers[g]; read != nil {
			if sc := read(found); sc.IsValid() {
				return trace.ContextWithRemoteSpanContext(ctx, sc)
			}
		}
	}
	return ctx
}

// folded are the trace headers by their names in lower case.
func folded(h stream.Headers) propagation.MapCarrier {
	var c propagation.MapCarrier
	for k := range h {
		lower := k
		if !stale[k] {
			if lower = strings.ToLower(k); !stale[lower] {
				continue
			}
		}
		if v := h.String(k); v != "" {
			if c == nil {
				c = propagation.MapCarrier{}
			}
			c[lower] = v
		}
	}
	return c
}

// nativeCopy reads the map of lists that Spring's channel interceptor adds.
func nativeCopy(h stream.Headers) propagation.MapCarrier {
	native, _ := h["nativeHeaders"].(stream.Headers)
	first := make(stream.Headers, len(native))
	for k, v := range native {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		first[k] = v
	}
	return folded(first)
}

// b3Single reads {trace}-{span}[-{1|0|d}[-{parent}]].
func b3Single(c propagation.MapCarrier) trace.SpanContext {
	part := strings.Split(c[headerB3], "-")
	if len(part) < 2 || len(part) > 4 {
		return trace.SpanContext{}
	}
	sampled := ""
	if len(part) > 2 {
		sampled = part[2]
	}
	return remote(part[0], part[1], sampled)
}

func b3Multi(c propagation.MapCarrier) trace.SpanContext {
	return flagged(c, headerB3TraceID, headerB3SpanID, headerB3Sampled, headerB3Flags)
}

func sleuth(c propagation.MapCarrier) trace.SpanContext {
	return flagged(c, headerSleuthTraceID, headerSleuthSpanID, headerSleuthSampled, headerSleuthFlags)
}

func flagged(c propagation.MapCarrier, traceID, spanID, sampled, flags string) trace.SpanContext {
	s := c[strings.ToLower(sampled)]
	if c[strings.ToLower(flags)] == "1" {
		s = "d"
	}
	return remote(c[strings.ToLower(traceID)], c[strings.ToLower(spanID)], s)
}

// remote builds a span context; a missing decision counts as sampled, as the sender left it to us.
func remote(traceID, spanID, sampled string) trace.SpanContext {
	if len(traceID) > 0 && len(traceID) < 32 {
		traceID = strings.Repeat("0", 32-len(traceID)) + traceID
	}
	t, err := trace.TraceIDFromHex(strings.ToLower(traceID))
	if err != nil {
		return trace.SpanContext{}
	}
	s, err := trace.SpanIDFromHex(strings.ToLower(spanID))
	if err != nil {
		return trace.SpanContext{}
	}
	var f trace.TraceFlags
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: t, SpanID: s, Remote: true,
		TraceFlags: f.WithSampled(sampled != "0" && sampled != "false"),
	})
}

// carrier adapts headers to what OpenTelemetry's propagators write to.
type carrier stream.Headers

func (c carrier) Get(key string) string { return stream.Headers(c).String(key) }
func (c carrier) Set(key, value string) { c[key] = value }
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// TraceID is the id of the trace that the headers carry, 32 hex digits; "" when they carry none.
func TraceID(h stream.Headers) string {
	if sc := trace.SpanContextFromContext(Extract(context.Background(), h)); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}
