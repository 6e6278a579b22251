package oteltrace

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Two requests send a message each, which travel as one: each has its own create span in its own trace, the publish is linked
// to both, and the consumer of the batch goes on in the first one's trace.
func TestPackedMessages(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
	in := New(Config{TracerProvider: tp})
	var wire stream.Raw
	publish := in.PublishPacked(rabbit, stream.Binding{Destination: "orders"}, func(_ context.Context, ms []stream.Raw) []error {
		wire = ms[0]
		return []error{nil}
	})
	one, first := tp.Tracer("t").Start(context.Background(), "first")
	two, second := tp.Tracer("t").Start(context.Background(), "second")
	if err := publish(context.Background(), stream.Raw{Headers: stream.Headers{}, RoutingKey: "k"}, []context.Context{one, two}); err != nil {
		t.Fatal(err)
	}
	spans := rec.Ended()
	create1, create2, send := spans[0], spans[1], spans[2]
	if create1.Name() != "create orders" || create1.Parent().SpanID() != first.SpanContext().SpanID() || create2.Parent().SpanID() != second.SpanContext().SpanID() {
		t.Errorf("%s %v, %v", create1.Name(), create1.Parent(), create2.Parent())
	}
	if send.Name() != "publish orders" || send.SpanKind() != trace.SpanKindClient || len(send.Links()) != 2 || send.Parent().SpanID() != create1.SpanContext().SpanID() {
		t.Errorf("%s %s %v", send.Name(), send.SpanKind(), send.Links())
	}
	mustHave(t, send, attribute.Int("messaging.batch.message_count", 2))
	if sc := trace.SpanContextFromContext(Extract(context.Background(), wire.Headers)); sc.SpanID() != send.SpanContext().SpanID() {
		t.Errorf("on the wire is %v", sc)
	}
}

func TestBatchLinksToItsProducers(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	in := New(Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))})
	h := in.ConsumeBatch(rabbit, stream.Binding{Group: "g"}, func(_ context.Context, ms []stream.Raw) []stream.Outcome {
		return make([]stream.Outcome, len(ms))
	})
	traced := func(id string) stream.Raw {
		return stream.Raw{ID: id, Headers: stream.Headers{"b3": trace128 + "-" + span64 + "-1"}, Delivery: stream.Delivery{Exchange: "d", Queue: "d.g"}}
	}
	h(context.Background(), []stream.Raw{traced("1"), {ID: "without"}, traced("2")})
	h(context.Background(), []stream.Raw{traced("alone")})
	many, one := rec.Ended()[0], rec.Ended()[1]
	if many.Name() != "process d.g" || many.Parent().IsValid() || len(many.Links()) != 2 || many.Links()[1].Attributes[0].Value.AsString() != "2" {
		t.Errorf("%s %v %v", many.Name(), many.Parent(), many.Links())
	}
	mustHave(t, many, attribute.Int("messaging.batch.message_count", 3))
	if one.Parent().TraceID().String() != trace128 || len(one.Links()) != 0 {
		t.Errorf("%v %v", one.Parent(), one.Links())
	}
}

func TestMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	in := New(Config{TracerProvider: sdktrace.NewTracerProvider(), MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	b := stream.Binding{Name: "in", Destination: "d", Group: "g"}
	in.Publish(rabbit, b, func(context.Context, []stream.Raw) []error { return []error{nil, stream.ErrReturned} })(context.Background(),
		[]stream.Raw{{Headers: stream.Headers{}}, {Headers: stream.Headers{}}})
	m := stream.NewMessage([]byte("x"))
	m.Delivery = stream.Delivery{Queue: "d.g", Redelivered: true}
	out := stream.Outcome{Action: stream.ActionDeadLetter, Err: errors.New("no")}
	in.Consume(rabbit, b, func(context.Context, stream.Raw) stream.Outcome { return out })(context.Background(), m)
	in.Retry(context.Background(), b, 1, out.Err, 0)
	in.Settled(context.Background(), rabbit, b, m, out, time.Now(), nil)

	var got metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &got); err != nil {
		t.Fatal(err)
	}
	points := map[string]int{}
	for _, m := range got.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				points[m.Name] += int(p.Value)
			}
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				points[m.Name] += int(p.Count)
			}
		}
	}
	for name, want := range map[string]int{
		"messaging.client.sent.messages": 2, "messaging.client.operation.duration": 1, "messaging.client.consumed.messages": 1,
		"messaging.process.duration": 1, "stream.message.age": 1, "stream.messages.in_flight": 0, "stream.redelivered.messages": 1,
		"stream.retried.attempts": 1, "stream.settled.messages": 1,
	} {
		if n, ok := points[name]; !ok || n != want {
			t.Errorf("%s is %d (%v), want %d", name, n, ok, want)
		}
	}
}
