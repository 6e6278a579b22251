package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
)

// ErrNoMessageID says that a message without an id came: nobody can tell whether it was applied before.
var ErrNoMessageID = errors.New("outbox: message has no id")

// Process applies a message once. f runs in the transaction that also notes (consumer, messageID); when the note is there
// already, f is not called and applied is false. An error of f rolls both back, so that the message may come again.
func Process(ctx context.Context, db *sqldb.DB, consumer, messageID string, f func(ctx context.Context, tx *sql.Tx) error) (applied bool, err error) {
	if messageID == "" {
		return false, ErrNoMessageID
	}
	err = db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, db.Rebind(`INSERT INTO inbox (consumer, message_id, processed_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`),
			consumer, messageID, time.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("inbox: note message: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("inbox: note message: %w", err)
		}
		if applied = n == 1; !applied {
			return nil
		}
		return f(ctx, tx)
	})
	if err == nil {
		countApplied(ctx, consumer, applied)
	}
	return applied && err == nil, err
}
