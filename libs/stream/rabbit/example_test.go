package rabbit_test

import (
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

func ExampleNew() {
	binder, err := rabbit.New(rabbit.Config{
		Addresses:      []string{"amqp://guest:guest@broker-1:5672/", "amqp://guest:guest@broker-2:5672/"}, // tried in turn
		ConnectionName: "payment",
		// What a binding declares may be changed before it is.
		Customize: func(b stream.Binding, t *rabbit.Topology) {
			for i := range t.Queues {
				t.Queues[i].Args["x-expires"] = int32((24 * time.Hour).Milliseconds())
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := stream.New(binder)
	fmt.Println(binder.Describe().Name, len(app.Bindings()))
	// Output: rabbitmq 0
}
