package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
)

// Two services of one process share a broker, each with a binder of its own.
func ExampleBroker() {
	ctx := context.Background()
	var broker *memory.Broker = memory.NewBroker()
	connect := func() *memory.Binder { return memory.New(broker) }

	payment, done := stream.New(connect()), make(chan struct{})
	stream.Consume(payment, stream.Binding{Name: "placed-in-0", Destination: "order.placed", Group: "payment"},
		func(_ context.Context, m stream.Message[string]) error {
			fmt.Println("paying for", m.Payload)
			close(done)
			return nil
		})
	order := stream.New(connect())
	placed := stream.NewSender[string](order, stream.Binding{Name: "placed-out-0", Destination: "order.placed"})

	if err := errors.Join(payment.Start(ctx), order.Start(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(placed.Send(ctx, stream.NewMessage("o-1")))
	<-done
	fmt.Println(errors.Join(order.Stop(ctx), payment.Stop(ctx)))
	// Unordered output:
	// <nil>
	// paying for o-1
	// <nil>
}
