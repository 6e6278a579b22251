package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
)

// Record is a message to be published after the transaction.
type Record struct {
	// ID is the message id; a fresh UUIDv7 when empty.
	ID string
	// Destination is the stream binding (or dynamic destination) to publish through. Required.
	Destination string
	// Key is the aggregate: records of one key are published in the order they were added. Empty: no order.
	Key           string
	Type          string // of the event, "OrderPlaced"
	Payload       []byte
	ContentType   string // application/json when empty
	CorrelationID string // Key when empty
	RoutingKey    string // the binding's when empty
	Headers       map[string]string
}

// JSON returns a record whose payload is v as JSON.
func JSON(destination, key, eventType string, v any) (Record, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Record{}, fmt.Errorf("outbox: encode %s: %w", eventType, err)
	}
	return Record{Destination: destination, Key: key, Type: eventType, Payload: data}, nil
}

// Outbox adds records. Make it with New.
type Outbox struct{ db *sqldb.DB }

// New returns the outbox in db, whose tables must exist: see Migrate.
func New(db *sqldb.DB) *Outbox { return &Outbox{db: db} }

// Add writes records in tx with the context's trace. They are published once tx is committed, and never if it is not.
func (o *Outbox) Add(ctx context.Context, tx *sql.Tx, records ...Record) error {
	query := o.db.Rebind(`INSERT INTO outbox (message_id, destination, aggregate_key, type, content_type, correlation_id, routing_key, headers, payload, created_ms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	for _, r := range records {
		if r.Destination == "" {
			return errors.New("outbox: a record needs a destination")
		}
		headers, err := storedHeaders(ctx, r.Headers)
		if err != nil {
			return err
		}
		payload := r.Payload
		if payload == nil {
			payload = []byte{}
		}
		_, err = tx.ExecContext(ctx, query,
			cmp.Or(r.ID, stream.NewID()), r.Destination, r.Key, r.Type, cmp.Or(r.ContentType, stream.ContentTypeJSON),
			cmp.Or(r.CorrelationID, r.Key), r.RoutingKey, headers, payload, time.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("outbox: add: %w", err)
		}
	}
	return nil
}

// storedHeaders is the JSON of the headers with the trace of ctx among them, as they will be on the wire.
func storedHeaders(ctx context.Context, own map[string]string) (string, error) {
	h := make(stream.Headers, len(own)+4)
	for k, v := range own {
		h[k] = v
	}
	oteltrace.Inject(ctx, h, oteltrace.W3C)
	data, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("outbox: headers: %w", err)
	}
	return string(data), nil
}

// Backlog tells how many records are not sent, and since when the oldest waits (zero when there is none).
func (o *Outbox) Backlog(ctx context.Context) (n int, oldest time.Time, err error) {
	var ms sql.NullInt64
	row := o.db.Reader.QueryRowContext(ctx, `SELECT count(*), min(created_ms) FROM outbox WHERE sent_ms IS NULL`)
	if err := row.Scan(&n, &ms); err != nil {
		return 0, time.Time{}, fmt.Errorf("outbox: backlog: %w", err)
	}
	if ms.Valid {
		oldest = time.UnixMilli(ms.Int64)
	}
	return n, oldest, nil
}
