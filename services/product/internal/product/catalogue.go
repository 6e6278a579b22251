package product

import (
	"context"
	"database/sql"
	"fmt"

	"go.opentelemetry.io/otel"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
)

// Currency of all prices.
const Currency = "EUR"

// catalogue is what an empty database begins with. Some have little stock, so that running out is easy to see.
var catalogue = []Product{
	{SKU: "SKU-001", Name: "Notebook, squared", Price: 495, Stock: 10_000},
	{SKU: "SKU-002", Name: "Fountain pen", Price: 2490, Stock: 5_000},
	{SKU: "SKU-003", Name: "Ink, blue-black", Price: 890, Stock: 5_000},
	{SKU: "SKU-004", Name: "Pencil case", Price: 1450, Stock: 2_000},
	{SKU: "SKU-005", Name: "Desk lamp", Price: 5990, Stock: 1_000},
	{SKU: "SKU-006", Name: "Paper, 500 sheets", Price: 749, Stock: 10_000},
	{SKU: "SKU-007", Name: "Ruler, 30 cm", Price: 320, Stock: 5_000},
	{SKU: "SKU-008", Name: "Scissors", Price: 1275, Stock: 2_000},
	{SKU: "SKU-009", Name: "Letter scales", Price: 3400, Stock: 50},
	{SKU: "SKU-010", Name: "Globe, 1928", Price: 18900, Stock: 3},
	{SKU: "SKU-011", Name: "Atlas, first edition", Price: 64900, Stock: 1},
	{SKU: "SKU-012", Name: "Typewriter", Price: 22000, Stock: 0},
	{SKU: events.Undeliverable, Name: "Grand piano (comes back)", Price: 899000, Stock: 20},
}

// Seed fills an empty catalogue, with so many times its stock, and publishes every entry, at each start: whoever reads them may have lost what it knew.
func (s *Service) Seed(ctx context.Context, times int64) error {
	ctx, span := otel.Tracer("product").Start(ctx, "publish catalogue")
	defer span.End()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, p := range catalogue {
			_, err := tx.ExecContext(ctx, s.DB.Rebind(
				`INSERT INTO products (sku, name, price, currency, revision, stock, reserved) VALUES (?, ?, ?, ?, 1, ?, 0) ON CONFLICT DO NOTHING`),
				p.SKU, p.Name, p.Price, Currency, times*p.Stock)
			if err != nil {
				return fmt.Errorf("product: seed: %w", err)
			}
		}
		listed, err := sqldb.Query(ctx, s.DB, tx, scan, `SELECT `+columns+` FROM products ORDER BY sku`)
		if err != nil {
			return err
		}
		for _, p := range listed {
			e := events.ProductListed{
				SKU: p.SKU, Name: p.Name, Price: p.Price, Currency: p.Currency, Revision: p.Revision, Entries: int64(len(listed)),
			}
			if err := s.Emit(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
