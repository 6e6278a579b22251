package payment

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

// ErrNotFound says that there is no payment for the order.
var ErrNotFound = errors.New("payment: not found")

const columns = `order_id, id, state, customer_id, amount, currency, reason, updated_ms, asked, due_ms, give_up_ms, traceparent`

// lock returns the order's payment, a new one in the initial state if there is none, and keeps it from others until tx ends.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, orderID string) (Payment, error) {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`INSERT INTO payments (order_id, id, state, customer_id, amount, currency, reason, updated_ms) VALUES (?, ?, ?, '', 0, '', '', ?) ON CONFLICT DO NOTHING`),
		orderID, newID(), saga.Payment.Initial, s.Now().UnixMilli())
	if err != nil {
		return Payment{}, fmt.Errorf("payment: lock: %w", err)
	}
	return scan(tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM payments WHERE order_id = ?`+s.ForUpdate()), orderID))
}

func (s *Service) save(ctx context.Context, tx *sql.Tx, p Payment, at time.Time) error {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`UPDATE payments SET state = ?, customer_id = ?, amount = ?, currency = ?, reason = ?, updated_ms = ?, asked = ?, due_ms = ?, give_up_ms = ?,
			traceparent = ? WHERE order_id = ?`),
		p.State, p.CustomerID, p.Amount, p.Currency, p.Reason, at.UnixMilli(), p.asked, chassis.Millis(p.dueAt), chassis.Millis(p.giveUpAt),
		p.traceparent, p.OrderID)
	if err != nil {
		return fmt.Errorf("payment: save: %w", err)
	}
	return nil
}

// inVain notes when the gateway is asked again, unless it has answered meanwhile.
func (s *Service) inVain(ctx context.Context, p Payment, again time.Time) error {
	_, err := s.DB.Writer.ExecContext(ctx, s.DB.Rebind(`UPDATE payments SET asked = asked + 1, due_ms = ? WHERE order_id = ? AND state = ?`),
		again.UnixMilli(), p.OrderID, p.State)
	if err != nil {
		return fmt.Errorf("payment: save: %w", err)
	}
	return nil
}

// enter adds to the ledger. A payment has one entry of a kind at most.
func (s *Service) enter(ctx context.Context, tx *sql.Tx, p Payment, kind string, amount int64, at time.Time) error {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`INSERT INTO entries (id, payment_id, order_id, kind, amount, currency, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`),
		p.ID+" "+kind, p.ID, p.OrderID, kind, amount, p.Currency, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("payment: ledger: %w", err)
	}
	return nil
}

// due returns what the gateway is to be asked by now, the most urgent first.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]Payment, error) {
	return s.query(ctx, `SELECT `+columns+` FROM payments WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

// Get returns the payment of an order.
func (s *Service) Get(ctx context.Context, orderID string) (Payment, error) {
	p, err := scan(s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM payments WHERE order_id = ?`), orderID))
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, ErrNotFound
	}
	return p, err
}

// List returns payments, those of the newest orders first, beginning after the order id before ("" is the start).
func (s *Service) List(ctx context.Context, before string, limit int) ([]Payment, error) {
	return s.query(ctx, `SELECT `+columns+` FROM payments WHERE (? = '' OR order_id < ?) ORDER BY order_id DESC LIMIT ?`, before, before, limit)
}

func (s *Service) query(ctx context.Context, query string, args ...any) ([]Payment, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, scan, query, args...)
}

func scan(row sqldb.Row) (Payment, error) {
	var p Payment
	var updated, due, giveUp int64
	err := row.Scan(&p.OrderID, &p.ID, &p.State, &p.CustomerID, &p.Amount, &p.Currency, &p.Reason, &updated, &p.asked, &due, &giveUp, &p.traceparent)
	if err != nil {
		return Payment{}, fmt.Errorf("payment: read: %w", err)
	}
	p.UpdatedAt, p.dueAt, p.giveUpAt = chassis.FromMillis(updated), chassis.FromMillis(due), chassis.FromMillis(giveUp)
	return p, nil
}
