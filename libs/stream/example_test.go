package stream_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
)

type OrderPlaced struct{ OrderID string }

func Example() {
	app := stream.New(memory.New(memory.NewBroker())) // in a service: rabbit.New
	done := make(chan struct{})
	stream.Consume(app, stream.Binding{
		Name: "placed-in-0", Destination: "order.placed", Group: "payment",
		Consumer: stream.ConsumerProperties{AutoBindDLQ: true},
	}, func(_ context.Context, m stream.Message[OrderPlaced]) error {
		fmt.Println("paying for", m.Payload.OrderID)
		close(done)
		return nil
	})
	placed := stream.NewSender[OrderPlaced](app, stream.Binding{Name: "placed-out-0", Destination: "order.placed"})

	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if err := placed.Send(ctx, stream.NewMessage(OrderPlaced{OrderID: "o-1"})); err != nil {
		fmt.Println(err)
	}
	<-done
	if err := app.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: paying for o-1
}

// serve starts an App, sends it strings, and stops it when done is closed.
func serve(app *stream.App, destination string, done <-chan struct{}, payloads ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	var ms []stream.Message[string]
	for _, p := range payloads {
		ms = append(ms, stream.NewMessage(p))
	}
	if err := errors.Join(stream.SendBatch(ctx, app, destination, ms)...); err != nil {
		fmt.Println(err)
	}
	select {
	case <-done:
	case <-ctx.Done():
		fmt.Println(ctx.Err())
	}
	if err := app.Stop(ctx); err != nil {
		fmt.Println(err)
	}
}

func ExampleConsumeBatch() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "lines", Group: "g", Consumer: stream.ConsumerProperties{BatchSize: 3}}
	stream.ConsumeBatch(app, in, func(_ context.Context, ms []stream.Message[string]) error {
		for _, m := range ms {
			fmt.Println(m.Payload)
		}
		close(done)
		return nil // stream.BatchErrors would say which of them failed
	})
	serve(app, "lines", done, "a", "b", "c")
	// Output:
	// a
	// b
	// c
}

func ExampleApply() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	length := func(_ context.Context, m stream.Message[string]) (*stream.Message[int], error) {
		r := stream.NewMessage(len(m.Payload))
		return &r, nil
	}
	stream.Apply(app, stream.Binding{Name: "length-in-0", Destination: "words", Group: "g"}, stream.Binding{Name: "length-out-0", Destination: "lengths"}, length)
	stream.Consume(app, stream.Binding{Name: "print-in-0", Destination: "lengths", Group: "g"}, func(_ context.Context, m stream.Message[int]) error {
		fmt.Println(m.Payload)
		close(done)
		return nil
	})
	serve(app, "words", done, "warren")
	// Output: 6
}

func ExampleSupply() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	n := 0
	out := stream.Binding{Name: "tick-out-0", Destination: "ticks", Producer: stream.ProducerProperties{PollInterval: time.Millisecond}}
	stream.Supply(app, out, func(context.Context) (*stream.Message[int], error) {
		if n++; n > 1 {
			return nil, nil // nothing to send this time
		}
		m := stream.NewMessage(n)
		return &m, nil
	})
	stream.Consume(app, stream.Binding{Name: "print-in-0", Destination: "ticks", Group: "g"}, func(_ context.Context, m stream.Message[int]) error {
		fmt.Println("tick", m.Payload)
		close(done)
		return nil
	})
	serve(app, "ticks", done)
	// Output: tick 1
}

func ExampleCatalog() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	c := stream.NewCatalog()
	stream.AddFunction(c, "length", func(_ context.Context, m stream.Message[string]) (*stream.Message[int], error) {
		r := stream.NewMessage(len(m.Payload))
		return &r, nil
	})
	stream.AddConsumer(c, "print", func(_ context.Context, m stream.Message[int]) error {
		fmt.Println(m.Payload)
		close(done)
		return nil
	})
	properties := func(binding string) stream.Binding { // in a service: config.Config.Binding
		fmt.Println("binding", binding)
		return stream.Binding{Destination: "words", Group: "g"}
	}
	if err := c.Bind(app, "length|print", properties, nil); err != nil {
		fmt.Println(err)
		return
	}
	serve(app, "words", done, "warren")
	// Output:
	// binding lengthprint-in-0
	// binding lengthprint-out-0
	// 6
}

func ExampleDelayedRetry() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "calls", Group: "g", Consumer: stream.ConsumerProperties{
		MaxAttempts:  1,
		DelayedRetry: stream.DelayedRetry{Intervals: []time.Duration{time.Millisecond, 2 * time.Millisecond}, Jitter: 0.1, MaxAge: time.Hour},
	}}
	stream.Consume(app, in, func(_ context.Context, m stream.Message[string]) error {
		fmt.Println("retries:", m.Delivery.Retries)
		if m.Delivery.Retries < 2 {
			return errors.New("not yet") // nothing blocks meanwhile
		}
		close(done)
		return nil
	})
	serve(app, "calls", done, "x")
	// Output:
	// retries: 0
	// retries: 1
	// retries: 2
}

func ExampleDelivery_Ack() {
	app, done := stream.New(memory.New(memory.NewBroker())), make(chan struct{})
	in := stream.Binding{Name: "in", Destination: "jobs", Group: "g", Consumer: stream.ConsumerProperties{Acknowledge: stream.AckManual}}
	stream.Consume(app, in, func(_ context.Context, m stream.Message[string]) error {
		go func() { // the handler is long gone when the job is done
			defer close(done)
			fmt.Println(m.Payload, m.Delivery.Ack())
		}()
		return nil
	})
	serve(app, "jobs", done, "job")
	// Output: job <nil>
}

func ExampleCompose() {
	half := func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
		r := stream.WithPayload(m, m.Payload/2)
		return &r, nil
	}
	text := func(_ context.Context, m stream.Message[int]) (*stream.Message[string], error) {
		r := stream.WithPayload(m, fmt.Sprint("half is ", m.Payload))
		return &r, nil
	}
	r, err := stream.Compose(half, text)(context.Background(), stream.NewMessage(42))
	fmt.Println(r.Payload, err)
	// Output: half is 21 <nil>
}

func ExampleReject() {
	handler := func(_ context.Context, m stream.Message[int]) error {
		if m.Payload < 0 {
			return stream.Reject(errors.New("it will never be positive")) // to the dead-letter queue, without another attempt
		}
		return nil
	}
	fmt.Println(handler(context.Background(), stream.NewMessage(-1)))
	// Output: it will never be positive
}

func ExamplePartition() {
	i, err := stream.Partition("customer-7", 4) // where Spring puts it, too
	fmt.Println(i, err)
	// Output: 0 <nil>
}
