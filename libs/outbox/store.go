package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

// relayLockID is the key of PostgreSQL's advisory lock; with hashtext of the schema it is one lock per service.
const relayLockID = 0x6f757462 // "outb"

// store is the relay's side of the outbox table.
type store struct{ db *sqldb.DB }

// row is a record that waits.
type row struct {
	seq         int64
	destination string
	key         string
	attempts    int
	message     stream.Raw
}

// lock makes this relay the only one. On SQLite the file has one owner anyway.
func (s store) lock(ctx context.Context) (unlock func(), ours bool, err error) {
	if s.db.Dialect != sqldb.Postgres {
		return func() {}, true, nil
	}
	conn, err := s.db.Writer.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("outbox: lock: %w", err)
	}
	row := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, relayLockID)
	if err := row.Scan(&ours); err != nil || !ours {
		_ = conn.Close()
		if err != nil {
			err = fmt.Errorf("outbox: lock: %w", err)
		}
		return nil, false, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
		defer cancel()
		if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, hashtext(current_schema()))`, relayLockID); err != nil {
			// A connection that may still hold the lock must not go back to the pool.
			_ = conn.Raw(func(any) error { return sql.ErrConnDone })
		}
		_ = conn.Close()
	}, true, nil
}

// load returns the oldest records that may be published: not those that wait after a failure, nor those behind such a one.
func (s store) load(ctx context.Context, now time.Time, limit int) ([]row, error) {
	rows, err := s.db.Reader.QueryContext(ctx, s.db.Rebind(`
		SELECT seq, message_id, destination, aggregate_key, type, content_type, correlation_id, routing_key, headers, payload, created_ms, attempts
		FROM outbox a
		WHERE sent_ms IS NULL AND retry_ms <= ?
		  AND (aggregate_key = '' OR NOT EXISTS (
			SELECT 1 FROM outbox b WHERE b.sent_ms IS NULL AND b.aggregate_key = a.aggregate_key AND b.seq < a.seq AND b.retry_ms > ?))
		ORDER BY seq LIMIT ?`), now.UnixMilli(), now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: load: %w", err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var w row
		var headers string
		var created int64
		m := &w.message
		if err := rows.Scan(&w.seq, &m.ID, &w.destination, &w.key, &m.Type, &m.ContentType, &m.CorrelationID, &m.RoutingKey,
			&headers, &m.Payload, &created, &w.attempts); err != nil {
			return nil, fmt.Errorf("outbox: load: %w", err)
		}
		m.Timestamp = time.UnixMilli(created)
		if err := json.Unmarshal([]byte(headers), &m.Headers); err != nil {
			return nil, fmt.Errorf("outbox: headers of record %d: %w", w.seq, err)
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// sent marks records as published.
func (s store) sent(ctx context.Context, seqs []int64, at time.Time) error {
	if len(seqs) == 0 {
		return nil
	}
	args := []any{at.UnixMilli()}
	for _, seq := range seqs {
		args = append(args, seq)
	}
	in := strings.TrimSuffix(strings.Repeat("?,", len(seqs)), ",")
	if _, err := s.db.Writer.ExecContext(ctx, s.db.Rebind(`UPDATE outbox SET sent_ms = ?, last_error = '' WHERE seq IN (`+in+`)`), args...); err != nil {
		return fmt.Errorf("outbox: mark sent: %w", err)
	}
	return nil
}

// fail notes a failed publish and when to try again.
func (s store) fail(ctx context.Context, seq int64, retry time.Time, reason error) error {
	text := reason.Error()
	text = strings.ToValidUTF8(text[:min(len(text), lastErrorBytesMax)], "")
	_, err := s.db.Writer.ExecContext(ctx, s.db.Rebind(`UPDATE outbox SET attempts = attempts + 1, retry_ms = ?, last_error = ? WHERE seq = ?`),
		retry.UnixMilli(), text, seq)
	if err != nil {
		return fmt.Errorf("outbox: mark failed: %w", err)
	}
	return nil
}

// clean deletes sent records and inbox notes of before the given times, a bounded number per call.
func (s store) clean(ctx context.Context, sentBefore, notedBefore time.Time) error {
	_, err := s.db.Writer.ExecContext(ctx, s.db.Rebind(`DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE sent_ms < ? LIMIT ?)`),
		sentBefore.UnixMilli(), cleanBatch)
	if err != nil {
		return fmt.Errorf("outbox: clean: %w", err)
	}
	_, err = s.db.Writer.ExecContext(ctx, s.db.Rebind(`DELETE FROM inbox WHERE (consumer, message_id) IN
		(SELECT consumer, message_id FROM inbox WHERE processed_ms < ? LIMIT ?)`), notedBefore.UnixMilli(), cleanBatch)
	if err != nil {
		return fmt.Errorf("inbox: clean: %w", err)
	}
	return nil
}
