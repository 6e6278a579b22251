package oteltrace

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var rabbit = stream.System{Name: "rabbitmq", Address: "proxy", Port: 5670}

func TestOneTraceAcrossAHop(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
	in := New(Config{TracerProvider: tp})
	var wire stream.Raw
	publish := in.Publish(rabbit, stream.Binding{Destination: "orders"}, func(_ context.Context, ms []stream.Raw) []error {
		wire = ms[0]
		return []error{nil}
	})
	m := stream.NewMessage([]byte("{}"))
	m.RoutingKey = "order.created"
	publish(context.Background(), []stream.Raw{m})

	wire.Delivery = stream.Delivery{Exchange: "orders", RoutingKey: "order.created", Queue: "orders.payment", Tag: 7}
	handle := in.Consume(rabbit, stream.Binding{Destination: "orders", Group: "payment"}, func(context.Context, stream.Raw) stream.Outcome {
		return stream.Outcome{Action: stream.ActionDeadLetter, Err: errors.New("no")}
	})
	handle(context.Background(), wire)

	spans := rec.Ended()
	p, c := spans[0], spans[1]
	if p.Name() != "publish orders" || p.SpanKind() != trace.SpanKindProducer {
		t.Errorf("producer is %s %s", p.SpanKind(), p.Name())
	}
	if c.Name() != "process orders.payment" || c.SpanKind() != trace.SpanKindConsumer || c.Status().Code != codes.Error {
		t.Errorf("consumer is %s %s %v", c.SpanKind(), c.Name(), c.Status())
	}
	if c.Parent().SpanID() != p.SpanContext().SpanID() || c.SpanContext().TraceID() != p.SpanContext().TraceID() {
		t.Error("the consumer is not the producer's child")
	}
	mustHave(t, p, attribute.String("messaging.destination.name", "orders:order.created"))
	mustHave(t, c, attribute.String("messaging.destination.name", "orders:order.created:orders.payment"))
	mustHave(t, c, attribute.Int64("messaging.rabbitmq.message.delivery_tag", 7))
	mustHave(t, c, attribute.Int("server.port", 5670))
	mustHave(t, c, attribute.String("stream.outcome", "dead-letter"))
}

// What is not simply acknowledged has a span of its settling, the child of its handling.
func TestSettleSpans(t *testing.T) {
	no := errors.New("no")
	for _, c := range []struct {
		name string
		all  bool
		out  stream.Outcome
		err  error
		want string // the span's name, "" for none
	}{
		{"accepted", false, stream.Outcome{}, nil, ""},
		{"accepted, all shown", true, stream.Outcome{}, nil, "ack orders.payment"},
		{"accepted, but the channel is gone", false, stream.Outcome{}, no, "ack orders.payment"},
		{"dead letter", false, stream.Outcome{Action: stream.ActionDeadLetter, Err: no}, nil, "ack orders.payment"},
		{"requeued", false, stream.Outcome{Action: stream.ActionRequeue, Err: no}, nil, "nack orders.payment"},
		{"rejected", false, stream.Outcome{Action: stream.ActionReject, Err: no}, nil, "reject orders.payment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := tracetest.NewSpanRecorder()
			in := New(Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)), Settle: c.all})
			b := stream.Binding{Name: "in", Destination: "orders", Group: "payment"}
			m := stream.Raw{ID: "m", Delivery: stream.Delivery{Exchange: "orders", RoutingKey: "k", Queue: "orders.payment", Tag: 7}}
			out := in.Consume(rabbit, b, func(context.Context, stream.Raw) stream.Outcome { return c.out })(t.Context(), m)
			began := time.Now()
			in.Settled(out.Context, rabbit, b, m, out, began, c.err)
			spans := rec.Ended()
			if c.want == "" {
				if len(spans) != 1 {
					t.Errorf("%d spans, want the handling's only", len(spans))
				}
				return
			}
			if len(spans) != 2 || spans[1].Name() != c.want || spans[1].Parent().SpanID() != spans[0].SpanContext().SpanID() {
				t.Fatalf("spans %v", spans)
			}
			if s := spans[1]; s.SpanKind() != trace.SpanKindClient || !s.StartTime().Equal(began) || (s.Status().Code == codes.Error) != (c.err != nil) {
				t.Errorf("%v %v %v", s.SpanKind(), s.StartTime(), s.Status())
			}
			mustHave(t, spans[1], attribute.String("messaging.operation.type", "settle"))
			mustHave(t, spans[1], attribute.Int64("messaging.rabbitmq.message.delivery_tag", 7))
		})
	}
}

func TestLinkMakesAnotherTrace(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	in := New(Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)), Link: true})
	h := in.Consume(rabbit, stream.Binding{}, func(context.Context, stream.Raw) stream.Outcome { return stream.Outcome{} })
	h(context.Background(), stream.Raw{Headers: stream.Headers{"b3": trace128 + "-" + span64 + "-1"}})
	s := rec.Ended()[0]
	if s.Parent().IsValid() || len(s.Links()) != 1 || s.Links()[0].SpanContext.TraceID().String() != trace128 {
		t.Errorf("parent %v, links %v", s.Parent(), s.Links())
	}
}

func TestARelayContinuesTheStoredTrace(t *testing.T) {
	in := New(Config{TracerProvider: sdktrace.NewTracerProvider()})
	m := stream.Raw{Headers: stream.Headers{"traceparent": "00-" + trace128 + "-" + span64 + "-01"}}
	in.Publish(rabbit, stream.Binding{Destination: "d"}, func(_ context.Context, ms []stream.Raw) []error {
		sc := trace.SpanContextFromContext(Extract(context.Background(), ms[0].Headers))
		if sc.TraceID().String() != trace128 || sc.SpanID().String() == span64 {
			t.Errorf("published %v", sc)
		}
		return []error{nil}
	})(context.Background(), []stream.Raw{m})
}

func mustHave(t *testing.T, s sdktrace.ReadOnlySpan, want attribute.KeyValue) {
	t.Helper()
	for _, a := range s.Attributes() {
		if a == want {
			return
		}
	}
	t.Errorf("%s lacks %v=%v: %v", s.Name(), want.Key, want.Value.Emit(), s.Attributes())
}
