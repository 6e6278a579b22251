package chassis

import (
	"context"
	"database/sql"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
)

// Emit writes events into the outbox: they are published when tx is committed, and only then.
func Emit(ctx context.Context, tx *sql.Tx, ob *outbox.Outbox, es ...events.Event) error {
	for _, e := range es {
		r, err := outbox.JSON(e.Destination(), e.Key(), e.Type(), e)
		if err != nil {
			return err
		}
		if err := ob.Add(ctx, tx, r); err != nil {
			return err
		}
	}
	return nil
}

// ForUpdate is what a SELECT in a transaction ends with so that the rows stay as they were read. SQLite has one writer at a time
// and needs nothing.
func ForUpdate(db *sqldb.DB) string {
	if db.Dialect == sqldb.Postgres {
		return " FOR UPDATE"
	}
	return ""
}
