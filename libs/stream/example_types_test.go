package stream_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
)

// A consumer is a function, so what is done around all of them is a function, too.
func ExampleConsumer() {
	timed := func(next stream.Consumer[string]) stream.Consumer[string] {
		return func(ctx context.Context, m stream.Message[string]) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return next(ctx, m)
		}
	}
	handle := timed(func(ctx context.Context, m stream.Message[string]) error {
		_, bounded := ctx.Deadline()
		fmt.Println(m.Payload, bounded)
		return nil
	})
	fmt.Println(handle(context.Background(), stream.NewMessage("x")))
	// Output:
	// x true
	// <nil>
}

func ExampleFunction() {
	var double stream.Function[int, int] = func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
		r := stream.WithPayload(m, 2*m.Payload) // id, headers and the rest stay
		return &r, nil
	}
	r, err := double(context.Background(), stream.NewMessage(21))
	fmt.Println(r.Payload, err)
	// Output: 42 <nil>
}

func ExampleSupplier() {
	n := 0
	var numbers stream.Supplier[int] = func(context.Context) (*stream.Message[int], error) {
		if n++; n > 2 {
			return nil, nil // nothing this time
		}
		m := stream.NewMessage(n)
		return &m, nil
	}
	for {
		m, err := numbers(context.Background())
		if m == nil || err != nil {
			break
		}
		fmt.Println(m.Payload)
	}
	// Output:
	// 1
	// 2
}

func ExampleBatchConsumer() {
	var store stream.BatchConsumer[string] = func(_ context.Context, ms []stream.Message[string]) error {
		fmt.Println(len(ms), "rows in one transaction")
		return nil
	}
	fmt.Println(store(context.Background(), []stream.Message[string]{stream.NewMessage("a"), stream.NewMessage("b")}))
	// Output:
	// 2 rows in one transaction
	// <nil>
}

func ExampleApplyBatch() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	var join stream.BatchFunction[string, string] = func(_ context.Context, ms []stream.Message[string]) ([]stream.Message[string], error) {
		var all []string
		for _, m := range ms {
			all = append(all, m.Payload)
		}
		return []stream.Message[string]{stream.NewMessage(strings.Join(all, " "))}, nil
	}
	in := stream.Binding{Name: "join-in-0", Destination: "words", Group: "g", Consumer: stream.ConsumerProperties{BatchSize: 3}}
	stream.ApplyBatch(app, in, stream.Binding{Name: "join-out-0", Destination: "lines"}, join)
	stream.Consume(app, stream.Binding{Name: "in", Destination: "lines", Group: "g"}, func(_ context.Context, m stream.Message[string]) error {
		fmt.Println(m.Payload)
		close(done)
		return nil
	})
	serve(app, "words", done, "one", "two", "three")
	// Output: one two three
}

func ExampleSender() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	var placed stream.Sender[OrderPlaced] = stream.NewSender[OrderPlaced](app, stream.Binding{Name: "placed-out-0", Destination: "order.placed"})
	stream.Consume(app, stream.Binding{Name: "in", Destination: "order.placed", Group: "g"}, func(_ context.Context, m stream.Message[OrderPlaced]) error {
		fmt.Println(m.Payload.OrderID, m.CorrelationID)
		close(done)
		return nil
	})
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	m := stream.NewMessage(OrderPlaced{OrderID: "o-1"})
	m.CorrelationID = "o-1"
	switch err := placed.Send(ctx, m); {
	case err == nil: // the broker has it safely
	case errors.Is(err, stream.ErrUnknownOutcome): // send it again with the same id
	default: // it is certainly not stored
		fmt.Println(err)
	}
	<-done
	fmt.Println(app.Stop(ctx))
	// Output:
	// o-1 o-1
	// <nil>
}

func ExampleNewID() {
	first, second := stream.NewID(), stream.NewID()
	fmt.Println(len(first), first < second)
	// Output: 36 true
}

// lines is a converter of one's own: rows of text for text/csv, and JSON for all else.
type lines struct{ stream.JSON }

