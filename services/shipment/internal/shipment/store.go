package shipment

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations make the service's tables.
func Migrations() fs.FS { return chassis.MigrationFiles(migrations) }

// ErrNotFound says that there is no shipment for the order.
var ErrNotFound = errors.New("shipment: not found")

const columns = `order_id, id, state, reason, due_ms, traceparent, updated_ms, undeliverable`

// lock returns the order's shipment, a new one in the initial state if there is none, and keeps it from others until tx ends.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, orderID string) (Shipment, error) {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO shipments (`+columns+`) VALUES (?, ?, ?, '', 0, '', ?, 0) ON CONFLICT DO NOTHING`),
		orderID, newID(), saga.Shipment.Initial, s.Now().UnixMilli())
	if err != nil {
		return Shipment{}, fmt.Errorf("shipment: lock: %w", err)
	}
	return scan(tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM shipments WHERE order_id = ?`+s.ForUpdate()), orderID))
}

func (s *Service) save(ctx context.Context, tx *sql.Tx, p Shipment, at time.Time) error {
	undeliverable := 0
	if p.undeliverable {
		undeliverable = 1
	}
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`UPDATE shipments SET state = ?, reason = ?, due_ms = ?, traceparent = ?, updated_ms = ?, undeliverable = ? WHERE order_id = ?`),
		p.State, p.Reason, chassis.Millis(p.DueAt), p.traceparent, at.UnixMilli(), undeliverable, p.OrderID)
	if err != nil {
		return fmt.Errorf("shipment: save: %w", err)
	}
	return nil
}

// enter adds to the log of what left the house.
func (s *Service) enter(ctx context.Context, tx *sql.Tx, p Shipment, at time.Time) error {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO dispatches (id, order_id, at_ms) VALUES (?, ?, ?)`), newID(), p.OrderID, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("shipment: log: %w", err)
	}
	return nil
}

// due returns what packer and carrier have done by now, the first first.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]Shipment, error) {
	return s.query(ctx, `SELECT `+columns+` FROM shipments WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

// Get returns the shipment of an order.
func (s *Service) Get(ctx context.Context, orderID string) (Shipment, error) {
	p, err := scan(s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM shipments WHERE order_id = ?`), orderID))
	if errors.Is(err, sql.ErrNoRows) {
		return Shipment{}, ErrNotFound
	}
	return p, err
}

// List returns shipments, those of the newest orders first, beginning after the order id before ("" is the start).
func (s *Service) List(ctx context.Context, before string, limit int) ([]Shipment, error) {
	return s.query(ctx, `SELECT `+columns+` FROM shipments WHERE (? = '' OR order_id < ?) ORDER BY order_id DESC LIMIT ?`, before, before, limit)
}

func (s *Service) query(ctx context.Context, query string, args ...any) ([]Shipment, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, scan, query, args...)
}

func scan(row sqldb.Row) (Shipment, error) {
	var p Shipment
	var due, updated, undeliverable int64
	if err := row.Scan(&p.OrderID, &p.ID, &p.State, &p.Reason, &due, &p.traceparent, &updated, &undeliverable); err != nil {
		return Shipment{}, fmt.Errorf("shipment: read: %w", err)
	}
	p.DueAt, p.UpdatedAt, p.undeliverable = chassis.FromMillis(due), chassis.FromMillis(updated), undeliverable != 0
	return p, nil
}
