package order

import (
	"context"
	"database/sql"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// requested is how the timeline calls a request to stop an order, whoever makes it.
var requested = events.OrderCancellationRequested{}.Type()

// Cancel asks for an order to be stopped. Whether there is still time, shipment says; the order's status tells. Asking again
// changes nothing. ErrTooLate comes with the order as it is.
func (s *Service) Cancel(ctx context.Context, id, reason string) (o Order, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if o, err = s.lock(ctx, tx, id); err != nil {
			return err
		}
		switch o.State {
		case saga.OrderStopping, saga.OrderStopped, saga.OrderExpired:
			return nil // it was stopped before
		}
		if _, ok := saga.Order.Decide(o.State, saga.Cancel); !ok {
			return ErrTooLate
		}
		_, err = s.apply(ctx, tx, &o, saga.Cancel, requested, reason)
		return err
	})
	return o, err
}

// Expiring stops orders whose money or goods took too long, until ctx ends.
func (s *Service) Expiring(ctx context.Context) error { return s.Clock(ctx, s.ExpireDue) }

// ExpireDue asks for all orders to be stopped whose time is over by now.
func (s *Service) ExpireDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	due, err := s.due(ctx, now, chassis.DueBatch)
	if err != nil {
		return time.Time{}, err
	}
	for _, o := range due {
		if err := s.expire(ctx, o); err != nil {
			return time.Time{}, err
		}
	}
	return s.NextDue(ctx, "orders")
}

// expire stops an order, in the trace of the request that placed it. It may have got on since it was found.
func (s *Service) expire(ctx context.Context, o Order) error {
	ctx, span := chassis.Resume(ctx, "order", o.traceparent, "order expires")
	defer span.End()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		o, err := s.lock(ctx, tx, o.ID)
		if err != nil || !expires(o.State) {
			return err
		}
		_, err = s.apply(ctx, tx, &o, saga.Expire, requested, "money or goods took too long")
		return err
	})
}
