// Package payment takes the money for orders and gives it back when an order fails.
package payment

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

// declinedPrefix begins the ids of customers who never pay, for demonstrations and tests.
const declinedPrefix = "decline-"

// Kinds of ledger entries.
const (
	kindAuthorization = "authorization"
	kindRefund        = "refund"
)

// Payment is the payment of one order.
type Payment struct {
	OrderID    string
	ID         string
	State      State
	CustomerID string
	Amount     int64
	Currency   string
	Reason     string
	UpdatedAt  time.Time
}

// Service is what payment can do.
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
		events.PaymentAuthorized{}.Destination(), events.PaymentDeclined{}.Destination(), events.PaymentRefunded{}.Destination(),
	}
}

// Subscriptions are the events that the service acts on.
func (s *Service) Subscriptions() []chassis.Subscription {
	return []chassis.Subscription{
		chassis.On(s.orderPlaced),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.StockRejected) error {
			return s.undo(ctx, tx, e.OrderID, e.Reason)
		}),
		chassis.On(func(ctx context.Context, tx *sql.Tx, e events.OrderCancelled) error {
			return s.undo(ctx, tx, e.OrderID, e.Reason)
		}),
	}
}

// orderPlaced asks for the money.
func (s *Service) orderPlaced(ctx context.Context, tx *sql.Tx, e events.OrderPlaced) error {
	c, reason := authorize, ""
	if strings.HasPrefix(e.CustomerID, declinedPrefix) {
		c, reason = decline, "the bank declined the payment"
	}
	p, err := s.lock(ctx, tx, e.OrderID)
	if err != nil {
		return err
	}
	next, ok := transitions[p.State][c]
	if !ok {
		return nil
	}
	p.State, p.CustomerID, p.Amount, p.Currency, p.Reason = next, e.CustomerID, e.Total, e.Currency, reason
	if err := s.save(ctx, tx, p); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "payment decided", "state", next, "order_id", p.OrderID, "amount", p.Amount, "currency", p.Currency)
	if next == Declined {
		return chassis.Emit(ctx, tx, s.outbox, events.PaymentDeclined{OrderID: p.OrderID, Reason: reason})
	}
	if err := s.enter(ctx, tx, p, kindAuthorization, p.Amount); err != nil {
		return err
	}
	return chassis.Emit(ctx, tx, s.outbox, events.PaymentAuthorized{
		OrderID: p.OrderID, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency,
	})
}

// undo leaves no money taken for an order that failed, whether it was asked for already or not.
func (s *Service) undo(ctx context.Context, tx *sql.Tx, orderID, reason string) error {
	p, err := s.lock(ctx, tx, orderID)
	if err != nil {
		return err
	}
	next, ok := transitions[p.State][undo]
	if !ok {
		return nil
	}
	p.State, p.Reason = next, reason
	if err := s.save(ctx, tx, p); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "payment decided", "state", next, "order_id", orderID, "reason", reason)
	if next != Refunded {
		return nil
	}
	if err := s.enter(ctx, tx, p, kindRefund, -p.Amount); err != nil {
		return err
	}
	return chassis.Emit(ctx, tx, s.outbox, events.PaymentRefunded{
		OrderID: p.OrderID, PaymentID: p.ID, Amount: p.Amount, Currency: p.Currency,
	})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
