// Package paymenttest opens payment's core, without broker and HTTP, for tests that play all services in one process.
package paymenttest

import (
	"context"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/payment/internal/gateway"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

// Payments is the core.
type Payments struct {
	DB            *sqldb.DB
	Subscriptions []chassis.Subscription
	// Ask asks the gateway whatever is due at a time. Down has it fail, Twice has it answer twice.
	Ask         func(ctx context.Context, at time.Time) error
	Down, Twice bool
}

// Open returns the core on its database. patience is how long the gateway may take.
func Open(ctx context.Context, database string, patience time.Duration) (*Payments, error) {
	db, err := chassis.OpenDB(ctx, database, payment.Migrations())
	if err != nil {
		return nil, err
	}
	p := &Payments{DB: db}
	s := payment.New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), moody{p, gateway.New(db, nil)}, patience)
	p.Subscriptions = s.Subscriptions()
	p.Ask = func(ctx context.Context, at time.Time) error {
		_, err := s.AskDue(ctx, at)
		return err
	}
	return p, nil
}

// moody is a gateway that does as the test wants.
type moody struct {
	p       *Payments
	gateway payment.Gateway
}

// Submit implements payment.Gateway.
func (m moody) Submit(ctx context.Context, r payment.Request, answered func(context.Context, payment.Answer) error) error {
	if m.p.Down {
		return context.DeadlineExceeded
	}
	return m.gateway.Submit(ctx, r, func(ctx context.Context, a payment.Answer) error {
		if m.p.Twice {
			if err := answered(ctx, a); err != nil {
				return err
			}
		}
		return answered(ctx, a)
	})
}
