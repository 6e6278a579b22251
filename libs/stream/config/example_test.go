package config_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/config"
)

func Example() {
	c, err := config.Parse([]byte(`
spring.cloud.stream:
  bindings:
    placed-in-0:
      destination: order.placed
      group: payment
      consumer.max-attempts: 5
  rabbit.bindings.placed-in-0.consumer.auto-bind-dlq: true
`), []string{"SPRING_CLOUD_STREAM_BINDINGS_PLACED_IN_0_CONSUMER_CONCURRENCY=4"})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := c.Binding("placed-in-0")
	shown, _ := json.Marshal([]any{b.Destination, b.Group, b.Consumer.MaxAttempts, b.Consumer.Concurrency, b.Consumer.AutoBindDLQ})
	fmt.Println(string(shown))
	_, err = config.Parse([]byte("spring.cloud.stream.bindings.placed-in-0.consumer.max-atempts: 5"), nil)
	fmt.Println(err)
	// Output:
	// ["order.placed","payment",5,4,true]
	// config: spring.cloud.stream.bindings.placed-in-0.consumer.max-atempts: unknown key "max-atempts", the nearest is "maxAttempts"
}

// The whole of a service whose functions, bindings and broker are chosen by its configuration.
func ExampleConfig() {
	var c *config.Config
	c, err := config.Parse([]byte(`
spring:
  rabbitmq.addresses: broker-1:5672,broker-2:5672
  cloud:
    function.definition: upper|print
    stream.bindings.upperprint-in-0: {destination: words, group: g}
`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	functions := stream.NewCatalog()
	stream.AddFunction(functions, "upper", func(_ context.Context, m stream.Message[string]) (*stream.Message[string], error) {
		r := stream.WithPayload(m, strings.ToUpper(m.Payload))
		return &r, nil
	})
	stream.AddConsumer(functions, "print", func(context.Context, stream.Message[string]) error { return nil })

	app, err := c.NewApp(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := functions.Bind(app, c.Definition, c.Binding, c.Route); err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range app.Bindings() { // app.Start(ctx) comes next
		fmt.Println(b.Binding.Name, b.Binding.Destination, b.Binding.Group)
	}
	fmt.Println(c.Rabbit().Addresses[1])
	// Output:
	// upperprint-in-0 words g
	// amqp://guest:guest@broker-2:5672/%2F
}

func ExampleKeys() {
	notes := map[config.Key]bool{}
	for _, k := range config.Keys() {
		if k.Name == "prefetch" {
			notes[k] = true
		}
	}
	for k := range notes {
		fmt.Println(k.Block, k.Name, k.Note)
	}
	// Output: rabbit.consumer prefetch default 16, not 1
}
