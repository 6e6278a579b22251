package rabbit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

func ExampleNew() {
	binder, err := rabbit.New(rabbit.Config{
		Addresses:      []string{"amqp://guest:guest@broker-1:5672/", "amqp://guest:guest@broker-2:5672/"}, // tried in turn
		ConnectionName: "payment",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := stream.New(binder)
	fmt.Println(binder.Describe().Name, len(app.Bindings()))
	// Output: rabbitmq 0
}

// What a binding declares may be changed before it is.
func ExampleTopology() {
	audited := func(b stream.Binding, t *rabbit.Topology) {
		for i := range t.Queues {
			t.Queues[i].Args["x-expires"] = int32((24 * time.Hour).Milliseconds())
		}
		t.Exchanges = append(t.Exchanges, rabbit.Exchange{Name: "audit", Kind: "fanout", Durable: true})
		t.Queues = append(t.Queues, rabbit.Queue{Name: "audit", Durable: true})
		t.Bindings = append(t.Bindings, rabbit.QueueBinding{Queue: "audit", Exchange: b.Destination, Key: "#"})
	}
	cfg := rabbit.Config{Addresses: []string{"amqp://127.0.0.1/"}, Customize: audited}

	t := rabbit.Topology{Queues: []rabbit.Queue{{Name: "orders.payment", Args: map[string]any{}}}}
	cfg.Customize(stream.Binding{Destination: "orders"}, &t)
	fmt.Println(t.Queues[0].Name, t.Queues[0].Args["x-expires"])
	fmt.Println(t.Bindings[0].Exchange, "to", t.Bindings[0].Queue)
	// Output:
	// orders.payment 86400000
	// orders to audit
}

// A service starts without its broker, and goes on when that is there.
func ExampleBinder() {
	silent := slog.New(slog.DiscardHandler)
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{"amqp://127.0.0.1:1/"}, Logger: silent})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := stream.New(binder, stream.WithLogger(silent))
	placed := stream.NewSender[string](app, stream.Binding{Name: "out", Destination: "order.placed"})
	ctx := context.Background()
	fmt.Println(app.Start(ctx))
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	fmt.Println(errors.Is(placed.Send(short, stream.NewMessage("o-1")), stream.ErrUnavailable)) // it is certainly not stored
	fmt.Println(app.Stop(ctx))
	// Output:
	// <nil>
	// true
	// <nil>
}
