package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

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

// load returns the oldest records that may be published: not those that wait after a failure, nor those behind such a one.
func (s store) load(ctx context.Context, now time.Time, limit int) ([]row, error) {
	return sqldb.Query(ctx, s.db, s.db.Reader, scan, `
		SELECT seq, message_id, destination, aggregate_key, type, content_type, correlation_id, routing_key, headers, payload, created_ms, attempts
		FROM outbox a
		WHERE sent_ms IS NULL AND retry_ms <= ?
		  AND (aggregate_key = '' OR NOT EXISTS (
			SELECT 1 FROM outbox b WHERE b.sent_ms IS NULL AND b.aggregate_key = a.aggregate_key AND b.seq < a.seq AND b.retry_ms > ?))
		ORDER BY seq LIMIT ?`, now.UnixMilli(), now.UnixMilli(), limit)
}

func scan(r sqldb.Row) (row, error) {
	var w row
	var headers string
	var created int64
	m := &w.message
	if err := r.Scan(&w.seq, &m.ID, &w.destination, &w.key, &m.Type, &m.ContentType, &m.CorrelationID, &m.RoutingKey,
		&headers, &m.Payload, &created, &w.attempts); err != nil {
		return row{}, fmt.Errorf("outbox: load: %w", err)
	}
	m.Timestamp = time.UnixMilli(created)
	if err := json.Unmarshal([]byte(headers), &m.Headers); err != nil {
		return row{}, fmt.Errorf("outbox: headers of record %d: %w", w.seq, err)
	}
	return w, nil
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

// clean deletes sent records and inbox notes of before the given times. Each statement deletes a bounded number, so that it
// holds no lock for long; there are as many of them as it takes.
func (s store) clean(ctx context.Context, sentBefore, notedBefore time.Time) error {
	err := s.cleanAll(ctx, `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE sent_ms < ? LIMIT ?)`, sentBefore)
	if err != nil {
		return fmt.Errorf("outbox: clean: %w", err)
	}
	err = s.cleanAll(ctx, `DELETE FROM inbox WHERE (consumer, message_id) IN
		(SELECT consumer, message_id FROM inbox WHERE processed_ms < ? LIMIT ?)`, notedBefore)
	if err != nil {
		return fmt.Errorf("inbox: clean: %w", err)
	}
	return nil
}

func (s store) cleanAll(ctx context.Context, query string, before time.Time) error {
	for {
		res, err := s.db.Writer.ExecContext(ctx, s.db.Rebind(query), before.UnixMilli(), cleanBatch)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n < cleanBatch {
			return err
		}
	}
}
