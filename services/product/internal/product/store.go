package product

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

// ErrNotFound says that the catalogue has no such product.
var ErrNotFound = errors.New("product: not found")

const columns = `sku, name, price, currency, revision, stock, reserved`

// reservation is what is, was or will not be set aside for an order.
type reservation struct {
	orderID     string
	state       saga.State
	reason      string
	items       map[string]int64 // pieces per SKU
	dueAt       time.Time        // when the hold has run out; zero when there is none
	traceparent string           // of the message that began it
}

// lock returns the order's reservation, a new one in the initial state if there is none, and keeps it from others until tx ends.
func (s *Service) lock(ctx context.Context, tx *sql.Tx, orderID string) (reservation, error) {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO reservations (order_id, state, reason, updated_ms) VALUES (?, ?, '', ?) ON CONFLICT DO NOTHING`),
		orderID, saga.Stock.Initial, s.Now().UnixMilli())
	if err != nil {
		return reservation{}, fmt.Errorf("product: lock reservation: %w", err)
	}
	r := reservation{orderID: orderID, items: map[string]int64{}}
	var due int64
	row := tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT state, reason, due_ms, traceparent FROM reservations WHERE order_id = ?`+s.ForUpdate()), orderID)
	if err := row.Scan(&r.state, &r.reason, &due, &r.traceparent); err != nil {
		return reservation{}, fmt.Errorf("product: read reservation: %w", err)
	}
	r.dueAt = chassis.FromMillis(due)
	if r.state == saga.Stock.Initial {
		return r, nil
	}
	_, err = sqldb.Query(ctx, s.DB, tx, func(row sqldb.Row) (sku string, err error) {
		var n int64
		if err := row.Scan(&sku, &n); err != nil {
			return "", fmt.Errorf("product: read reservation: %w", err)
		}
		r.items[sku] = n
		return sku, nil
	}, `SELECT sku, quantity FROM reservation_items WHERE order_id = ?`, orderID)
	return r, err
}

func (s *Service) save(ctx context.Context, tx *sql.Tx, r reservation, at time.Time) error {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(`UPDATE reservations SET state = ?, reason = ?, due_ms = ?, traceparent = ?, updated_ms = ? WHERE order_id = ?`),
		r.state, r.reason, chassis.Millis(r.dueAt), r.traceparent, at.UnixMilli(), r.orderID)
	if err != nil {
		return fmt.Errorf("product: save reservation: %w", err)
	}
	return nil
}

func (s *Service) saveItems(ctx context.Context, tx *sql.Tx, r reservation) error {
	for _, sku := range skus(r.items) {
		_, err := tx.ExecContext(ctx, s.DB.Rebind(`INSERT INTO reservation_items (order_id, sku, quantity) VALUES (?, ?, ?)`), r.orderID, sku, r.items[sku])
		if err != nil {
			return fmt.Errorf("product: save reservation: %w", err)
		}
	}
	return nil
}

// due returns the holds that have run out by now, the first first.
func (s *Service) due(ctx context.Context, now time.Time, limit int) ([]reservation, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, func(row sqldb.Row) (r reservation, err error) {
		if err := row.Scan(&r.orderID, &r.traceparent); err != nil {
			return reservation{}, fmt.Errorf("product: read reservations: %w", err)
		}
		return r, nil
	}, `SELECT order_id, traceparent FROM reservations WHERE due_ms > 0 AND due_ms <= ? ORDER BY due_ms LIMIT ?`, now.UnixMilli(), limit)
}

// move changes the stock of one product by n pieces and writes the ledger.
func (s *Service) move(ctx context.Context, tx *sql.Tx, orderID, sku, kind string, n int64, at time.Time) error {
	e := effects[kind]
	_, err := tx.ExecContext(ctx, s.DB.Rebind(`UPDATE products SET stock = stock + ?, reserved = reserved + ? WHERE sku = ?`),
		e.stock*n, e.reserved*n, sku)
	if err != nil {
		return fmt.Errorf("product: move stock: %w", err)
	}
	_, err = tx.ExecContext(ctx, s.DB.Rebind(
		`INSERT INTO movements (id, order_id, sku, kind, stock_delta, reserved_delta, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`),
		newID(), orderID, sku, kind, e.stock*n, e.reserved*n, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("product: ledger: %w", err)
	}
	return nil
}

func (s *Service) lockProduct(ctx context.Context, tx *sql.Tx, sku string) (p Product, known bool, err error) {
	p, err = scan(tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM products WHERE sku = ?`+s.ForUpdate()), sku))
	if errors.Is(err, sql.ErrNoRows) {
		return Product{}, false, nil
	}
	return p, err == nil, err
}

// Get returns a product.
func (s *Service) Get(ctx context.Context, sku string) (Product, error) {
	p, err := scan(s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT `+columns+` FROM products WHERE sku = ?`), sku))
	if errors.Is(err, sql.ErrNoRows) {
		return Product{}, ErrNotFound
	}
	return p, err
}

// List returns products by SKU, beginning after one ("" is the start).
func (s *Service) List(ctx context.Context, after string, limit int) ([]Product, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, scan, `SELECT `+columns+` FROM products WHERE sku > ? ORDER BY sku LIMIT ?`, after, limit)
}

func scan(row sqldb.Row) (Product, error) {
	var p Product
	if err := row.Scan(&p.SKU, &p.Name, &p.Price, &p.Currency, &p.Revision, &p.Stock, &p.Reserved); err != nil {
		return Product{}, fmt.Errorf("product: read: %w", err)
	}
	return p, nil
}
