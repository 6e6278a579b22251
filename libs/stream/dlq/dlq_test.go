package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/dlq"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

const patience = 20 * time.Second

// failed is a service whose handler fails while bad is set, and the dead-letter queue of its group.
type failed struct {
	*stream.App
	dest string // which nobody else uses
	conn *amqp.Connection
	got  chan stream.Message[int]
	bad  chan bool // holds the present answer
}

// start sends payloads 0 to n-1, which all die.
func start(t *testing.T, n int, change func(*stream.Binding), opts ...stream.Option) (*failed, *dlq.Queue) {
	t.Helper()
	url := os.Getenv("WARREN_TEST_AMQP_URL") // see stream/rabbit
	if url == "" {
		url = brokertest.Start(t).URL()
	}
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	f := &failed{dest: "orders." + stream.NewID(), App: stream.New(binder, opts...), got: make(chan stream.Message[int], 100), bad: make(chan bool, 1)}
	f.bad <- true
	in := stream.Binding{Name: "in", Destination: f.dest, Group: "g", Consumer: stream.ConsumerProperties{AutoBindDLQ: true, MaxAttempts: 1}}
	change(&in)
	stream.Consume(f.App, in, func(_ context.Context, m stream.Message[int]) error {
		bad := <-f.bad
		f.bad <- bad
		if bad {
			return fmt.Errorf("no %d", m.Payload)
		}
		f.got <- m
		return nil
	})
	f.Bind(stream.Binding{Name: "out", Destination: f.dest})
	if f.conn, err = amqp.Dial(url); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := errors.Join(f.Start(ctx), f.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Stop(context.Background()), f.conn.Close()); err != nil {
			t.Error(err)
		}
	})
	for i := range n {
		m := stream.NewMessage(i)
		m.ID, m.RoutingKey, m.TTL = fmt.Sprint("m", i), "the.key", time.Hour
		if err := stream.Send(ctx, f.App, "out", m); err != nil {
			t.Fatal(err)
		}
	}
	q, err := dlq.Open(f.conn, f.dest+".g.dlq")
	if err != nil {
		t.Fatal(err)
	}
	await(t, q, n)
	return f, q
}

// await waits until n letters are in the queue.
func await(t *testing.T, q *dlq.Queue, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // the broker is asked, not awaited
		have, err := q.Len()
		if err != nil {
			t.Fatal(err)
		}
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d letters, want %d", have, n)
		}
	}
}

func (f *failed) heal() { <-f.bad; f.bad <- false }

func (f *failed) next(t *testing.T) stream.Message[int] {
	t.Helper()
	select {
	case m := <-f.got:
		return m
	case <-time.After(patience):
		t.Fatal("nothing came back")
		panic("unreachable")
	}
}

func TestBothKindsOfLetters(t *testing.T) {
	for name, republish := range map[string]stream.Switch{"published": stream.On, "by the broker": stream.Off} {
		t.Run(name, func(t *testing.T) {
			f, q := start(t, 3, func(b *stream.Binding) { b.Consumer.RepublishToDLQ = republish })
			for range 2 { // looking changes nothing
				var ids []string
				err := q.Browse(t.Context(), nil, 2, func(l dlq.Letter) error {
					ids = append(ids, l.Message.ID)
					want := "rejected"
					if republish == stream.On {
						want = "no " + l.Message.ID[1:]
					}
					if l.Reason != want || l.Queue != f.dest+".g" || l.Exchange != f.dest || l.RoutingKey != "the.key" || l.Count != 1 || l.Replays != 0 {
						t.Errorf("%+v", l)
					}
					return nil
				})
				if err != nil || !slices.Equal(ids, []string{"m0", "m1"}) {
					t.Errorf("%v %v", ids, err)
				}
				await(t, q, 3)
			}
		})
	}
}

