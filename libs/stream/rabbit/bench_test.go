package rabbit_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

func BenchmarkSend(b *testing.B) {
	url := brokerURL(b)
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{url}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	app := stream.New(binder)
	dest := "t." + stream.NewID()
	out := stream.Binding{Name: "out", Destination: dest}
	out.Producer.RequiredGroups = []string{"g"}
	app.Bind(out)
	if err := app.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer app.Stop(context.Background())
	if err := app.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := stream.Send(b.Context(), app, "out", stream.NewMessage(1)); err != nil {
				b.Error(err)
			}
		}
	})
}
