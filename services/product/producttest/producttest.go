// Package producttest opens product's core, without broker and HTTP, for tests that play all services in one process.
package producttest

import (
	"context"
	"errors"
	"log/slog"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/product/internal/product"
)

// Open returns the service's database with the catalogue in it, and what the service subscribes to.
func Open(ctx context.Context, database string) (*sqldb.DB, []chassis.Subscription, error) {
	db, err := chassis.OpenDB(ctx, database, product.Migrations())
	if err != nil {
		return nil, nil, err
	}
	s := product.New(db, slog.New(slog.DiscardHandler))
	if err := s.Seed(ctx); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, s.Subscriptions(), nil
}
