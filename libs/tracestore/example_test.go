package tracestore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/tracestore"
)

// tell sends two spans of a service to a store, as telemetry.Start does in one.
func tell(ctx context.Context, s *tracestore.Server) error {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(s.OTLPHTTPURL()+"/v1/traces"))
	if err != nil {
		return err
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "payment"))))
	ctx, root := tp.Tracer("example").Start(ctx, "pay", trace.WithAttributes(attribute.String("order.id", "o-1")))
	_, child := tp.Tracer("example").Start(ctx, "ask the bank", trace.WithSpanKind(trace.SpanKindClient))
	child.AddEvent("it answers", trace.WithAttributes(attribute.Int("code", 0)))
	child.End()
	root.End()
	return tp.Shutdown(context.WithoutCancel(ctx))
}

func ExampleServer() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var server *tracestore.Server = tracestore.NewServer(tracestore.Config{
		QueryAddress: "127.0.0.1:0", OTLPHTTPAddress: "127.0.0.1:0", OTLPGRPCAddress: "-", BytesMax: 1 << 20,
	})
	if err := server.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	if err := tell(ctx, server); err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range server.Store.Search(tracestore.Query{Service: "payment", Tags: map[string]string{"order.id": "o-1"}}) {
		show(t)
	}
	var operations []tracestore.Operation = server.Store.Operations("payment")
	fmt.Println(operations)
	var calls []tracestore.Dependency = server.Store.Dependencies(time.Now().Add(-time.Hour), time.Now())
	fmt.Println(len(calls), "calls to other services")
	cancel()
	fmt.Println(errors.Join(<-ran))
	// Output:
	// payment: pay, []
	// payment: ask the bank, [CHILD_OF]
	// it answers after the start: true, code=0
	// [{ask the bank client} {pay internal}]
	// 0 calls to other services
	// <nil>
}

// show prints a trace as Jaeger's API has it.
func show(t tracestore.Trace) {
	text := func(tag tracestore.KeyValue) string { return fmt.Sprint(tag.Key, "=", tag.Value) }
	kinds := func(rs []tracestore.Reference) (all []string) {
		for _, r := range rs {
			all = append(all, r.RefType)
		}
		return all
	}
	event := func(s tracestore.Span, l tracestore.Log) {
		fmt.Printf("%v after the start: %t, %s\n", l.Fields[0].Value, l.Timestamp >= s.StartTime, text(l.Fields[1]))
	}
	line := func(p tracestore.Process, s tracestore.Span) {
		fmt.Printf("%s: %s, %v\n", p.ServiceName, s.OperationName, kinds(s.References))
		for _, l := range s.Logs {
			event(s, l)
		}
	}
	for _, s := range t.Spans {
		line(t.Processes[s.ProcessID], s)
	}
}

// A store can be filled without a network, too.
func ExampleStore() {
	var store *tracestore.Store = tracestore.NewStore(0)
	store.Add([]tracestore.Span{{TraceID: "00000000000000000000000000000001", SpanID: "0000000000000002", OperationName: "pay", Duration: 1500}})
	t, found := store.Trace("1") // short ids are padded
	fmt.Println(found, t.Spans[0].OperationName, time.Duration(t.Spans[0].Duration)*time.Microsecond)
	// Output: true pay 1.5ms
}