func (c lines) Encode(v any, contentType string) ([]byte, error) {
	row, ok := v.([]string)
	if !ok || contentType != "text/csv" {
		return c.JSON.Encode(v, contentType)
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	err := w.Write(row)
	w.Flush()
	return []byte(b.String()), err
}

func (c lines) Decode(data []byte, contentType string, v any) (err error) {
	row, ok := v.(*[]string)
	if !ok || contentType != "text/csv" {
		return c.JSON.Decode(data, contentType, v)
	}
	*row, err = csv.NewReader(strings.NewReader(string(data))).Read()
	return err
}

func ExampleConverter() {
	var c stream.Converter = lines{} // for stream.WithConverter
	data, err := c.Encode([]string{"o-1", "12, 50"}, "text/csv")
	fmt.Print(string(data))
	var row []string
	fmt.Println(err, c.Decode(data, "text/csv", &row), len(row))
	data, err = c.Encode([]string{"o-1"}, stream.ContentTypeJSON)
	fmt.Println(string(data), err)
	// Output:
	// o-1,"12, 50"
	// <nil> <nil> 2
	// ["o-1"] <nil>
}

func ExampleJSON() {
	data, err := stream.JSON{}.Encode("plain", stream.ContentTypeText) // strings of a text type are no JSON
	fmt.Println(string(data), err)
	data, err = stream.JSON{}.Encode("quoted", stream.ContentTypeJSON)
	fmt.Println(string(data), err)
	// Output:
	// plain <nil>
	// "quoted" <nil>
}

func ExampleOption() {
	opts := []stream.Option{stream.WithLogger(slog.New(slog.DiscardHandler)), stream.WithDrainTimeout(time.Minute)}
	if debugging := false; debugging {
		opts = append(opts, stream.WithLogger(slog.Default()))
	}
	fmt.Println(len(stream.New(memory.New(memory.NewBroker()), opts...).Bindings()))
	// Output: 0
}

func ExampleRoute() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	c := stream.NewCatalog()
	stream.AddConsumer(c, "refund", func(_ context.Context, m stream.Message[string]) error {
		fmt.Println("refunding", m.Payload)
		close(done)
		return nil
	})
	stream.AddConsumer(c, "pay", func(context.Context, stream.Message[string]) error { return nil })
	stream.AddSupplier(c, "unpaid", func(context.Context) (*stream.Message[string], error) { return nil, nil })
	var route stream.Route = func(m stream.Raw) (string, error) {
		if strings.HasPrefix(string(m.Payload), `"-`) {
			return "refund", nil
		}
		return "pay", nil
	}
	properties := func(binding string) stream.Binding {
		if strings.HasSuffix(binding, "-out-0") {
			return stream.Binding{}
		}
		return stream.Binding{Destination: "bookings", Group: "g"}
	}
	if err := c.Bind(app, stream.FunctionRouter, properties, route); err != nil {
		fmt.Println(err)
		return
	}
	serve(app, "bookings", done, "-5 EUR")
	// Output: refunding -5 EUR
}

func ExampleQueueProperties() {
	in := stream.Binding{Name: "placed-in-0", Destination: "order.placed", Group: "payment"}
	in.Consumer.AutoBindDLQ = true
	toTheQueue := ""
	in.Consumer.Queue = stream.QueueProperties{
		Quorum:    stream.Quorum{Enabled: true, DeliveryLimit: 10},
		MaxLength: 100_000, OverflowBehavior: "reject-publish",
		// A dead letter comes back after an hour.
		DLQ: stream.DeadLetterQueueProperties{
			Quorum: stream.Quorum{Enabled: true}, TTL: time.Hour, DeadLetterExchange: &toTheQueue, DeadLetterRoutingKey: "order.placed.payment",
		},
	}
	out := stream.Binding{Name: "placed-out-0", Destination: "order.placed"}
	out.Producer.AlternateExchange = stream.AlternateExchange{Name: "unrouted", Queue: "unrouted"}

	app := stream.New(memory.New(memory.NewBroker()))
	stream.Consume(app, in, func(context.Context, stream.Message[string]) error { return nil })
	app.Bind(out)
	for _, info := range app.Bindings() {
		fmt.Printf("%s %t %q\n", info.Binding.Name, info.Binding.Consumer.Queue.Quorum.Enabled, info.Binding.Producer.AlternateExchange.Name)
	}
	// Output:
	// placed-in-0 true ""
	// placed-out-0 false "unrouted"
}

func ExampleSwitch() {
	out := stream.ProducerProperties{Mandatory: stream.Off}
	fmt.Println(out.Mandatory.Or(true), out.AutoStartup.Or(true)) // AutoStartup was left at its default
	// Output: false true
}

func ExampleAckMode() {
	for _, mode := range []stream.AckMode{stream.AckAuto, stream.AckManual, stream.AckNone} {
		in := stream.Binding{Name: "in", Destination: "d", Group: "g", Consumer: stream.ConsumerProperties{Acknowledge: mode, BatchSize: 10}}
		app := stream.New(memory.New(memory.NewBroker()))
		stream.ConsumeBatch(app, in, func(context.Context, []stream.Message[string]) error { return nil })
		ctx := context.Background()
		fmt.Println(app.Start(ctx), app.Stop(ctx))
	}
	// Output:
	// <nil> <nil>
	// stream: binding "in": AckManual is not for batches <nil>
	// <nil> <nil>
}

func ExamplePanicError() {
	app, done := stream.New(memory.New(memory.NewBroker()), stream.WithLogger(slog.New(slog.DiscardHandler))), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "d", Group: "g", Consumer: stream.ConsumerProperties{MaxAttempts: 1}}
	in.Consumer.ErrorHandler = func(_ context.Context, _ stream.Raw, err error) error {
		var panicked *stream.PanicError
		fmt.Println(errors.As(err, &panicked), panicked.Value, len(panicked.Stack) > 0)
		close(done)
		return nil // settled: this takes the place of dead-lettering
	}
	stream.Consume(app, in, func(context.Context, stream.Message[string]) error { panic("oh") })
	serve(app, "d", done, "x")
	// Output: true oh true
}

