package order

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations make the service's tables.
func Migrations() fs.FS { return chassis.MigrationFiles(migrations) }

const columns = `id, customer_id, state, currency, total, items, reason, cancel_ms, trace_id, entries, placed_ms, updated_ms, due_ms, traceparent`

func (s *Service) insert(ctx context.Context, tx *sql.Tx, o Order) error {
	items, err := json.Marshal(o.Items)
	if err != nil {
		return fmt.Errorf("order: items: %w", err)
	}
	_, err = tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO orders (`+columns+`, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
		o.ID, o.CustomerID, o.State, o.Currency, o.Total, string(items), o.Reason, chassis.Millis(o.CancelAt), o.TraceID, 0,
		chassis.Millis(o.PlacedAt), chassis.Millis(o.UpdatedAt), chassis.Millis(o.dueAt), o.traceparent, o.Status())
	if err != nil {
		return fmt.Errorf("order: insert: %w", err)
	}
	return nil
}

// note saves what can change of an order and adds a line to its timeline.
func (s *Service) note(ctx context.Context, tx *sql.Tx, o *Order, event, detail string) error {
	o.entries++
	o.UpdatedAt = s.Now().UTC().Truncate(time.Millisecond)
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`UPDATE orders SET state = ?, status = ?, reason = ?, cancel_ms = ?, entries = ?, updated_ms = ?, due_ms = ? WHERE id = ?`),
		o.State, o.Status(), o.Reason, chassis.Millis(o.CancelAt), o.entries, chassis.Millis(o.UpdatedAt), chassis.Millis(o.dueAt), o.ID)
	if err != nil {
		return fmt.Errorf("order: save: %w", err)
	}
	_, err = tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO timeline (order_id, seq, at_ms, event, status, detail) VALUES (?, ?, ?, ?, ?, ?)`),
		o.ID, o.entries, chassis.Millis(o.UpdatedAt), event, o.Status(), detail)
	if err != nil {
		return fmt.Errorf("order: timeline: %w", err)
	}
	return nil
}

// lock returns an order and keeps it from others until tx ends.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, id string) (Order, error) {
	return scan(tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM orders WHERE id = ?`+s.ForUpdate()), id))
}

// Get returns an order.
func (s *Service) Get(ctx context.Context, id string) (Order, error) {
	return scan(s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM orders WHERE id = ?`), id))
}

// List returns orders, the newest first, beginning after the id before ("" is the start). An empty status is all.
func (s *Service) List(ctx context.Context, status Status, before string, limit int) ([]Order, error) {
	return s.query(ctx, `SELECT `+columns+` FROM orders WHERE (? = '' OR status = ?) AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?`,
		status, status, before, before, limit)
}

// due returns the orders whose time is over by now, the first first.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]Order, error) {
	return s.query(ctx, `SELECT `+columns+` FROM orders WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

func (s *Service) query(ctx context.Context, query string, args ...any) ([]Order, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, scan, query, args...)
}

// Timeline returns the lines of an order's timeline after a sequence number.
func (s *Service) Timeline(ctx context.Context, id string, after int64) ([]Entry, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, scanEntry, `SELECT seq, at_ms, event, status, detail FROM timeline WHERE order_id = ? AND seq > ? ORDER BY seq`, id, after)
}

func scanEntry(row sqldb.Row) (e Entry, err error) {
	var at int64
	if err := row.Scan(&e.Seq, &at, &e.Event, &e.Status, &e.Detail); err != nil {
		return Entry{}, fmt.Errorf("order: timeline: %w", err)
	}
	e.At = chassis.FromMillis(at)
	return e, nil
}

// Follow calls f with each line of the timeline after a sequence number as it is written, until f fails or ctx ends. idle is
// called after each pause without news.
func (s *Service) Follow(ctx context.Context, id string, after int64, pause time.Duration, f func(Entry) error, idle func() error) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		changed := s.changes.wait() // before the look, so that nothing falls between
		entries, err := s.Timeline(ctx, id, after)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := f(e); err != nil {
				return err
			}
			after = e.Seq
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-timer.C:
			if err := idle(); err != nil {
				return err
			}
		}
	}
}

func scan(row sqldb.Row) (Order, error) {
	var o Order
	var items string
	var cancelled, placed, updated, due int64
	err := row.Scan(&o.ID, &o.CustomerID, &o.State, &o.Currency, &o.Total, &items, &o.Reason, &cancelled, &o.TraceID, &o.entries, &placed, &updated,
		&due, &o.traceparent)
	if errors.Is(err, sql.ErrNoRows) {
		return Order{}, ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal([]byte(items), &o.Items)
	}
	if err != nil {
		return Order{}, fmt.Errorf("order: read: %w", err)
	}
	o.CancelAt, o.PlacedAt, o.UpdatedAt, o.dueAt = chassis.FromMillis(cancelled), chassis.FromMillis(placed), chassis.FromMillis(updated), chassis.FromMillis(due)
	return o, nil
}
