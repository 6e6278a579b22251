// Package ordertest opens order's core, without broker and HTTP, for tests that play all services in one process.
package ordertest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// Orders is the core.
type Orders struct {
	DB            *sqldb.DB
	Subscriptions []chassis.Subscription
	// Expire stops the orders whose time is over at a time.
	Expire func(ctx context.Context, at time.Time) error

	service *order.Service
}

// Open returns the core on its database.
func Open(ctx context.Context, database string, expiry time.Duration) (*Orders, error) {
	db, err := chassis.OpenDB(ctx, database, order.Migrations())
	if err != nil {
		return nil, err
	}
	s := order.New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), expiry)
	expire := func(ctx context.Context, at time.Time) error {
		_, err := s.ExpireDue(ctx, at)
		return err
	}
	return &Orders{DB: db, Subscriptions: s.Subscriptions(), Expire: expire, service: s}, nil
}

// Place places an order and returns its id.
func (o *Orders) Place(ctx context.Context, customer, currency string, items ...events.Item) (string, error) {
	placed, _, err := o.service.Place(ctx, "", order.Request{CustomerID: customer, Currency: currency, Items: items})
	return placed.ID, err
}

// Cancel asks for an order to be stopped; false means that it was too late.
func (o *Orders) Cancel(ctx context.Context, id string) (bool, error) {
	_, err := o.service.Cancel(ctx, id, "")
	if errors.Is(err, order.ErrTooLate) {
		return false, nil
	}
	return err == nil, err
}
