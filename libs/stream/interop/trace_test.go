//go:build interop

package interop_test

import (
	"context"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
)

// A trace goes from Go through Spring to Go, whichever headers the application writes and reads.
func TestTrace(t *testing.T) {
	url := brokerURL(t)
	for _, propagation := range []string{"W3C", "B3", "B3_MULTI"} {
		t.Run(propagation, func(t *testing.T) {
			s := startSpring(t, url, "--management.tracing.propagation.type="+propagation)
			for _, sampled := range []bool{true, false} {
				name := "Unsampled"
				if sampled {
					name = "Sampled"
				}
				t.Run(name, func(t *testing.T) { testTrace(t, s, sampled) })
			}
		})
	}
}

func testTrace(t *testing.T, s *spring, sampled bool) {
	rec := tracetest.NewSpanRecorder()
	sampler := sdktrace.ParentBased(sdktrace.NeverSample())
	if sampled {
		sampler = sdktrace.ParentBased(sdktrace.AlwaysSample())
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec), sdktrace.WithSampler(sampler))
	write := []oteltrace.Generation{oteltrace.W3C, oteltrace.B3, oteltrace.B3Multi} // B3_MULTI reads X-B3-*
	g := newService(t, s, stream.WithInstrumentation(oteltrace.New(oteltrace.Config{TracerProvider: tp, Write: write})))
	got := make(chan trace.SpanContext, 1)
	in := g.binding("on")
	stream.Consume(g.App, in, func(ctx context.Context, m stream.Message[string]) error {
		got <- trace.SpanContextFromContext(ctx)
		return nil
	})
	g.Bind(g.out("traced"))
	g.start(t)
	ctx, root := tp.Tracer("test").Start(t.Context(), "order")
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := stream.Send(ctx, g.App, "traced-out", stream.NewMessage("x")); err != nil {
		t.Fatal(err)
	}
	root.End()
	id := root.SpanContext().TraceID().String()
	if r := s.next(t, "traced"); r.Trace != id {
		t.Errorf("Spring is in trace %s, want %s; headers %v", r.Trace, id, r.Headers)
	}
	select {
	case sc := <-got:
		if sc.TraceID().String() != id || sc.IsSampled() != sampled {
			t.Errorf("back in Go it is trace %s, sampled %t, want %s", sc.TraceID(), sc.IsSampled(), id)
		}
	case <-time.After(patience):
		t.Fatal("no message came back")
	}
	if !sampled {
		return
	}
	// The consumer's span is no child of one of ours: Spring's are between.
	var mine []string
	var parent string
	for _, span := range rec.Ended() {
		mine = append(mine, span.SpanContext().SpanID().String())
		if span.SpanKind() == trace.SpanKindConsumer {
			parent = span.Parent().SpanID().String()
		}
	}
	if parent == "" || slices.Contains(mine, parent) {
		t.Errorf("the consumer's parent is %q, one of %v", parent, mine)
	}
}
