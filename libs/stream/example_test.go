package stream_test

import (
	"context"
	"fmt"

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