func ExampleBindingInfo() {
	app := stream.New(memory.New(memory.NewBroker()))
	stream.Consume(app, stream.Binding{Name: "in", Destination: "a, b", Group: "g"}, func(context.Context, stream.Message[string]) error { return nil })
	app.Bind(stream.Binding{Name: "out", Destination: "c"})
	ctx := context.Background()
	if err := errors.Join(app.Start(ctx), app.WaitReady(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	states := map[stream.State]int{}
	count := func(all []stream.Health) {
		for _, h := range all {
			states[h.State]++
		}
	}
	show := func(info stream.BindingInfo) {
		fmt.Println(info.Binding.Name, "input:", info.Input, "running:", info.Running)
		count(info.Health) // of each destination and partition
	}
	for _, info := range app.Bindings() {
		show(info)
	}
	fmt.Println(states[stream.StateUp], app.Stop(ctx))
	// Output:
	// in input: true running: true
	// out input: false running: true
	// 3 <nil>
}

func ExamplePublishFunc() {
	sent := 0
	counting := stream.Instrumentation{
		Publish: func(_ stream.System, _ stream.Binding, next stream.PublishFunc) stream.PublishFunc {
			return func(ctx context.Context, ms []stream.Raw) []error {
				sent += len(ms)
				return next(ctx, ms)
			}
		},
		PublishPacked: func(_ stream.System, _ stream.Binding, next stream.PublishFunc) stream.PackedFunc {
			return func(ctx context.Context, m stream.Raw, parts []context.Context) error {
				sent += len(parts)
				return next(ctx, []stream.Raw{m})[0]
			}
		},
	}
	app := stream.New(memory.New(memory.NewBroker()), stream.WithInstrumentation(counting))
	app.Bind(stream.Binding{Name: "out", Destination: "d", Producer: stream.ProducerProperties{Mandatory: stream.Off}})
	done := make(chan struct{})
	close(done)
	serve(app, "out", done, "a", "b")
	fmt.Println(sent)
	// Output: 2
}

// How a binder's tests see what becomes of a delivery, without an App.
func ExampleNewReceiver() {
	quiet := slog.New(slog.DiscardHandler)
	b := stream.Binding{Name: "in", Consumer: stream.ConsumerProperties{Concurrency: 1, Prefetch: 1, BatchSize: 1}}
	var one stream.Handler = func(_ context.Context, m stream.Raw) stream.Outcome {
		if len(m.Payload) == 0 {
			return stream.Outcome{Action: stream.ActionReject, Err: errors.New("it is empty")}
		}
		return stream.Outcome{Action: stream.ActionAccept}
	}
	r := stream.NewReceiver(b, one, nil, quiet)
	told := told{make(chan string)}
	for _, payload := range []string{"x", ""} {
		if r.Take(stream.Delivered{Message: stream.Raw{Payload: []byte(payload)}, Settler: told}, nil) {
			fmt.Println(<-told.verbs)
		}
	}
	r.Close(true)

	var all stream.BatchHandler = func(_ context.Context, ms []stream.Raw) []stream.Outcome {
		outs := make([]stream.Outcome, len(ms))
		for i := range outs {
			outs[i].Action = stream.ActionRequeue
		}
		return outs
	}
	r = stream.NewReceiver(b, nil, all, quiet)
	if r.Take(stream.Delivered{Settler: told}, nil) {
		fmt.Println(<-told.verbs)
	}
	r.Close(true)
	// Output:
	// ack
	// reject
	// requeue
}

// told is a Settler that tells.
type told struct{ verbs chan string }

func (s told) Ack() error     { s.verbs <- "ack"; return nil }
func (s told) Requeue() error { s.verbs <- "requeue"; return nil }
func (s told) Reject() error  { s.verbs <- "reject"; return nil }

func (told) DeadLetter(stream.Raw, error) error                   { return stream.ErrNoDeadLetters }
func (told) Retry(stream.Raw, time.Duration, time.Duration) error { return io.EOF }

func ExampleAction() {
	app, done := stream.New(memory.New(memory.NewBroker()), stream.WithLogger(slog.New(slog.DiscardHandler)), stream.WithInstrumentation(stream.Instrumentation{
		Settled: func(_ context.Context, _ stream.System, _ stream.Binding, m stream.Raw, out stream.Outcome, _ time.Time, _ error) {
			why := map[stream.Action]string{stream.ActionAccept: "it is done with", stream.ActionDeadLetter: "it is kept for people"}
			fmt.Println(string(m.Payload), out.Action, why[out.Action])
		},
	})), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "d", Group: "g", Consumer: stream.ConsumerProperties{AutoBindDLQ: true}}
	stream.Consume(app, in, func(_ context.Context, m stream.Message[string]) error {
		if m.Payload == "bad" {
			return stream.Reject(errors.New("never"))
		}
		close(done)
		return nil
	})
	serve(app, "d", done, "bad", "good")
	// Output:
	// "bad" dead-letter it is kept for people
	// "good" accept it is done with
}
