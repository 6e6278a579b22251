// Package product keeps the catalogue and the stock: it sets goods aside for orders and takes them back when an order fails.
package product

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/saga"
)

// poisonous is the product that failure 03 makes unbearable.
const poisonous = "SKU-007"

// Product is an entry of the catalogue with its stock.
type Product struct {
	SKU      string
	Name     string
	Price    int64
	Currency string
	Revision int64 // of name and price
	Stock    int64 // in the house
	Reserved int64 // of these, set aside for orders
}

// Service is what product can do.
type Service struct {
	chassis.Core
	hold time.Duration
}

// New returns the service. hold is how long goods may stay aside before shipment is asked to decide.
func New(core chassis.Core, hold time.Duration) *Service { return &Service{Core: core, hold: hold} }

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(s.orderPlaced),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.PaymentDeclined) error {
			return s.react(ctx, tx, e.OrderID, saga.PaymentDeclined, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderCancelled) error {
			return s.react(ctx, tx, e.OrderID, saga.OrderCancelled, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.ShipmentDispatched) error {
			return s.react(ctx, tx, e.OrderID, saga.ShipmentDispatched, "")
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.ShipmentFailed) error {
			return s.react(ctx, tx, e.OrderID, saga.ShipmentFailed, e.Reason)
		}),
	}
}

// Expiring asks for a decision about goods that have been aside for too long, until ctx ends.
func (s *Service) Expiring(ctx context.Context) error { return s.Clock(ctx, s.ExpireDue) }

// ExpireDue ends the holds that have run out by now.
func (s *Service) ExpireDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	due, err := s.due(ctx, now, chassis.DueBatch)
	if err != nil {
		return time.Time{}, err
	}
	for _, r := range due {
		if err := s.expire(ctx, r); err != nil {
			return time.Time{}, err
		}
	}
	return s.NextDue(ctx, "reservations")
}

func (s *Service) expire(ctx context.Context, r reservation) error {
	ctx, span := chassis.Resume(ctx, "product", r.traceparent, "hold has run out")
	defer span.End()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return s.react(ctx, tx, r.orderID, saga.HoldEnd, "set aside for too long")
	})
}

// orderPlaced sets everything aside, or nothing.
func (s *Service) orderPlaced(ctx context.Context, tx *sql.Tx, e events.OrderPlaced) error {
	r, err := s.lock(ctx, tx, e.OrderID)
	if err != nil {
		return err
	}
	if r.state != saga.Stock.Initial {
		return nil // an end that came before its beginning
	}
	for _, it := range e.Items {
		if it.SKU == poisonous && s.Failures.Hit(failure.Poison) {
			return errors.New("product: division by zero: how long is a ruler?")
		}
		r.items[it.SKU] += it.Quantity
	}
	short, reason, err := s.shortage(ctx, tx, r.items)
	if err != nil {
		return err
	}
	if short != "" {
		return s.apply(ctx, tx, r, saga.OrderPlacedShort, short, reason)
	}
	if err := s.saveItems(ctx, tx, r); err != nil {
		return err
	}
	return s.apply(ctx, tx, r, saga.OrderPlaced, "", "")
}

// shortage finds the first SKU of which there is not enough, and keeps the stock of all from others until tx ends.
func (s *Service) shortage(ctx context.Context, tx *sql.Tx, items map[string]int64) (sku, reason string, err error) {
	for _, sku := range skus(items) {
		p, known, err := s.lockProduct(ctx, tx, sku)
		free := p.Stock - p.Reserved
		if s.Failures.Hit(failure.StockConflict) {
			free = 0 // somebody at the counter has the last ones in hand
		}
		switch {
		case err != nil:
			return "", "", err
		case !known:
			return sku, sku + " is not in the catalogue", nil
		case items[sku] > free:
			return sku, fmt.Sprintf("%d of %s ordered, %d left", items[sku], sku, free), nil
		}
	}
	return "", "", nil
}

// react applies the table to the reservation of an order.
func (s *Service) react(ctx context.Context, tx *sql.Tx, orderID string, on saga.Message, reason string) error {
	r, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	return s.apply(ctx, tx, r, on, "", reason)
}

// effect is what each piece ordered does to its product.
type effect struct{ stock, reserved int64 }

var effects = map[string]effect{
	saga.Reserve: {reserved: +1}, saga.Release: {reserved: -1}, saga.Ship: {stock: -1, reserved: -1}, saga.Restock: {stock: +1},
}

// apply makes the transition that a message causes, with its effect on the shelves and the ledger, and tells the others.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, r reservation, on saga.Message, short, reason string) error {
	row, ok := saga.Stock.Decide(r.state, on)
	if !ok {
		return nil
	}
	now := s.Now()
	r.state, r.reason, r.dueAt = row.To, reason, time.Time{}
	if r.state == saga.StockHeld {
		r.dueAt, r.traceparent = now.Add(s.hold), chassis.Traceparent(ctx)
	}
	if err := s.save(ctx, tx, r, now); err != nil {
		return err
	}
	if row.Do != "" {
		for _, sku := range skus(r.items) {
			if err := s.move(ctx, tx, r.orderID, sku, row.Do, r.items[sku], now); err != nil {
				return err
			}
		}
	}
	s.Log.InfoContext(ctx, "stock decided", "state", row.To, "order_id", r.orderID, "on", row.On, "reason", reason)
	switch row.Emit {
	case "":
		return nil
	case saga.StockReserved:
		return s.Emit(ctx, tx, events.StockReserved{OrderID: r.orderID, Items: eventItems(r.items)})
	case saga.StockRejected:
		return s.Emit(ctx, tx, events.StockRejected{OrderID: r.orderID, SKU: short, Reason: reason})
	case saga.StockExpired:
		return s.Emit(ctx, tx, events.StockExpired{OrderID: r.orderID})
	case saga.StockReleased:
		return s.Emit(ctx, tx, events.StockReleased{OrderID: r.orderID, Items: eventItems(r.items)})
	case saga.StockReturned:
		return s.Emit(ctx, tx, events.StockReturned{OrderID: r.orderID, Items: eventItems(r.items)})
	}
	return fmt.Errorf("product: nobody knows how to tell %s", row.Emit)
}

// skus returns the keys in order: rows are locked in the same order by everybody.
func skus(items map[string]int64) []string { return slices.Sorted(maps.Keys(items)) }

func eventItems(items map[string]int64) []events.Item {
	out := make([]events.Item, 0, len(items))
	for _, sku := range skus(items) {
		out = append(out, events.Item{SKU: sku, Quantity: items[sku]})
	}
	return out
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
