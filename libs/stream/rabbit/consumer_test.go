package rabbit_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// member is an App with one consumer, named in, that says who it is for every message.
func member(t *testing.T, url, name, dest string, got chan<- string, change func(*stream.Binding)) *stream.App {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{Addresses: []string{url}, ReconnectMin: time.Millisecond, ReconnectMax: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a := stream.New(b, stream.WithLogger(slog.New(slog.DiscardHandler)))
	in := stream.Binding{Name: "in", Destination: dest, Group: "g"}
	change(&in)
	stream.Consume(a, in, func(_ context.Context, m stream.Message[string]) error {
		got <- name + " " + m.Payload + " " + m.Delivery.ConsumerTag
		return nil
	})
	a.Bind(stream.Binding{Name: "out", Destination: dest, Producer: stream.ProducerProperties{Mandatory: stream.Off}})
	return a
}

func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case s := <-got:
		if s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	case <-time.After(patience):
		t.Fatalf("%q did not come", want)
	}
}

// awaitState waits for a state of binding in, with that in its detail.
func awaitState(t *testing.T, a *stream.App, want stream.State, detail string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) { //nolint:forbidigo // health is asked, not awaited
		for _, h := range a.Health() {
			if h.Binding == "in" && h.State == want && strings.Contains(h.Detail, detail) {
				return
			}
		}
	}
	t.Fatalf("it does not become %s: %+v", want, a.Health())
}

func TestConsumerPriority(t *testing.T) {
	url, dest, got := brokerURL(t), "t."+stream.NewID(), make(chan string, 10)
	begin(t, member(t, url, "last", dest, got, func(in *stream.Binding) { in.Consumer.ConsumerPriority = -5 }))
	first := member(t, url, "first", dest, got, func(in *stream.Binding) { in.Consumer.ConsumerTagPrefix = "mine" })
	begin(t, first)
	for range 4 {
		if err := stream.Send(t.Context(), first, "out", stream.NewMessage("x")); err != nil {
			t.Fatal(err)
		}
		expect(t, got, "first x mine#1")
	}
}

func TestExclusiveConsumer(t *testing.T) {
	url, dest, got := brokerURL(t), "t."+stream.NewID(), make(chan string, 10)
	exclusive := func(in *stream.Binding) { in.Consumer.Exclusive = true }
	one, two := member(t, url, "one", dest, got, exclusive), member(t, url, "two", dest, got, exclusive)
	begin(t, one)
	if err := two.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Stop(context.Background()) })
	awaitState(t, two, stream.StateStarting, "403")
	if err := one.Control(t.Context(), "in", stream.CommandStop); err != nil {
		t.Fatal(err)
	}
	awaitState(t, two, stream.StateUp, "") // it goes on trying
}

func TestMissingQueues(t *testing.T) {
	url, dest, got := brokerURL(t), "t."+stream.NewID(), make(chan string, 10)
	unbound := func(fatal bool) func(*stream.Binding) {
		return func(in *stream.Binding) {
			in.Consumer.Queue.BindQueue, in.Consumer.MissingQueuesFatal = stream.Off, fatal
		}
	}
	fatal, patient := member(t, url, "fatal", dest, got, unbound(true)), member(t, url, "patient", dest, got, unbound(false))
	for _, a := range []*stream.App{fatal, patient} {
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Stop(context.Background()) })
	}
	awaitState(t, fatal, stream.StateStopped, "404")
	awaitState(t, patient, stream.StateStarting, "404")
	if _, err := admin(t, url).QueueDeclare(dest+".g", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	awaitState(t, patient, stream.StateUp, "")
}

// With a single active consumer for each partition, members share partitions among them by themselves: who is left takes all.
func TestPartitionsMove(t *testing.T) {
	url, dest, got := brokerURL(t), "t."+stream.NewID(), make(chan string, 10)
	all := func(in *stream.Binding) {
		in.Consumer.Partitioned, in.Consumer.InstanceIndexes, in.Consumer.Queue.SingleActiveConsumer = true, []int{0, 1}, true
		in.Consumer.ConsumerTagPrefix = "c"
	}
	one, two := member(t, url, "one", dest, got, all), member(t, url, "two", dest, got, all)
	out := stream.Binding{Name: "parts", Destination: dest}
	out.Producer.PartitionCount, out.Producer.PartitionKey = 2, func(m stream.Raw) any { return m.CorrelationID }
	parts := stream.NewSender[string](two, out)
	begin(t, one)
	begin(t, two)
	send := func() {
		t.Helper()
		for _, key := range []string{"a", "b"} {
			m := stream.NewMessage(key)
			m.CorrelationID = key
			if err := parts.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	from := func(name string) {
		t.Helper()
		for range 2 {
			select {
			case s := <-got:
				if !strings.HasPrefix(s, name+" ") {
					t.Errorf("%q, want all from %s", s, name)
				}
			case <-time.After(patience):
				t.Fatal("no message")
			}
		}
	}
	send()
	from("one") // it came first
	if err := one.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	send()
	from("two")
}
