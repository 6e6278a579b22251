package e2e

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

const (
	spyGroup = "e2e-spy"
	// spyEvery: each so many messages are published a second time.
	spyEvery = 4
)

// destinations of all events between services, with the group that publishes them.
var destinations = func() map[string]string {
	out := map[string]string{events.ProductListed{}.Destination(): events.GroupProduct}
	for _, m := range saga.Services() {
		for _, d := range m.Destinations() {
			out[d] = m.Name
		}
	}
	return out
}()

// spy hears every event and publishes some again as they were, id and trace included: what a relay does that dies between
// publish and mark. Duplicates are certain, then, not only likely.
type spy struct {
	app  *stream.App
	seen atomic.Int64
	sent atomic.Int64

	mu  sync.Mutex
	ids map[string]bool
}

func newSpy(t *testing.T, amqp string) *spy {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{amqp}, ConnectionName: spyGroup, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{app: stream.New(binder, stream.WithLogger(log)), ids: map[string]bool{}}
	quorum := stream.QueueProperties{Quorum: stream.Quorum{Enabled: true}}
	for d := range destinations {
		stream.Consume(s.app, stream.Binding{
			Name: d + "-in-0", Destination: d, Group: spyGroup, Consumer: stream.ConsumerProperties{Queue: quorum},
		}, func(ctx context.Context, m stream.Message[[]byte]) error { return s.hear(ctx, d, m) })
		s.app.Bind(stream.Binding{Name: d, Destination: d})
	}
	if err := s.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.app.Stop(context.Background()) })
	if err := s.app.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *spy) hear(ctx context.Context, destination string, m stream.Message[[]byte]) error {
	s.mu.Lock()
	known := s.ids[m.ID]
	s.ids[m.ID] = true
	s.mu.Unlock()
	if known || s.seen.Add(1)%spyEvery != 0 {
		return nil
	}
	again := stream.Raw{
		ID: m.ID, Timestamp: m.Timestamp, Type: m.Type, CorrelationID: m.CorrelationID, ContentType: m.ContentType, Headers: m.Headers, Payload: m.Payload,
	}
	if err := s.app.PublishRaw(ctx, destination, []stream.Raw{again})[0]; err != nil {
		return err
	}
	s.sent.Add(1)
	return nil
}
