package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/warren-mq/warren/services/events"
)

// listing is what order knows of a product.
type listing struct {
	name     string
	price    int64
	currency string
}

// productListed keeps the newest revision of each entry.
func (s *Service) productListed(ctx context.Context, tx *sql.Tx, e events.ProductListed) error {
	_, err := tx.ExecContext(ctx, s.DB.Rebind(
		`INSERT INTO catalogue (sku, name, price, currency, revision, entries) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (sku) DO UPDATE SET name = excluded.name, price = excluded.price, currency = excluded.currency,
			revision = excluded.revision, entries = excluded.entries
		WHERE excluded.revision > catalogue.revision`),
		e.SKU, e.Name, e.Price, e.Currency, e.Revision, e.Entries)
	if err != nil {
		return fmt.Errorf("order: catalogue: %w", err)
	}
	return nil
}

func (s *Service) listed(ctx context.Context, tx *sql.Tx, sku string) (l listing, found bool, err error) {
	row := tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT name, price, currency FROM catalogue WHERE sku = ?`), sku)
	err = row.Scan(&l.name, &l.price, &l.currency)
	if errors.Is(err, sql.ErrNoRows) {
		return listing{}, false, nil
	}
	if err != nil {
		return listing{}, false, fmt.Errorf("order: catalogue: %w", err)
	}
	return l, true, nil
}

// CatalogueKnown is nil once every product is known; before, good orders would be refused.
func (s *Service) CatalogueKnown(ctx context.Context) error {
	var known, entries int64
	if err := s.DB.Reader.QueryRowContext(ctx, `SELECT count(*), coalesce(max(entries), 0) FROM catalogue`).Scan(&known, &entries); err != nil {
		return fmt.Errorf("order: catalogue: %w", err)
	}
	if known == 0 || known < entries {
		return fmt.Errorf("%d of %d products are known so far", known, entries)
	}
	return nil
}
