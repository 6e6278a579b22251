package streamtest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// failing starts an App whose handler is f, and returns it with the inbox of its dead letters.
func failing(t *testing.T, b bench, change func(*stream.Binding), f stream.Consumer[int], opts ...stream.Option) (*stream.App, inbox[[]byte]) {
	t.Helper()
	a := b.app(t, opts...)
	in := b.group("g")
	if change != nil {
		change(&in)
	}
	dead := newInbox[[]byte]()
	stream.Consume(a, in, f)
	stream.Consume(a, b.deadLetters("g"), dead.take)
	a.Bind(b.out())
	start(t, a)
	return a, dead
}

func testAttempts(t *testing.T, b bench) {
	var calls atomic.Int32
	a, dead := failing(t, b, nil, func(_ context.Context, m stream.Message[int]) error {
		if n := calls.Add(1); int(n) != m.Delivery.Attempt {
			t.Errorf("call %d says attempt %d", n, m.Delivery.Attempt)
		}
		return fmt.Errorf("try: %w", errHandler)
	})
	m := stream.NewMessage(1)
	m.Headers["mine"], m.CorrelationID, m.RoutingKey = "kept", "c", "the.key"
	send(t, a, "out-0", m)
	d := dead.next(t)
	if calls.Load() != 3 {
		t.Errorf("%d attempts, want 3", calls.Load())
	}
	h := d.Headers
	if d.ID != m.ID || d.CorrelationID != "c" || h.String("mine") != "kept" || string(d.Payload) != "1" || d.ContentType != stream.ContentTypeJSON {
		t.Errorf("dead letter %+v", d)
	}
	if h.String(stream.HeaderExceptionMessage) != "try: the handler says no" || !strings.Contains(h.String(stream.HeaderExceptionStacktrace), "errors.errorString") ||
		h.String(stream.HeaderOriginalExchange) != b.dest || h.String(stream.HeaderOriginalRoutingKey) != "the.key" {
		t.Errorf("headers %v", h)
	}
	dead.empty(t)
}

func testSecondAttempt(t *testing.T, b bench) {
	done := newInbox[int]()
	a, dead := failing(t, b, nil, func(_ context.Context, m stream.Message[int]) error {
		if m.Delivery.Attempt == 1 {
			return errHandler
		}
		done <- m
		return nil
	})
	send(t, a, "out-0", stream.NewMessage(1))
	if m := done.next(t); m.Delivery.Attempt != 2 {
		t.Errorf("attempt %d", m.Delivery.Attempt)
	}
	dead.empty(t)
}

func testReject(t *testing.T, b bench) {
	var calls atomic.Int32
	a, dead := failing(t, b, nil, func(context.Context, stream.Message[int]) error {
		calls.Add(1)
		return stream.Reject(errHandler)
	})
	send(t, a, "out-0", stream.NewMessage(1))
	if d := dead.next(t); calls.Load() != 1 || d.Headers.String(stream.HeaderExceptionMessage) != errHandler.Error() {
		t.Errorf("%d attempts, headers %v", calls.Load(), d.Headers)
	}
}

func testRequeue(t *testing.T, b bench) {
	done := newInbox[int]()
	a, dead := failing(t, b, nil, func(_ context.Context, m stream.Message[int]) error {
		if !m.Delivery.Redelivered {
			return stream.Requeue(errHandler)
		}
		done <- m
		return nil
	})
	send(t, a, "out-0", stream.NewMessage(1))
	if m := done.next(t); m.Delivery.Attempt != 1 {
		t.Errorf("attempt %d", m.Delivery.Attempt)
	}
	dead.empty(t)
}

func testDrop(t *testing.T, b bench) {
	called := newInbox[int]()
	a, dead := failing(t, b, nil, func(_ context.Context, m stream.Message[int]) error {
		called <- m
		return stream.Drop(errHandler)
	})
	send(t, a, "out-0", stream.NewMessage(1))
	called.next(t)
	called.empty(t)
	dead.empty(t)
}

func testUndecodable(t *testing.T, b bench) {
	a, dead := failing(t, b, nil, func(context.Context, stream.Message[int]) error {
		t.Error("the handler was called")
		return nil
	})
	send(t, a, "out-0", stream.NewMessage([]byte(`{"not": "a number"`)))
	d := dead.next(t)
	if !strings.Contains(d.Headers.String(stream.HeaderExceptionMessage), "cannot be decoded") {
		t.Errorf("headers %v", d.Headers)
	}
}

func testPanic(t *testing.T, b bench) {
	a, dead := failing(t, b, func(in *stream.Binding) { in.Consumer.MaxAttempts = 1 }, func(context.Context, stream.Message[int]) error {
		panic("at the disco")
	})
	send(t, a, "out-0", stream.NewMessage(1))
	d := dead.next(t)
	if !strings.Contains(d.Headers.String(stream.HeaderExceptionMessage), "at the disco") ||
		!strings.Contains(d.Headers.String(stream.HeaderExceptionStacktrace), "failures.go") {
		t.Errorf("headers %v", d.Headers)
	}
}

func testBrokerDeadLetters(t *testing.T, b bench) {
	a, dead := failing(t, b, func(in *stream.Binding) { in.Consumer.RepublishToDLQ = stream.Off }, func(context.Context, stream.Message[int]) error {
		return errHandler
	})
	send(t, a, "out-0", stream.NewMessage(1))
	d := dead.next(t)
	deaths, _ := d.Headers["x-death"].([]any)
	if _, republished := d.Headers[stream.HeaderExceptionMessage]; republished || len(deaths) != 1 {
		t.Fatalf("headers %v", d.Headers)
	}
	if death, _ := deaths[0].(stream.Headers); death.String("queue") != b.dest+".g" || death.String("reason") != "rejected" {
		t.Errorf("x-death %v", death)
	}
}

func testTrace(t *testing.T, b bench) {
	tp := sdktrace.NewTracerProvider()
	in := stream.WithInstrumentation(oteltrace.New(oteltrace.Config{TracerProvider: tp}))
	traces := make(chan trace.TraceID, 10)
	a, dead := failing(t, b, nil, func(ctx context.Context, _ stream.Message[int]) error {
		traces <- trace.SpanContextFromContext(ctx).TraceID()
		return errHandler
	}, in)
	ctx, span := tp.Tracer("test").Start(t.Context(), "root")
	defer span.End()
	if err := stream.Send(ctx, a, "out-0", stream.NewMessage(1)); err != nil {
		t.Fatal(err)
	}
	d := dead.next(t)
	want := span.SpanContext().TraceID()
	for range 3 {
		if got := <-traces; got != want {
			t.Errorf("handler ran in trace %s, want %s", got, want)
		}
	}
	if got := trace.SpanContextFromContext(oteltrace.Extract(context.Background(), d.Headers)).TraceID(); got != want {
		t.Errorf("dead letter carries trace %s, want %s", got, want)
	}
}
