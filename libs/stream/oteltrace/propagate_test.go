package oteltrace

import (
	"context"
	"maps"
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

const (
	trace128 = "4bf92f3577b34da6a3ce929d0e0e4736"
	trace64  = "a3ce929d0e0e4736"
	span64   = "00f067aa0ba902b7"
	padded   = "0000000000000000" + trace64
)

// Each case is what one generation of peer writes, see the tables of design notes on Sleuth and OpenTelemetry.
func TestExtractEveryGeneration(t *testing.T) {
	for _, c := range []struct {
		name    string
		h       stream.Headers
		trace   string
		sampled bool
	}{
		{"w3c", stream.Headers{"traceparent": "00-" + trace128 + "-" + span64 + "-01"}, trace128, true},
		{"w3c as bytes (.NET)", stream.Headers{"traceparent": []byte("00-" + trace128 + "-" + span64 + "-01")}, trace128, true},
		{"w3c in another case", stream.Headers{"Traceparent": "00-" + trace128 + "-" + span64 + "-00"}, trace128, false},
		{"b3 of Sleuth 2.2.3+", stream.Headers{"b3": trace64 + "-" + span64 + "-1"}, padded, true},
		{"b3 with parent (Sleuth 1.3.5)", stream.Headers{"b3": trace64 + "-" + span64 + "-1-0000000000000009", "spanTraceId": "1111111111111111", "spanId": "2222222222222222"}, padded, true},
		{"b3 128 debug", stream.Headers{"b3": trace128 + "-" + span64 + "-d"}, trace128, true},
		{"b3 without a decision", stream.Headers{"b3": trace128 + "-" + span64}, trace128, true},
		{"b3 not sampled", stream.Headers{"b3": trace128 + "-" + span64 + "-0"}, trace128, false},
		{"b3 only a denial", stream.Headers{"b3": "0"}, "", false},
		{"Sleuth 1.0", stream.Headers{"X-B3-TraceId": trace64, "X-B3-SpanId": span64, "X-B3-Sampled": "1", "X-Span-Name": "message:output", "X-Message-Sent": true}, padded, true},
		{"Sleuth 1.0.4 both sets", stream.Headers{"X-B3-TraceId": trace64, "X-B3-SpanId": span64, "X-B3-Sampled": "0", "spanTraceId": trace64, "spanId": span64, "spanSampled": "0"}, padded, false},
		{"Sleuth 1.2 to 1.3", stream.Headers{"spanTraceId": trace64, "spanId": span64, "spanSampled": "1", "spanName": "message:output", "nativeHeaders": stream.Headers{}}, padded, true},
		{"Sleuth 1.2 debug", stream.Headers{"spanTraceId": trace64, "spanId": span64, "spanSampled": "0", "spanFlags": "1"}, padded, true},
		{"Sleuth 2.0 bytes", stream.Headers{"X-B3-TraceId": []byte(trace64), "X-B3-SpanId": []byte(span64)}, padded, true},
		{"contrib b3 multi, lower case", stream.Headers{"x-b3-traceid": trace128, "x-b3-spanid": span64, "x-b3-sampled": "1"}, trace128, true},
		{"traceparent beats b3", stream.Headers{"traceparent": "00-" + trace128 + "-" + span64 + "-01", "b3": trace64 + "-" + span64 + "-1"}, trace128, true},
		{"a broken traceparent leaves b3", stream.Headers{"traceparent": "00-zz-" + span64 + "-01", "b3": trace64 + "-" + span64 + "-1"}, padded, true},
		{"a peer that knows only b3 leaves the old traceparent", stream.Headers{
			"traceparent": "00-" + trace128 + "-0000000000000001-01", "b3": trace128 + "-" + span64 + "-1", "x-trace-span": "0000000000000001",
		}, trace128, true},
		{"a peer that knows only traceparent leaves the old b3", stream.Headers{
			"traceparent": "00-" + trace128 + "-" + span64 + "-01", "b3": trace128 + "-0000000000000001-1", "x-trace-span": "0000000000000001",
		}, trace128, true},
		{"all generations say the same", stream.Headers{
			"traceparent": "00-" + trace128 + "-" + span64 + "-01", "b3": trace128 + "-" + span64 + "-1", "x-trace-span": span64,
		}, trace128, true},
		{"only nativeHeaders", stream.Headers{"nativeHeaders": stream.Headers{"X-B3-TraceId": []any{trace64}, "X-B3-SpanId": []any{span64}, "X-B3-Sampled": []any{"1"}}}, padded, true},
		{"zero ids", stream.Headers{"b3": "0000000000000000-0000000000000000-1"}, "", false},
		{"nothing", stream.Headers{"x": 1}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := trace.SpanContextFromContext(Extract(context.Background(), c.h))
			if c.trace == "" {
				if sc.IsValid() {
					t.Fatalf("got %v, want none", sc)
				}
				return
			}
			if sc.TraceID().String() != c.trace || sc.SpanID().String() != span64 || sc.IsSampled() != c.sampled || !sc.IsRemote() {
				t.Fatalf("got %s %s sampled=%v", sc.TraceID(), sc.SpanID(), sc.IsSampled())
			}
		})
	}
}

func TestInjectGolden(t *testing.T) {
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), remote(trace128, span64, "1"))
	member, _ := baggage.NewMember("tenant", "blue")
	bag, _ := baggage.New(member)
	ctx = baggage.ContextWithBaggage(ctx, bag)
	h := stream.Headers{
		"keep": "me", "Traceparent": "old", "x-trace-span": "old", "X-B3-TraceId": "old", "spanId": "old", "nativeHeaders": stream.Headers{},
		"messageSent": true, "X-Current-Span": "x", "currentSpan": "x",
	}
	Inject(ctx, h)
	want := stream.Headers{
		"keep": "me", "traceparent": "00-" + trace128 + "-" + span64 + "-01", "baggage": "tenant=blue",
		"b3": trace128 + "-" + span64 + "-1", "x-trace-span": span64,
	}
	if !maps.Equal(h, want) {
		t.Fatalf("got %v", h)
	}

	h = stream.Headers{}
	Inject(trace.ContextWithRemoteSpanContext(context.Background(), remote(trace64, span64, "0")), h, generations...)
	want = stream.Headers{
		"traceparent": "00-" + padded + "-" + span64 + "-00", "b3": padded + "-" + span64 + "-0", "x-trace-span": span64,
		"X-B3-TraceId": trace64, "X-B3-SpanId": span64, "X-B3-Sampled": "0",
		"spanTraceId": trace64, "spanId": span64, "spanSampled": "0",
	}
	if !maps.Equal(h, want) {
		t.Fatalf("all: got %v", h)
	}

	Inject(ctx, h, W3C)
	want = stream.Headers{"traceparent": "00-" + trace128 + "-" + span64 + "-01", "baggage": "tenant=blue"}
	if !maps.Equal(h, want) {
		t.Fatalf("W3C alone: got %v", h)
	}
}

func TestOrder(t *testing.T) {
	h := stream.Headers{"traceparent": "00-" + trace128 + "-" + span64 + "-01", "b3": trace64 + "-" + span64 + "-1"}
	if sc := trace.SpanContextFromContext(Extract(context.Background(), h, B3, W3C)); sc.TraceID().String() != padded {
		t.Errorf("got %v", sc)
	}
	if sc := trace.SpanContextFromContext(Extract(context.Background(), h, Sleuth)); sc.IsValid() {
		t.Errorf("got %v", sc)
	}
}
