package payment

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations make the service's tables.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the directory is compiled in
	}
	return sub
}

// ErrNotFound says that there is no payment for the order.
var ErrNotFound = errors.New("payment: not found")

const columns = `order_id, id, state, customer_id, amount, currency, reason, updated_ms`

// lock returns the order's payment, a new one in state None if there is none, and keeps it from others until tx ends.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, orderID string) (Payment, error) {
	_, err := tx.ExecContext(ctx, s.db.Rebind(`INSERT INTO payments (`+columns+`) VALUES (?, ?, ?, '', 0, '', '', ?) ON CONFLICT DO NOTHING`),
		orderID, newID(), None, time.Now().UnixMilli())
	if err != nil {
		return Payment{}, fmt.Errorf("payment: lock: %w", err)
	}
	return scan(tx.QueryRowContext(ctx, s.db.Rebind(`SELECT `+columns+` FROM payments WHERE order_id = ?`+chassis.ForUpdate(s.db)), orderID))
}

func (s *Service) save(ctx context.Context, tx *sql.Tx, p Payment) error {
	_, err := tx.ExecContext(ctx, s.db.Rebind(
		`UPDATE payments SET state = ?, customer_id = ?, amount = ?, currency = ?, reason = ?, updated_ms = ? WHERE order_id = ?`),
		p.State, p.CustomerID, p.Amount, p.Currency, p.Reason, time.Now().UnixMilli(), p.OrderID)
	if err != nil {
		return fmt.Errorf("payment: save: %w", err)
	}
	return nil
}

// enter adds to the ledger.
func (s *Service) enter(ctx context.Context, tx *sql.Tx, p Payment, kind string, amount int64) error {
	_, err := tx.ExecContext(ctx, s.db.Rebind(
		`INSERT INTO entries (id, payment_id, order_id, kind, amount, currency, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`),
		newID(), p.ID, p.OrderID, kind, amount, p.Currency, time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("payment: ledger: %w", err)
	}
	return nil
}

// Get returns the payment of an order.
func (s *Service) Get(ctx context.Context, orderID string) (Payment, error) {
	p, err := scan(s.db.Reader.QueryRowContext(ctx, s.db.Rebind(`SELECT `+columns+` FROM payments WHERE order_id = ?`), orderID))
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, ErrNotFound
	}
	return p, err
}

// List returns payments, those of the newest orders first, beginning after the order id before ("" is the start).
func (s *Service) List(ctx context.Context, before string, limit int) ([]Payment, error) {
	rows, err := s.db.Reader.QueryContext(ctx, s.db.Rebind(
		`SELECT `+columns+` FROM payments WHERE (? = '' OR order_id < ?) ORDER BY order_id DESC LIMIT ?`), before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("payment: list: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Payment
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func scan(row interface{ Scan(...any) error }) (Payment, error) {
	var p Payment
	var ms int64
	if err := row.Scan(&p.OrderID, &p.ID, &p.State, &p.CustomerID, &p.Amount, &p.Currency, &p.Reason, &ms); err != nil {
		return Payment{}, fmt.Errorf("payment: read: %w", err)
	}
	p.UpdatedAt = time.UnixMilli(ms).UTC()
	return p, nil
}
