package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Subscriptions are the events that the service acts on, or notes in the timeline.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(s.productListed),
		react(s, func(events.PaymentAuthorized) string { return "" }),
		react(s, func(e events.PaymentDeclined) string { return e.Reason }),
		react(s, func(events.PaymentCaptured) string { return "" }),
		react(s, func(events.PaymentVoided) string { return "" }),
		react(s, func(events.PaymentRefunded) string { return "" }),
		react(s, func(events.StockReserved) string { return "" }),
		react(s, func(e events.StockRejected) string { return e.Reason }),
		react(s, func(events.StockExpired) string { return "the goods were set aside for too long" }),
		react(s, func(events.StockReleased) string { return "" }),
		react(s, func(events.StockReturned) string { return "" }),
		react(s, func(e events.ShipmentDispatched) string { return "shipment " + e.ShipmentID }),
		react(s, func(e events.ShipmentDelivered) string { return "shipment " + e.ShipmentID }),
		react(s, func(e events.ShipmentFailed) string { return e.Reason }),
		react(s, func(e events.ShipmentCancelled) string {
			if e.Cause == events.CauseExpired {
				return "it took too long"
			}
			return "cancelled by the customer"
		}),
	}
}

// react applies the table to the order whose id is the event's key. detail is what the timeline, and a failed order's reason, say.
func react[T events.Event](s *Service, detail func(T) string) chassis.Subscription {
	return chassis.On(func(ctx context.Context, tx *sql.Tx, e T) error {
		o, err := s.lock(ctx, tx, e.Key())
		if errors.Is(err, ErrNotFound) {
			// Nobody else makes orders: another attempt would not find it either.
			return stream.Reject(fmt.Errorf("%s for order %s: %w", e.Type(), e.Key(), err))
		}
		if err != nil {
			return err
		}
		_, err = s.apply(ctx, tx, &o, saga.Of(e), e.Type(), detail(e))
		return err
	})
}

// apply makes the transition that a message causes, if any, and notes the message in the timeline.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, o *Order, on saga.Message, name, detail string) (applied bool, err error) {
	row, ok := saga.Order.Decide(o.State, on)
	if ok {
		o.State = row.To
		switch o.State {
		case saga.OrderReturned, saga.OrderRejected, saga.OrderStopped, saga.OrderExpired:
			o.Reason = detail
		case saga.OrderStopping:
			o.CancelAt = s.Now().UTC()
		}
		if !expires(o.State) {
			o.dueAt = time.Time{}
		}
	}
	if err := s.note(ctx, tx, o, name, detail); err != nil || !ok {
		return ok, err
	}
	s.Log.InfoContext(ctx, "order advanced", "order_id", o.ID, "state", row.To, "on", row.On)
	switch row.Emit {
	case "":
		return true, nil
	case saga.CancellationRequested:
		return true, s.Emit(ctx, tx, events.OrderCancellationRequested{OrderID: o.ID, Reason: detail, Cause: events.CauseCustomer})
	case saga.ExpiryRequested:
		return true, s.Emit(ctx, tx, events.OrderCancellationRequested{OrderID: o.ID, Reason: detail, Cause: events.CauseExpired})
	case saga.OrderCancelled:
		return true, s.Emit(ctx, tx, events.OrderCancelled{OrderID: o.ID, Reason: detail})
	}
	return true, fmt.Errorf("order: nobody knows how to tell %s", row.Emit)
}

// expires says that the clock may stop an order in this state.
func expires(s saga.State) bool {
	_, ok := saga.Order.Decide(s, saga.Expire)
	return ok
}