func TestReplay(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	in := oteltrace.New(oteltrace.Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))})
	f, q := start(t, 5, func(*stream.Binding) {}, stream.WithInstrumentation(in))
	where, err := dlq.Where("payload != 3 and headers['letter.reason'] matches 'no .*'")
	if err != nil {
		t.Fatal(err)
	}
	traces := map[string]string{}
	if err := q.Browse(t.Context(), nil, 0, func(l dlq.Letter) error {
		traces[l.Message.ID] = dlq.TraceOf(l)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f.heal()
	var told []string
	n, err := q.Replay(t.Context(), dlq.Options{
		Filter: where, Limit: 3, Rate: 1000, Instrumentation: in, Each: func(l dlq.Letter) { told = append(told, l.Message.ID) },
	})
	if n != 3 || err != nil || !slices.Equal(told, []string{"m0", "m1", "m2"}) {
		t.Errorf("%d %v %v", n, told, err)
	}
	for i := range 3 {
		m := f.next(t)
		if m.Payload != i || m.ID != told[i] || m.TTL != 0 || m.Headers["x-exception-message"] != nil || m.Headers[dlq.HeaderReplayCount] != int64(1) {
			t.Errorf("%+v", m)
		}
		if trace := oteltrace.TraceID(m.Headers); trace == "" || trace != traces[m.ID] {
			t.Errorf("trace %q, it was %q", trace, traces[m.ID])
		}
	}
	await(t, q, 2)
	if n, err := q.Replay(t.Context(), dlq.Options{Filter: dlq.ByID("m3"), To: dlq.ToExchange}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if m := f.next(t); m.ID != "m3" || m.Delivery.RoutingKey != "the.key" || m.Delivery.Exchange != f.dest {
		t.Errorf("%+v", m)
	}
	if _, err := q.Replay(t.Context(), dlq.Options{Queue: "nowhere"}); !errors.Is(err, dlq.ErrReturned) {
		t.Error(err)
	}
	await(t, q, 1) // what nobody took is still there
}

func TestWhatFailsAgainIsNotReplayedForEver(t *testing.T) {
	_, q := start(t, 3, func(*stream.Binding) {})
	if n, err := q.Replay(t.Context(), dlq.Options{}); n != 3 || err != nil {
		t.Error(n, err)
	}
	await(t, q, 3)
	if err := q.Browse(t.Context(), nil, 0, func(l dlq.Letter) error {
		if l.Replays != 1 {
			t.Errorf("replays %d", l.Replays)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestEditAndPurge(t *testing.T) {
	for name, republish := range map[string]stream.Switch{"published": stream.On, "by the broker": stream.Off} {
		t.Run(name, func(t *testing.T) {
			f, q := start(t, 3, func(b *stream.Binding) { b.Consumer.RepublishToDLQ = republish })
			n, err := q.Edit(t.Context(), dlq.ByID("m1"), func(l *dlq.Letter) error {
				l.Message.Payload = []byte("77")
				l.Message.Headers["by"] = "hand"
				return nil
			})
			if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			await(t, q, 3)
			if n, err := q.Purge(t.Context(), dlq.And(nil, dlq.ByID("m0", "m2"))); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			await(t, q, 1)
			if err := q.Browse(t.Context(), nil, 0, func(l dlq.Letter) error {
				if l.Queue != f.dest+".g" || l.Exchange != f.dest || l.RoutingKey != "the.key" || l.Reason == "" {
					t.Errorf("%+v", l)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			f.heal()
			if n, err := q.Replay(t.Context(), dlq.Options{}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if m := f.next(t); m.Payload != 77 || m.ID != "m1" || m.Headers.String("by") != "hand" || len(m.Headers) != 2 {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	f, q := start(t, 1, func(*stream.Binding) {})
	if _, err := dlq.Open(f.conn, "nobody.dlq"); err == nil {
		t.Error("a queue that is not there opens")
	}
	if _, err := dlq.Where("payload +"); err == nil {
		t.Error("half an expression")
	}
	where, err := dlq.Where("payload")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Purge(t.Context(), where); err == nil {
		t.Error("a number chooses")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Purge(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	await(t, q, 1)
}
