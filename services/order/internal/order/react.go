package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(s.productListed),
		react(s, func(events.PaymentAuthorized) string { return "" }),
		react(s, func(e events.PaymentDeclined) string { return e.Reason }),
		react(s, func(events.PaymentRefunded) string { return "" }),
		react(s, func(events.StockReserved) string { return "" }),
		react(s, func(e events.StockRejected) string { return e.Reason }),
		react(s, func(events.StockReleased) string { return "" }),
		react(s, func(e events.ShipmentDispatched) string { return "shipment " + e.ShipmentID }),
		react(s, func(events.ShipmentCancelled) string { return "" }),
	}
}

// react applies the table to the order whose id is the event's key. detail is what the timeline, and a failed order's reason, say.
func react[T events.Event](s *Service, detail func(T) string) chassis.Subscription {
	return chassis.On(func(ctx context.Context, tx *sql.Tx, e T) error { return s.apply(ctx, tx, e, detail(e)) })
}

func (s *Service) apply(ctx context.Context, tx *sql.Tx, e events.Event, detail string) error {
	o, err := s.lock(ctx, tx, e.Key())
	if errors.Is(err, ErrNotFound) {
		// Nobody else makes orders: another attempt would not find it either.
		return stream.Reject(fmt.Errorf("%s for order %s: %w", e.Type(), e.Key(), err))
	}
	if err != nil {
		return err
	}
	next, ok := transitions[o.State][e.Type()]
	if ok {
		o.State = next
		if next == Rejected {
			o.Reason = detail
		}
		if next == Cancelled {
			o.Reason = "cancelled by the customer"
		}
	}
	if err := s.note(ctx, tx, &o, e.Type(), detail); err != nil {
		return err
	}
	if !ok {
		return nil
	}
	s.log.InfoContext(ctx, "order advanced", "order_id", o.ID, "state", next, "event", e.Type())
	if next == Cancelled {
		return chassis.Emit(ctx, tx, s.outbox, events.OrderCancelled{OrderID: o.ID, Reason: o.Reason})
	}
	return nil
}
