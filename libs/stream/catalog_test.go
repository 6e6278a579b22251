package stream_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
)

// functions is a catalog whose consumer writes to the channel.
func functions() (*stream.Catalog, chan string) {
	c := stream.NewCatalog()
	got := make(chan string, 10)
	stream.AddFunction(c, "upper", func(_ context.Context, m stream.Message[string]) (*stream.Message[string], error) {
		r := stream.NewMessage(strings.ToUpper(m.Payload))
		return &r, nil
	})
	stream.AddFunction(c, "length", func(_ context.Context, m stream.Message[string]) (*stream.Message[int], error) {
		r := stream.NewMessage(len(m.Payload))
		return &r, nil
	})
	stream.AddConsumer(c, "print", func(_ context.Context, m stream.Message[any]) error {
		got <- fmt.Sprint(m.Payload)
		return nil
	})
	stream.AddSupplier(c, "tick", func(context.Context) (*stream.Message[string], error) {
		m := stream.NewMessage("tick")
		return &m, nil
	})
	return c, got
}

func TestCatalogComposes(t *testing.T) {
	c, got := functions()
	a := stream.New(memory.New(memory.NewBroker()))
	properties := func(name string) stream.Binding {
		switch b := (stream.Binding{Group: "g"}); name {
		case "tickupper-out-0":
			b.Destination = "ticks"
			b.Producer.PollInterval = time.Millisecond
			return b
		case "lengthprint-in-0":
			b.Destination = "ticks"
			return b
		default:
			return b
		}
	}
	if err := c.Bind(a, "tick|upper; length | print", properties, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer a.Stop(context.Background())
	if s := next(t, got); s != "4" {
		t.Errorf("got %s", s)
	}
}

func next(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case s := <-got:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

func TestFunctionRouter(t *testing.T) {
	for name, route := range map[string]stream.Route{
		"by header": nil,
		"by rule": func(m stream.Raw) (string, error) {
			if m.Headers.String("kind") == "" {
				return "", fmt.Errorf("no kind")
			}
			return m.Headers.String("kind") + "|print", nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, got := functions()
			broker := memory.NewBroker()
			a := stream.New(memory.New(broker))
			err := c.Bind(a, stream.FunctionRouter, func(name string) stream.Binding {
				if strings.HasSuffix(name, "-out-0") {
					return stream.Binding{}
				}
				return stream.Binding{Destination: "in", Group: "g", Consumer: stream.ConsumerProperties{AutoBindDLQ: true}}
			}, route)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer a.Stop(context.Background())
			for _, kind := range []string{"upper", "length", "", "nobody"} {
				m := stream.NewMessage("abc")
				m.Headers["kind"], m.Headers[stream.HeaderFunction] = kind, kind+"|print"
				if err := stream.Send(t.Context(), a, "in", m); err != nil {
					t.Fatal(err)
				}
			}
			if x, y := next(t, got), next(t, got); x != "ABC" || y != "3" {
				t.Errorf("got %s %s", x, y)
			}
			for deadline := time.Now().Add(10 * time.Second); broker.Len("in.g.dlq") != 2; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d dead letters", broker.Len("in.g.dlq"))
				}
			}
		})
	}
}

func TestCatalogMistakes(t *testing.T) {
	for definition, want := range map[string]string{
		"": "no definition", "nobody": `no function "nobody"`, "print|upper": "nothing can flow into upper", "upper|tick": "nothing can flow into tick",
	} {
		c, _ := functions()
		err := c.Bind(stream.New(memory.New(memory.NewBroker())), definition, func(string) stream.Binding { return stream.Binding{} }, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", definition, err)
		}
	}
	c, _ := functions()
	stream.AddConsumer(c, "upper", func(context.Context, stream.Message[int]) error { return nil })
	if err := c.Bind(nil, "upper", nil, nil); err == nil {
		t.Error("one name twice")
	}
}
