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
		Sleuth1: true, // peers of Spring Cloud Sleuth before 1.3.5 read along
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
