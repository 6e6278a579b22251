package rabbit_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

const patience = 30 * time.Second

// service is an App on one destination with a consumer that collects.
type service struct {
	*stream.App
	dest string
	got  chan stream.Message[int]
}

func newService(t *testing.T, addresses ...string) *service {
	t.Helper()
	return newServiceOn(t, stream.Quorum{}, addresses...)
}

func newServiceOn(t *testing.T, quorum stream.Quorum, addresses ...string) *service {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{
		Addresses: addresses, ConnectionName: t.Name(), ReconnectMin: time.Millisecond, ReconnectMax: 50 * time.Millisecond,
		ConnectTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{App: stream.New(b, stream.WithLogger(slog.New(slog.DiscardHandler))), dest: "t." + stream.NewID(), got: make(chan stream.Message[int], 100_000)}
	in := stream.Binding{Name: "in", Destination: s.dest, Group: "g", Consumer: stream.ConsumerProperties{AutoBindDLQ: true, Concurrency: 2}}
	in.Consumer.Queue.Quorum = quorum
	stream.Consume(s.App, in, func(_ context.Context, m stream.Message[int]) error {
		s.got <- m
		return nil
	})
	out := stream.Binding{Name: "out", Destination: s.dest}
	out.Producer.RequiredGroups, out.Producer.AutoBindDLQ = []string{"g"}, true
	out.Producer.Queue.Quorum = quorum
	s.Bind(out)
	return s
}

func (s *service) begin(t *testing.T, ready bool) {
	t.Helper()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if ready {
		s.ready(t)
	}
}

func (s *service) ready(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func (s *service) send(t *testing.T, payload int) stream.Message[int] {
	t.Helper()
	m := stream.NewMessage(payload)
	if err := stream.Send(t.Context(), s.App, "out", m); err != nil {
		t.Fatal(err)
	}
	return m
}

// expect waits for a payload; others, duplicates of earlier ones, may come before it.
func (s *service) expect(t *testing.T, payload int) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case m := <-s.got:
			if m.Payload == payload {
				return
			}
		case <-deadline:
			t.Fatalf("message %d did not come", payload)
		}
	}
}

