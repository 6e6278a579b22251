package rabbit_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// hopeless starts an App whose group g fails every message, without a dead-letter queue of its own.
func hopeless(t *testing.T, url string) (*stream.App, string, chan struct{}) {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{Addresses: []string{url}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a := stream.New(b, stream.WithLogger(slog.New(slog.DiscardHandler)))
	dest := "t." + stream.NewID()
	failed := make(chan struct{}, 10)
	in := stream.Binding{Name: "in", Destination: dest, Group: "g", Consumer: stream.ConsumerProperties{MaxAttempts: 1}}
	in.Consumer.Queue.Prefix = dest + "." // a dead-letter exchange that no other test has
	stream.Consume(a, in, func(context.Context, stream.Message[int]) error {
		failed <- struct{}{}
		return errors.New("no")
	})
	out := stream.Binding{Name: "out", Destination: dest}
	out.Producer.Queue.Prefix = in.Consumer.Queue.Prefix
	a.Bind(out)
	return a, dest, failed
}

func begin(t *testing.T, a *stream.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := errors.Join(a.Start(ctx), a.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Somebody else has declared the dead-letter exchange, and bound a queue by the name of ours: messages go there with their reason.
func TestADeadLetterExchangeOfSomebodyElse(t *testing.T) {
	url := brokerURL(t)
	a, dest, _ := hopeless(t, url)
	ch := admin(t, url)
	dlx, dead, queue := dest+".DLX", dest+".dead", dest+"."+dest+".g"
	if err := ch.ExchangeDeclare(dlx, "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(dead, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(dead, queue, dlx, false, nil); err != nil {
		t.Fatal(err)
	}
	letters, err := ch.Consume(dead, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, a)
	if err := stream.Send(t.Context(), a, "out", stream.NewMessage(1)); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-letters:
		if d.Headers[stream.HeaderExceptionMessage] != "no" || d.RoutingKey != queue {
			t.Errorf("%+v", d)
		}
	case <-time.After(patience):
		t.Fatal("no dead letter")
	}
}

// Nobody has: a message that fails is rejected, and the broker drops it.
func TestNoDeadLetterExchange(t *testing.T) {
	url := brokerURL(t)
	a, dest, failed := hopeless(t, url)
	begin(t, a)
	for range 2 {
		if err := stream.Send(t.Context(), a, "out", stream.NewMessage(1)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-failed:
		case <-time.After(patience):
			t.Fatal("no message")
		}
	}
	if err := a.Control(t.Context(), "in", stream.CommandStop); err != nil {
		t.Fatal(err)
	}
	if q, err := admin(t, url).QueueDeclarePassive(dest+"."+dest+".g", true, false, false, false, amqp.Table{}); err != nil || q.Messages != 0 {
		t.Errorf("%+v %v", q, err)
	}
}

// A broker in distress holds publishers up. They wait, with their deadlines, and go on when it is well again.
func TestABlockedBrokerHoldsPublishersUp(t *testing.T) {
	n := brokertest.Start(t)
	s := newService(t, n.URL())
	s.begin(t, true)
	s.send(t, 1)
	n.SetLimits(0, math.MaxInt64)
	short, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := 0; s.state("out") != stream.StateBlocked; i++ { // what is sent meanwhile may be written and not confirmed
		ctx, cancel := context.WithTimeout(short, 50*time.Millisecond)
		_ = stream.Send(ctx, s.App, "out", stream.NewMessage(-1))
		cancel()
		if short.Err() != nil {
			t.Fatal("the producer does not hear of the alarm")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := stream.Send(ctx, s.App, "out", stream.NewMessage(-2)); !errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrUnknownOutcome) {
		t.Errorf("it was not written: %v", err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("to wait is no illness: %v", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- stream.Send(t.Context(), s.App, "out", stream.NewMessage(3)) }()
	n.SetLimits(0, 0)
	select {
	case err := <-sent:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the publisher is still held up")
	}
	s.expect(t, 3)
}

func (s *service) state(binding string) stream.State {
	for _, h := range s.Health() {
		if h.Binding == binding {
			return h.State
		}
	}
	return ""
}
