package stream_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
)

func ExampleApp_Control() {
	app := stream.New(memory.New(memory.NewBroker()), stream.WithDrainTimeout(time.Second))
	stream.Consume(app, stream.Binding{Name: "in", Destination: "d", Group: "g"}, func(context.Context, stream.Message[string]) error { return nil })
	ctx := context.Background()
	if err := errors.Join(app.Start(ctx), app.WaitReady(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range []stream.Command{stream.CommandPause, stream.CommandResume, stream.CommandStop, stream.CommandStart} {
		if err := app.Control(ctx, "in", c); err != nil {
			fmt.Println(err)
		}
		b := app.Bindings()[0]
		fmt.Println(c, "running:", b.Running, "paused:", b.Paused)
	}
	fmt.Println(errors.Is(app.Control(ctx, "out", stream.CommandStop), stream.ErrNoBinding))
	fmt.Println(app.Ready(ctx), len(app.Health()))
	if err := app.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// PAUSED running: true paused: true
	// RESUMED running: true paused: false
	// STOPPED running: false paused: false
	// STARTED running: true paused: false
	// true
	// <nil> 1
}

func ExampleSend() {
	app := stream.New(memory.New(memory.NewBroker()))
	app.Bind(stream.Binding{Name: "orders", Destination: "order.placed"})
	ctx := context.Background()
	fmt.Println(errors.Is(stream.Send(ctx, app, "orders", stream.NewMessage("x")), stream.ErrNotStarted))
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Nobody has bound the destination: a message would be lost, so it is an error.
	fmt.Println(errors.Is(stream.Send(ctx, app, "orders", stream.NewMessage("x")), stream.ErrReturned))
	if err := app.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// true
	// true
}

func ExampleWithDynamicDestinations() {
	app, done := stream.New(memory.New(memory.NewBroker()), stream.WithDynamicDestinations(stream.Binding{ContentType: stream.ContentTypeText}, "eu", "us")), make(chan struct{})
	stream.Consume(app, stream.Binding{Name: "in", Destination: "eu", Group: "g"}, func(ctx context.Context, m stream.Message[string]) error {
		fmt.Println(m.Payload, m.ContentType)
		fmt.Println(stream.Send(ctx, app, "mars", m))
		close(done)
		return nil
	})
	serve(app, "eu", done, "x")
	// Output:
	// x text/plain
	// stream: "mars" is neither an output nor an allowed dynamic destination
}

func ExampleWithBinder() {
	here, there := memory.NewBroker(), memory.NewBroker()
	app, done := stream.New(memory.New(here), stream.WithBinder("there", memory.New(there))), make(chan struct{})
	stream.Consume(app, stream.Binding{Name: "in", Destination: "d", Group: "g", Binder: "there"}, func(_ context.Context, m stream.Message[string]) error {
		fmt.Println("from there:", m.Payload)
		close(done)
		return nil
	})
	app.Bind(stream.Binding{Name: "out", Destination: "d", Binder: "there"})
	serve(app, "out", done, "x")
	// Output: from there: x
}

func ExampleFinally() {
	half := func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
		r := stream.WithPayload(m, m.Payload/2)
		return &r, nil
	}
	show := func(_ context.Context, m stream.Message[int]) error {
		fmt.Println(m.Payload)
		return nil
	}
	forty := func(context.Context) (*stream.Message[int], error) {
		m := stream.NewMessage(40)
		return &m, nil
	}
	fmt.Println(stream.Finally(half, show)(context.Background(), stream.NewMessage(42)))
	m, err := stream.Through(forty, half)(context.Background())
	fmt.Println(m.Payload, err)
	// Output:
	// 21
	// <nil>
	// 20 <nil>
}

func ExampleBatchErrors() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "rows", Group: "g", Consumer: stream.ConsumerProperties{
		BatchSize: 3, MaxAttempts: 1, AutoBindDLQ: true,
	}}
	stream.ConsumeBatch(app, in, func(_ context.Context, ms []stream.Message[string]) error {
		errs := make(stream.BatchErrors, len(ms))
		for i, m := range ms {
			if m.Payload == "bad" {
				errs[i] = errors.New("it is bad") // the others are settled
			}
		}
		return errs
	})
	letters := stream.Binding{Name: "letters", Destination: "rows", Group: "g.dlq"}
	letters.Consumer.Queue.BindQueue = stream.Off // the queue is there already
	stream.Consume(app, letters, func(_ context.Context, m stream.Message[string]) error {
		fmt.Println(m.Payload, "because", m.Headers.String(stream.HeaderExceptionMessage))
		close(done)
		return nil
	})
	serve(app, "rows", done, "a", "bad", "c")
	// Output: bad because it is bad
}

func ExampleRequeue() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	stream.Consume(app, stream.Binding{Name: "in", Destination: "d", Group: "g"}, func(_ context.Context, m stream.Message[string]) error {
		if !m.Delivery.Redelivered {
			return stream.Requeue(errors.New("somebody else shall do it"))
		}
		fmt.Println("again", m.Payload)
		close(done)
		return stream.Drop(errors.New("of no use any more")) // settled all the same
	})
	serve(app, "d", done, "x")
	// Output: again x
}

func ExampleHeaders() {
	m := stream.NewMessage("x")
	m.Headers["tries"], m.Headers["region"] = int32(3), "eu"
	m.CorrelationID = "c-1"
	n, ok := m.Headers.Int("tries")
	fmt.Println(m.Headers.String("region"), n, ok)
	fmt.Println(m.Header("amqp_correlationId"), m.Header("nothing")) // by Spring's names, too
	copied := m.Headers.Clone()
	delete(copied, "region")
	fmt.Println(len(m.Headers), len(copied))
	// Output:
	// eu 3 true
	// c-1 <nil>
	// 2 1
}

func ExampleWithInstrumentation() {
	counted := stream.Instrumentation{
		Settled: func(_ context.Context, s stream.System, b stream.Binding, m stream.Raw, out stream.Outcome, _ time.Time, _ error) {
			fmt.Println(s.Name, b.Name, m.ID, out.Action == stream.ActionAccept)
		},
	}
	app, done := stream.New(memory.New(memory.NewBroker()), stream.WithInstrumentation(counted)), make(chan struct{})
	stream.Consume(app, stream.Binding{Name: "in", Destination: "d", Group: "g"}, func(context.Context, stream.Message[string]) error {
		close(done)
		return nil
	})
	app.Bind(stream.Binding{Name: "out", Destination: "d"})
	ctx := context.Background()
	m := stream.NewMessage("x")
	m.ID = "m-1"
	if err := errors.Join(app.Start(ctx), stream.Send(ctx, app, "out", m)); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	if err := app.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: memory in m-1 true
}
