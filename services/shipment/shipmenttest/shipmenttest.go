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

// Open returns the service's database, what it subscribes to, and its clock: dispatch sends every parcel that is packed.
func Open(ctx context.Context, database string) (db *sqldb.DB, subs []chassis.Subscription, dispatch func(context.Context) error, err error) {
	db, err = chassis.OpenDB(ctx, database, shipment.Migrations())
	if err != nil {
		return nil, nil, nil, err
	}
	s := shipment.New(db, 0, slog.New(slog.DiscardHandler))
	dispatch = func(ctx context.Context) error {
		_, err := s.DispatchDue(ctx, time.Now().Add(time.Second))
		return err
	}
	return db, s.Subscriptions(), dispatch, nil
}
