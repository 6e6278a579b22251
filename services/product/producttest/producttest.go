// Package producttest opens product's core, without broker and HTTP, for tests that play all services in one process.
package producttest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/product/internal/product"
)

// Products is the core.
type Products struct {
	DB            *sqldb.DB
	Subscriptions []chassis.Subscription
	// Expire ends the holds that have run out at a time.
	Expire func(ctx context.Context, at time.Time) error
}

// Open returns the core on its database, with the catalogue in it.
func Open(ctx context.Context, database string, hold time.Duration) (*Products, error) {
	db, err := chassis.OpenDB(ctx, database, product.Migrations())
	if err != nil {
		return nil, err
	}
	s := product.New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), hold)
	if err := s.Seed(ctx, 1); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	expire := func(ctx context.Context, at time.Time) error {
		_, err := s.ExpireDue(ctx, at)
		return err
	}
	return &Products{DB: db, Subscriptions: s.Subscriptions(), Expire: expire}, nil
}
