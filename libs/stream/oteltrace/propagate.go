package oteltrace

import (
	"context"
	"encoding/hex"
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
		if _, ours := fieldOf(k); ours {
			delete(h, k)
		}
	}
}

// Inject strips h and writes the context's span in the given generations, with its baggage. Without any they are W3C and B3,
// which peers on OpenTelemetry, Micrometer and Spring Cloud Sleuth since 1.3.5 read. All values are strings: that is AMQP's long
// string, which every peer reads. Where there are several, x-trace-span names the span that all of them say, for Extract.
func Inject(ctx context.Context, h stream.Headers, write ...Generation) {
	Strip(h)
	span := trace.SpanFromContext(ctx)
	sc := span.SpanContext()
	if !sc.IsValid() {
		return
	}
	if len(write) == 0 {
		write = written
	}
	t := textOf(sc)
	for _, g := range write {
		t.write(h, g, span)
	}
	if len(write) > 1 {
		h[headerSpan] = t.span
	}
	if b := baggage.FromContext(ctx); b.Len() > 0 {
		if s := b.String(); len(s) <= longHeaderBytesMax {
			h[headerBaggage] = s
		}
	}
}

// write puts one generation into h.
func (t texts) write(h stream.Headers, g Generation, span trace.Span) {
	traceID, sampled := strings.TrimPrefix(t.trace, "0000000000000000"), t.b3[len(t.b3)-1:] // Sleuth's own length, if it fits
	parent := ""
	if s, ok := span.(interface{ Parent() trace.SpanContext }); ok && s.Parent().IsValid() && g > B3 {
		parent = s.Parent().SpanID().String()
	}
	switch g {
	case W3C:
		h[headerTraceparent] = t.parent
		if state := span.SpanContext().TraceState(); state.Len() > 0 {
			h[headerTracestate] = state.String()
		}
	case B3:
		h[headerB3] = t.b3
	case B3Multi:
		h[headerB3TraceID], h[headerB3SpanID], h[headerB3Sampled] = traceID, t.span, sampled
		if parent != "" {
			h[headerB3Parent] = parent
		}
	case Sleuth:
		h[headerSleuthTraceID], h[headerSleuthSpanID], h[headerSleuthSampled] = traceID, t.span, sampled
		if parent != "" {
			h[headerSleuthParent] = parent
		}
	}
}

// texts are the values of one span's headers, cut out of one string:
//
//	00-<trace, 32 hex>-<span, 16 hex>-01 <trace>-<span>-1
type texts struct{ parent, b3, trace, span string }

func textOf(sc trace.SpanContext) texts {
	const idsBytes = 32 + 1 + 16
	const parentBytes = 3 + idsBytes + 3
	traceID, spanID := sc.TraceID(), sc.SpanID()
	var b [parentBytes + idsBytes + 2]byte
	ids := b[3 : 3+idsBytes]
	hex.Encode(ids, traceID[:])
	ids[32] = '-'
	hex.Encode(ids[33:], spanID[:])
	copy(b[parentBytes:], ids)
	copy(b[:], "00-")
	sampled := byte('0')
	if sc.IsSampled() {
		sampled = '1'
	}
	b[3+idsBytes], b[3+idsBytes+1], b[3+idsBytes+2] = '-', '0', sampled
	b[len(b)-2], b[len(b)-1] = '-', sampled
	s := string(b[:])
	return texts{parent: s[:parentBytes], b3: s[parentBytes:], trace: s[3:35], span: s[36:52]}
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

var (
	generations = []Generation{W3C, B3, B3Multi, Sleuth} // in the order of belief
	written     = []Generation{W3C, B3}                  // by default
)

// Extract returns ctx with the remote span and the baggage that the headers carry. The first valid generation wins, in the
// given order; without one it is traceparent, b3, X-B3-*, span*. A peer that knows one generation only passes the others on as
// it got them: a generation that still says what x-trace-span does gives way to one that says otherwise. Names match in any
// case, values may be string or []byte, 64-bit trace ids are padded. Where none is on the message itself, the copy that Spring
// keeps in nativeHeaders is looked at.
func Extract(ctx context.Context, h stream.Headers, order ...Generation) context.Context {
	var found fields
	if !found.read(h) && !found.readNative(h) {
		return ctx
	}
	if found[fieldBaggage] != "" {
		carrier := found // so that what most messages need not be on the heap is not
		ctx = propagation.Baggage{}.Extract(ctx, &carrier)
	}
	if sc := found.span(order); sc.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, sc)
	}
	return ctx
}

// span is what the generation says that was written last.
func (f *fields) span(order []Generation) (best trace.SpanContext) {
	if len(order) == 0 {
		order = generations
	}
	for _, g := range order {
		sc := f.of(g)
		switch {
		case !sc.IsValid():
		case f[fieldSpan] == "" || !strings.EqualFold(f[fieldSpan], sc.SpanID().String()):
			return sc
		case !best.IsValid():
			best = sc
		}
	}
	return best
}

// of reads one generation.
func (f *fields) of(g Generation) trace.SpanContext {
	switch g {
	case W3C:
		if f[fieldTraceparent] == "" {
			return trace.SpanContext{}
		}
		if sc := plainParent(f[fieldTraceparent]); sc.IsValid() && f[fieldTracestate] == "" {
			return sc
		}
		carrier := *f
		return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), &carrier))
	case B3:
		return b3Single(f[fieldB3])
	case B3Multi:
		return flagged(f[fieldB3TraceID], f[fieldB3SpanID], f[fieldB3Sampled], f[fieldB3Flags])
	case Sleuth:
		return flagged(f[fieldSleuthTraceID], f[fieldSleuthSpanID], f[fieldSleuthSampled], f[fieldSleuthFlags])
	}
	return trace.SpanContext{}
}

// plainParent reads a traceparent as almost all are written, of version 00: the propagator makes more ado about it.
func plainParent(s string) trace.SpanContext {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52:54] != "-0" || s[54] != '0' && s[54] != '1' {
		return trace.SpanContext{}
	}
	return remote(s[3:35], s[36:52], s[54:])
}

// b3Single reads {trace}-{span}[-{1|0|d}[-{parent}]].
func b3Single(s string) trace.SpanContext {
	traceID, rest, ok := strings.Cut(s, "-")
	if !ok {
		return trace.SpanContext{}
	}
	spanID, rest, _ := strings.Cut(rest, "-")
	sampled, parent, _ := strings.Cut(rest, "-")
	if strings.Contains(parent, "-") {
		return trace.SpanContext{}
	}
	return remote(traceID, spanID, sampled)
}

func flagged(traceID, spanID, sampled, flags string) trace.SpanContext {
	if flags == "1" {
		sampled = "d"
	}
	return remote(traceID, spanID, sampled)
}

// remote builds a span context; a missing decision counts as sampled, as the sender left it to us.
func remote(traceID, spanID, sampled string) trace.SpanContext {
	if traceID == "" || spanID == "" {
		return trace.SpanContext{}
	}
	if len(traceID) < 32 {
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

// TraceID is the id of the trace that the headers carry, 32 hex digits; "" when they carry none.
func TraceID(h stream.Headers) string {
	if sc := trace.SpanContextFromContext(Extract(context.Background(), h)); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}
