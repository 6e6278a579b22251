package oteltrace_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
)

func ExampleNew() {
	app := stream.New(memory.New(memory.NewBroker()), stream.WithInstrumentation(oteltrace.New(oteltrace.Config{
		Write: []oteltrace.Generation{oteltrace.W3C, oteltrace.B3, oteltrace.B3Multi, oteltrace.Sleuth}, // whatever peers read
	})))
	fmt.Println(len(app.Bindings()))
	// Output: 0
}

func ExampleExtract() {
	// What Spring Cloud Sleuth 2 writes.
	h := stream.Headers{"X-B3-TraceId": "a3ce929d0e0e4736", "X-B3-SpanId": "00f067aa0ba902b7", "X-B3-Sampled": "1"}
	sc := trace.SpanContextFromContext(oteltrace.Extract(context.Background(), h))
	fmt.Println(sc.TraceID(), sc.SpanID(), sc.IsSampled())
	// Output: 0000000000000000a3ce929d0e0e4736 00f067aa0ba902b7 true
}

func ExampleInject() {
	id, _ := trace.TraceIDFromHex("4bf92f3577b34da6a3ce929d0e0e4736")
	span, _ := trace.SpanIDFromHex("00f067aa0ba902b7")
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled,
	}))
	h := stream.Headers{"X-B3-TraceId": "of an earlier hop"}
	oteltrace.Inject(ctx, h, oteltrace.W3C)
	fmt.Println(h)
	oteltrace.Inject(ctx, h)
	fmt.Println(len(h), h["b3"])
	oteltrace.Strip(h)
	fmt.Println(h)
	// Output:
	// map[traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01]
	// 3 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1
	// map[]
}

func ExampleTraceID() {
	fmt.Println(oteltrace.TraceID(stream.Headers{"b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}))
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736
}
