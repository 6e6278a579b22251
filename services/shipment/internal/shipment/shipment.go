// Package shipment sends parcels for orders whose money and goods are there, unless the customer cancels before.
package shipment

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

// Shipment is the parcel of one order.
type Shipment struct {
	OrderID   string
	ID        string
	State     State
	Reason    string
	DueAt     time.Time // zero while it is not being packed
	UpdatedAt time.Time

	traceparent string
}

// Service is what shipment can do.
type Service struct {
	db      *sqldb.DB
	outbox  *outbox.Outbox
	log     *slog.Logger
	packing time.Duration
}

// New returns the service on its database. packing is how long a parcel takes from complete to gone.
func New(db *sqldb.DB, packing time.Duration, log *slog.Logger) *Service {
	return &Service{db: db, outbox: outbox.New(db), packing: packing, log: log}
}

// Publishes are the destinations of the service's events.
func Publishes() []string {
	return []string{events.ShipmentDispatched{}.Destination(), events.ShipmentCancelled{}.Destination()}
}

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.PaymentAuthorized) error {
			return s.apply(ctx, tx, e.OrderID, pay, "")
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.StockReserved) error {
			return s.apply(ctx, tx, e.OrderID, reserve, "")
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.PaymentDeclined) error {
			return s.apply(ctx, tx, e.OrderID, fail, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.StockRejected) error {
			return s.apply(ctx, tx, e.OrderID, fail, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderCancellationRequested) error {
			return s.apply(ctx, tx, e.OrderID, cancel, e.Reason)
		}),
	}
}

// apply makes the transition that c asks for and tells the others what they need to know of it.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, orderID string, c command, reason string) error {
	p, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	next, ok := transitions[p.State][c]
	if !ok {
		return nil
	}
	now := time.Now().UTC()
	p.State, p.Reason, p.DueAt = next, reason, time.Time{}
	if next == Packing {
		p.DueAt, p.traceparent = now.Add(s.packing), traceparent(ctx)
	}
	if err := s.save(ctx, tx, p); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "shipment decided", "state", next, "order_id", orderID, "reason", reason)
	switch next {
	case Dispatched:
		if err := s.enter(ctx, tx, p, now); err != nil {
			return err
		}
		return chassis.Emit(ctx, tx, s.outbox, events.ShipmentDispatched{OrderID: orderID, ShipmentID: p.ID, DispatchedAt: now})
	case Cancelled:
		return chassis.Emit(ctx, tx, s.outbox, events.ShipmentCancelled{OrderID: orderID})
	default: // nobody needs to know
		return nil
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
