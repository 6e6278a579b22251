//go:build interop

package interop_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/config"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// service is the Go side of one test: register, then start.
type service struct {
	*stream.App
	run string
}

func newService(t *testing.T, s *spring, opts ...stream.Option) service {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{Addresses: []string{s.url}, ConnectionName: t.Name(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	opts = append([]stream.Option{stream.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	return service{stream.New(b, opts...), s.run}
}

// binding is a text binding of the destination that the application knows by the same name.
func (g service) binding(name string) stream.Binding {
	return stream.Binding{Name: name, Destination: g.run + "." + name, Group: "go", ContentType: stream.ContentTypeText}
}

// out is the binding that sends to the destination.
func (g service) out(name string) stream.Binding {
	b := g.binding(name)
	b.Name += "-out"
	return b
}

func (g service) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := g.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := g.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	for _, h := range g.Health() {
		if h.Detail != "" {
			t.Errorf("binding %s: %s", h.Binding, h.Detail) // declared otherwise, for example
		}
	}
}

func send[T any](t *testing.T, g service, binding string, m stream.Message[T]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := stream.Send(ctx, g.App, binding, m); err != nil {
		t.Fatal(err)
	}
}

// inbox collects what a consumer gets.
type inbox[T any] chan stream.Message[T]

func newInbox[T any]() inbox[T] { return make(inbox[T], 1000) }

func (i inbox[T]) take(_ context.Context, m stream.Message[T]) error {
	i <- m
	return nil
}

func (i inbox[T]) next(t *testing.T) stream.Message[T] {
	t.Helper()
	select {
	case m := <-i:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
	}
	return stream.Message[T]{}
}

// springConfig is a file of the application's own configuration, read by the Go side.
func springConfig(t *testing.T, s *spring, file string) *config.Config {
	t.Helper()
	yaml, err := os.ReadFile("spring/src/main/resources/" + file + ".yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(yaml, []string{"run=" + s.run})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
