package chassis

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/saga"
)

// attemptsMax bounds the attempts of a handler before its message is dead-lettered. The pauses between them double from a second
// to ten: five attempts take about 15 s.
const attemptsMax = 100

// Subscription is a service's reaction to one kind of event.
type Subscription struct {
	Destination string
	bind        func(s *Service, b stream.Binding)
	deliver     func(ctx context.Context, db *sqldb.DB, id string, payload []byte) error
}

// On says that f applies events of type T. It runs in the transaction that notes the message in the inbox: once per message,
// whatever is delivered twice.
func On[T events.Event](f func(ctx context.Context, tx *sql.Tx, e T) error) Subscription {
	var kind T
	destination := kind.Destination()
	apply := func(ctx context.Context, db *sqldb.DB, id string, e T) error {
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("app.key", e.Key()))
		if err := e.Validate(); err != nil {
			return stream.Reject(fmt.Errorf("%s: %w", e.Type(), err))
		}
		_, err := outbox.Process(ctx, db, destination, id, func(ctx context.Context, tx *sql.Tx) error { return f(ctx, tx, e) })
		if errors.Is(err, outbox.ErrNoMessageID) {
			return stream.Reject(err)
		}
		return err
	}
	return Subscription{
		Destination: destination,
		bind: func(s *Service, b stream.Binding) {
			stream.Consume(s.app, b, func(ctx context.Context, m stream.Message[T]) error {
				if err := s.Failures.Delay(ctx, failure.SlowConsumer); err != nil {
					return err
				}
				err := apply(ctx, s.DB, m.ID, m.Payload)
				if err == nil {
					s.Failures.Kill(failure.ConsumerDies) // it is committed, and not acknowledged
				}
				return err
			})
		},
		deliver: func(ctx context.Context, db *sqldb.DB, id string, payload []byte) error {
			var e T
			if err := json.Unmarshal(payload, &e); err != nil {
				return err
			}
			return apply(ctx, db, id, e)
		},
	}
}

// Deliver hands a message to the subscription without a broker, for tests of many services in one process.
func (s Subscription) Deliver(ctx context.Context, db *sqldb.DB, id string, payload []byte) error {
	return s.deliver(ctx, db, id, payload)
}

// Bind connects a service to the destinations of its machine: what it hears to the subscriptions, what it tells to the outbox.
// more are destinations beside the saga.
func (s *Service) Bind(m *saga.Machine, subscriptions []Subscription, more ...string) {
	for _, sub := range subscriptions {
		sub.bind(s, stream.Binding{
			Name: sub.Destination + "-in-0", Destination: sub.Destination, Group: m.Name,
			Consumer: stream.ConsumerProperties{AutoBindDLQ: true, MaxAttempts: s.cfg.Attempts, Queue: s.queue()},
		})
	}
	// The queues of all who listen are declared, too: an event is kept for a service that has never run.
	for _, d := range append(m.Destinations(), more...) {
		s.app.Bind(stream.Binding{
			Name: d, Destination: d,
			Producer: stream.ProducerProperties{AutoBindDLQ: true, RequiredGroups: saga.Subscribers(d), Queue: s.queue()},
		})
	}
}

// queue is how all queues are declared; publishers and members of a group must agree.
func (s *Service) queue() stream.QueueProperties {
	q := stream.Quorum{Enabled: s.cfg.Quorum}
	return stream.QueueProperties{Quorum: q, DLQ: stream.DeadLetterQueueProperties{Quorum: q}}
}
