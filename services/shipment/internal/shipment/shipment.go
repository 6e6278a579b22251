// Package shipment sends parcels for orders whose money and goods are there, unless somebody stops them before.
package shipment

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Shipment is the parcel of one order.
type Shipment struct {
	OrderID   string
	ID        string
	State     saga.State
	Reason    string
	DueAt     time.Time // when packer or carrier are done with it; zero while neither has it
	UpdatedAt time.Time

	undeliverable bool
	traceparent   string
}

// Service is what shipment can do.
type Service struct {
	chassis.Core
	packing, delivery time.Duration
}

// New returns the service. packing is how long a parcel takes from complete to gone, delivery from there to the customer.
func New(core chassis.Core, packing, delivery time.Duration) *Service {
	return &Service{Core: core, packing: packing, delivery: delivery}
}

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		react(s, func(events.PaymentAuthorized) string { return "" }),
		react(s, func(e events.PaymentDeclined) string { return e.Reason }),
		react(s, func(e events.StockRejected) string { return e.Reason }),
		react(s, func(events.StockExpired) string { return "the goods were set aside for too long" }),
		react(s, func(e events.OrderCancellationRequested) string { return e.Reason }),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.StockReserved) error {
			heavy := slices.ContainsFunc(e.Items, func(it events.Item) bool { return it.SKU == events.Undeliverable })
			return s.apply(ctx, tx, e.OrderID, saga.StockReserved, func(p *Shipment) { p.undeliverable = heavy })
		}),
	}
}

// react applies the table to the shipment of the order whose id is the event's key.
func react[T events.Event](s *Service, reason func(T) string) chassis.Subscription {
	return chassis.On(func(ctx context.Context, tx *sql.Tx, e T) error {
		return s.apply(ctx, tx, e.Key(), saga.Of(e), func(p *Shipment) { p.Reason = reason(e) })
	})
}

// apply makes the transition that a message causes and tells the others what they need to know of it. change writes down what
// the message says.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, orderID string, on saga.Message, change func(*Shipment)) error {
	p, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	row, ok := saga.Shipment.Decide(p.State, on)
	if !ok {
		return nil
	}
	change(&p)
	now := s.Now().UTC()
	p.State, p.DueAt = row.To, time.Time{}
	switch p.State {
	case saga.ShipmentPacking:
		p.DueAt, p.traceparent = now.Add(s.packing), chassis.Traceparent(ctx)
	case saga.ShipmentGone:
		p.DueAt, p.traceparent = now.Add(s.delivery), chassis.Traceparent(ctx)
		if err := s.enter(ctx, tx, p, now); err != nil {
			return err
		}
	}
	if err := s.save(ctx, tx, p, now); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "shipment decided", "state", row.To, "order_id", orderID, "on", row.On, "reason", p.Reason)
	switch row.Emit {
	case "":
		return nil
	case saga.ShipmentDispatched:
		return s.Emit(ctx, tx, events.ShipmentDispatched{OrderID: orderID, ShipmentID: p.ID, DispatchedAt: now})
	case saga.ShipmentDelivered:
		return s.Emit(ctx, tx, events.ShipmentDelivered{OrderID: orderID, ShipmentID: p.ID, DeliveredAt: now})
	case saga.ShipmentFailed:
		return s.Emit(ctx, tx, events.ShipmentFailed{OrderID: orderID, ShipmentID: p.ID, Reason: p.Reason})
	case saga.ShipmentCancelled:
		return s.Emit(ctx, tx, events.ShipmentCancelled{OrderID: orderID, Cause: events.CauseCustomer})
	case saga.ShipmentExpired:
		return s.Emit(ctx, tx, events.ShipmentCancelled{OrderID: orderID, Cause: events.CauseExpired})
	}
	return fmt.Errorf("shipment: nobody knows how to tell %s", row.Emit)
}

// Moving lets packer and carrier work until ctx ends.
func (s *Service) Moving(ctx context.Context) error { return s.Clock(ctx, s.MoveDue) }

// MoveDue sends what is packed by now, and delivers what the carrier has brought.
func (s *Service) MoveDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	due, err := s.due(ctx, now, chassis.DueBatch)
	if err != nil {
		return time.Time{}, err
	}
	for _, p := range due {
		if err := s.move(ctx, p); err != nil {
			return time.Time{}, err
		}
	}
	return s.NextDue(ctx, "shipments")
}

// move lets a parcel go on, in the trace of what happened to it last. It may have been stopped since it was found.
func (s *Service) move(ctx context.Context, p Shipment) error {
	on, reason := saga.Packed, ""
	switch {
	case p.State == saga.ShipmentGone && p.undeliverable:
		on, reason = saga.Bounced, "the carrier could not get it up the stairs"
	case p.State == saga.ShipmentGone:
		on = saga.Arrived
	}
	ctx, span := chassis.Resume(ctx, "shipment", p.traceparent, "parcel "+string(on))
	defer span.End()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.apply(ctx, tx, p.OrderID, on, func(p *Shipment) { p.Reason = reason })
	})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
