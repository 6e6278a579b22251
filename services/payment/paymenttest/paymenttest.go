// Package paymenttest opens payment's core, without broker and HTTP, for tests that play all services in one process.
package paymenttest

import (
	"context"
	"log/slog"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

// Open returns the service's database and what it subscribes to.
func Open(ctx context.Context, database string) (*sqldb.DB, []chassis.Subscription, error) {
	db, err := chassis.OpenDB(ctx, database, payment.Migrations())
	if err != nil {
		return nil, nil, err
	}
	return db, payment.New(db, slog.New(slog.DiscardHandler)).Subscriptions(), nil
}