// admin returns a channel of an ordinary client, for doing things to the broker.
func admin(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestNothingIsLostWhenConnectionsDie(t *testing.T) {
	p, url := newProxy(t, brokerURL(t))
	s := newService(t, url)
	s.begin(t, true)
	s.underLoad(t, func() {
		for range 15 {
			time.Sleep(30 * time.Millisecond) // spread the cuts over the load
			p.cut()
			s.ready(t)
		}
	})
}

// underLoad sends from many goroutines while trouble happens, and wants every send to succeed and every message to come.
func (s *service) underLoad(t *testing.T, trouble func()) {
	t.Helper()
	const senders, each = 8, 250
	var wg sync.WaitGroup
	for w := range senders {
		wg.Go(func() {
			for i := range each {
				n := w*each + i
				ms := []stream.Message[int]{stream.NewMessage(n)}
				if i%10 == 0 { // some of them pipelined
					ms = append(ms, stream.NewMessage(senders*each+n))
				}
				for _, err := range stream.SendBatch(t.Context(), s.App, "out", ms) {
					if err != nil {
						t.Errorf("send %d: %v", n, err)
					}
				}
			}
		})
	}
	trouble()
	wg.Wait()
	total := senders*each + senders*each/10
	seen := map[int]string{}
	for deadline := time.After(patience); len(seen) < total; {
		select {
		case m := <-s.got:
			if m.Payload < 0 {
				continue // sent by the trouble maker
			}
			if id, dup := seen[m.Payload]; dup && id != m.ID {
				t.Fatalf("message %d has the ids %s and %s", m.Payload, id, m.ID)
			}
			seen[m.Payload] = m.ID
		case <-deadline:
			t.Fatalf("%d of %d messages came", len(seen), total)
		}
	}
}

func TestAConsumerOutlivesItsQueue(t *testing.T) {
	url := brokerURL(t)
	s := newService(t, url)
	s.begin(t, true)
	ch := admin(t, url)
	for i := range 3 {
		if _, err := ch.QueueDelete(s.dest+".g", false, false, false); err != nil {
			t.Fatal(err)
		}
		// Until the consumer has declared it again nobody takes the message.
		deadline := time.Now().Add(patience)
		for {
			err := stream.Send(t.Context(), s.App, "out", stream.NewMessage(i))
			if err == nil {
				break
			}
			if !errors.Is(err, stream.ErrReturned) || time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		s.expect(t, i)
	}
}

func TestAProducerOutlivesItsExchange(t *testing.T) {
	url := brokerURL(t)
	s := newService(t, url)
	s.begin(t, true)
	if err := admin(t, url).ExchangeDelete(s.dest, false, false); err != nil {
		t.Fatal(err)
	}
	s.send(t, 7) // 404, a new channel, declared again with its required group, sent again
	s.expect(t, 7)
}

func TestTheSecondAddress(t *testing.T) {
	s := newService(t, "amqp://guest:guest@127.0.0.1:1/", brokerURL(t))
	s.begin(t, true)
	s.send(t, 1)
	s.expect(t, 1)
}

func TestTheBrokerComesLater(t *testing.T) {
	p, url := newProxy(t, brokerURL(t))
	p.setRefuse(true)
	s := newService(t, url)
	s.begin(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := stream.Send(ctx, s.App, "out", stream.NewMessage(1)); !errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready without a broker")
	}
	p.setRefuse(false)
	s.ready(t)
	s.send(t, 2)
	s.expect(t, 2)
}

// warnings counts what is logged as a warning.
type warnings struct {
	slog.Handler
	count *atomic.Int32
}

func (w warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && strings.HasPrefix(r.Message, "connect failed") {
		w.count.Add(1)
	}
	return nil
}

// A broker that is away is said once for each connection, and not with every attempt.
func TestAMissingBrokerIsSaidOnce(t *testing.T) {
	p, url := newProxy(t, brokerURL(t))
	p.setRefuse(true)
	var count atomic.Int32
	b, err := rabbit.New(rabbit.Config{
		Addresses: []string{url}, ReconnectMin: time.Millisecond, ReconnectMax: time.Millisecond,
		Logger: slog.New(warnings{slog.NewTextHandler(io.Discard, nil), &count}),
	})
	if err != nil {
		t.Fatal(err)
	}
	a := stream.New(b, stream.WithLogger(slog.New(slog.DiscardHandler)))
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); p.accepted() < 20 && time.Now().Before(deadline); { //nolint:forbidigo // the proxy is asked, not awaited
		time.Sleep(time.Millisecond)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count.Load(); n != 2 || p.accepted() < 20 {
		t.Errorf("%d warnings for %d attempts of two connections", n, p.accepted())
	}
}

func TestASilentBrokerLeavesTheOutcomeUnknown(t *testing.T) {
	p, url := newProxy(t, brokerURL(t))
	s := newService(t, url)
	s.begin(t, true)
	s.send(t, 1)
	p.freeze(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := stream.Send(ctx, s.App, "out", stream.NewMessage(2)); !errors.Is(err, stream.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	p.freeze(false)
	s.expect(t, 2)
}

func TestStopWithoutABroker(t *testing.T) {
	p, url := newProxy(t, brokerURL(t))
	s := newService(t, url)
	s.begin(t, true)
	p.setRefuse(true)
	p.cut()
	awaitState(t, s.App, stream.StateDown, "")
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("a fail-over is no illness: %v", err)
	}
	begin := time.Now()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("Stop took %v", d)
	}
}

func TestOthersMayHaveDeclaredOtherwise(t *testing.T) {
	url := brokerURL(t)
	s := newService(t, url)
	ch := admin(t, url)
	if _, err := ch.QueueDeclare(s.dest+".g", true, false, false, false, amqp.Table{"x-max-length": int32(10)}); err != nil {
		t.Fatal(err)
	}
	s.begin(t, true)
	s.send(t, 1)
	s.expect(t, 1)
	odd := false
	for _, h := range s.Health() {
		odd = odd || h.Detail != ""
	}
	if !odd {
		t.Error("health does not tell")
	}
}

func TestBrokenConfigurations(t *testing.T) {
	for _, cfg := range []rabbit.Config{{}, {Addresses: []string{"http://x"}}, {Addresses: []string{"amqp://x"}, InFlightMax: -1}} {
		if _, err := rabbit.New(cfg); err == nil {
			t.Errorf("%v is accepted", cfg)
		}
	}
}
