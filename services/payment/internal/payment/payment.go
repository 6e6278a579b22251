// Package payment has the gateway hold the money for orders, takes it when their parcels leave and gives it back when they fail.
package payment

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Payment is the payment of one order.
type Payment struct {
	OrderID    string
	ID         string
	State      saga.State
	CustomerID string
	Amount     int64
	Currency   string
	Reason     string
	UpdatedAt  time.Time

	asked       int
	dueAt       time.Time
	giveUpAt    time.Time
	traceparent string
}

// Service is what payment can do.
type Service struct {
	chassis.Core
	gateway  Gateway
	patience time.Duration
}

// New returns the service. patience is how long the gateway may take for an authorization before the order is refused.
func New(core chassis.Core, gateway Gateway, patience time.Duration) *Service {
	return &Service{Core: core, gateway: gateway, patience: patience}
}

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderPlaced) error {
			return s.apply(ctx, tx, e.OrderID, saga.OrderPlaced, func(p *Payment) {
				p.CustomerID, p.Amount, p.Currency = e.CustomerID, e.Total, e.Currency
			})
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.StockRejected) error {
			return s.apply(ctx, tx, e.OrderID, saga.StockRejected, because(e.Reason))
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderCancelled) error {
			return s.apply(ctx, tx, e.OrderID, saga.OrderCancelled, because(e.Reason))
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.ShipmentDispatched) error {
			return s.apply(ctx, tx, e.OrderID, saga.ShipmentDispatched, because(""))
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.ShipmentFailed) error {
			return s.apply(ctx, tx, e.OrderID, saga.ShipmentFailed, because(e.Reason))
		}),
	}
}

func because(reason string) func(*Payment) { return func(p *Payment) { p.Reason = reason } }

// apply makes the transition that a message causes; change writes down what the message says.
func (s *Service) apply(ctx context.Context, tx *sql.Tx, orderID string, on saga.Message, change func(*Payment)) error {
	p, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	row, ok := saga.Payment.Decide(p.State, on)
	if !ok {
		return nil
	}
	change(&p)
	now := s.Now()
	p.State, p.asked, p.dueAt, p.giveUpAt = row.To, 0, time.Time{}, time.Time{}
	if _, asks := request(p.State); asks {
		p.dueAt, p.traceparent = now, chassis.Traceparent(ctx)
	}
	if p.State == saga.PaymentAuthorizing {
		p.giveUpAt = now.Add(s.patience)
	}
	if err := s.save(ctx, tx, p, now); err != nil {
		return err
	}
	if err := s.book(ctx, tx, p, row.Do, now); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "payment decided", "state", row.To, "order_id", p.OrderID, "on", row.On, "amount", p.Amount, "currency", p.Currency)
	switch row.Emit {
	case "":
		return nil
	case saga.PaymentAuthorized:
		return s.Emit(ctx, tx, events.PaymentAuthorized{OrderID: p.OrderID, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency})
	case saga.PaymentDeclined:
		return s.Emit(ctx, tx, events.PaymentDeclined{OrderID: p.OrderID, Reason: p.Reason})
	case saga.PaymentCaptured:
		return s.Emit(ctx, tx, events.PaymentCaptured{OrderID: p.OrderID, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency})
	case saga.PaymentVoided:
		return s.Emit(ctx, tx, events.PaymentVoided{OrderID: p.OrderID, PaymentID: p.ID})
	case saga.PaymentRefunded:
		return s.Emit(ctx, tx, events.PaymentRefunded{OrderID: p.OrderID, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency})
	}
	return fmt.Errorf("payment: nobody knows how to tell %s", row.Emit)
}

// book adds to the ledger what a transition does to it.
func (s *Service) book(ctx context.Context, tx *sql.Tx, p Payment, do string, at time.Time) error {
	switch do {
	case saga.BookCapture:
		return s.enter(ctx, tx, p, "capture", p.Amount, at)
	case saga.BookRefund:
		if err := s.enter(ctx, tx, p, "capture", p.Amount, at); err != nil {
			return err
		}
		return s.enter(ctx, tx, p, "refund", -p.Amount, at)
	}
	return nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
