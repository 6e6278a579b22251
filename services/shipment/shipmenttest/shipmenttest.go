// Package shipmenttest opens shipment's core, without broker and HTTP, for tests that play all services in one process.
package shipmenttest

import (
	"context"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/shipment/internal/shipment"
)

// Shipments is the core.
type Shipments struct {
	DB            *sqldb.DB
	Subscriptions []chassis.Subscription
	// Move lets packer and carrier do what is due at a time.
	Move func(ctx context.Context, at time.Time) error
}

// Open returns the core on its database. Packer and carrier take no time.
func Open(ctx context.Context, database string) (*Shipments, error) {
	db, err := chassis.OpenDB(ctx, database, shipment.Migrations())
	if err != nil {
		return nil, err
	}
	s := shipment.New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), 0, 0)
	move := func(ctx context.Context, at time.Time) error {
		_, err := s.MoveDue(ctx, at)
		return err
	}
	return &Shipments{DB: db, Subscriptions: s.Subscriptions(), Move: move}, nil
}
