// Package product keeps the catalogue and the stock: it sets goods aside for orders and takes them back when an order fails.
package product

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

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
	db     *sqldb.DB
	outbox *outbox.Outbox
	log    *slog.Logger
}

// New returns the service on its database.
func New(db *sqldb.DB, log *slog.Logger) *Service {
	return &Service{db: db, outbox: outbox.New(db), log: log}
}

// Publishes are the destinations of the service's events.
func Publishes() []string {
	return []string{
		events.ProductListed{}.Destination(), events.StockReserved{}.Destination(), events.StockRejected{}.Destination(),
		events.StockReleased{}.Destination(),
	}
}

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(s.orderPlaced),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.PaymentDeclined) error {
			return s.undo(ctx, tx, e.OrderID, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderCancelled) error {
			return s.undo(ctx, tx, e.OrderID, e.Reason)
		}),
		chassis.On(s.shipmentDispatched),
	}
}

// orderPlaced sets everything aside, or nothing.
func (s *Service) orderPlaced(ctx context.Context, tx *sql.Tx, e events.OrderPlaced) error {
	r, err := s.lock(ctx, tx, e.OrderID)
	if err != nil {
		return err
	}
	for _, it := range e.Items {
		r.items[it.SKU] += it.Quantity
	}
	short, reason, err := s.shortage(ctx, tx, r.items)
	if err != nil {
		return err
	}
	c := reserve
	if short != "" {
		c = refuse
	}
	applied, err := s.apply(ctx, tx, &r, c, reason)
	if err != nil || !applied {
		return err
	}
	if short != "" {
		return chassis.Emit(ctx, tx, s.outbox, events.StockRejected{OrderID: e.OrderID, SKU: short, Reason: reason})
	}
	if err := s.saveItems(ctx, tx, r); err != nil {
		return err
	}
	return chassis.Emit(ctx, tx, s.outbox, events.StockReserved{OrderID: e.OrderID, Items: eventItems(r.items)})
}

// shortage finds the first SKU of which there is not enough, and keeps the stock of all from others until tx ends.
func (s *Service) shortage(ctx context.Context, tx *sql.Tx, items map[string]int64) (sku, reason string, err error) {
	for _, sku := range skus(items) {
		p, known, err := s.lockProduct(ctx, tx, sku)
		switch free := p.Stock - p.Reserved; {
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

// undo leaves nothing set aside for an order that failed, whether it was asked for already or not.
func (s *Service) undo(ctx context.Context, tx *sql.Tx, orderID, reason string) error {
	r, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	applied, err := s.apply(ctx, tx, &r, undo, reason)
	if err != nil || !applied || r.state != Released {
		return err
	}
	return chassis.Emit(ctx, tx, s.outbox, events.StockReleased{OrderID: orderID, Items: eventItems(r.items)})
}

// shipmentDispatched takes the goods out of the stock.
func (s *Service) shipmentDispatched(ctx context.Context, tx *sql.Tx, e events.ShipmentDispatched) error {
	r, err := s.lock(ctx, tx, e.OrderID)
	if err != nil {
		return err
	}
	_, err = s.apply(ctx, tx, &r, fulfil, "")
	return err
}

// apply makes the transition that c asks for, with its effect on the stock and the ledger.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, r *reservation, c command, reason string) (applied bool, err error) {
	next, ok := transitions[r.state][c]
	if !ok {
		return false, nil
	}
	r.state, r.reason = next, reason
	if err := s.save(ctx, tx, *r); err != nil {
		return false, err
	}
	if e, ok := effects[next]; ok {
		for _, sku := range skus(r.items) {
			if err := s.move(ctx, tx, r.orderID, sku, r.items[sku], e); err != nil {
				return false, err
			}
		}
	}
	s.log.InfoContext(ctx, "stock decided", "state", next, "order_id", r.orderID, "reason", reason)
	return true, nil
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
