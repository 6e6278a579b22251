package order

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// keyLifetime is how long an idempotency key is remembered.
const keyLifetime = 24 * time.Hour

// Request asks for an order.
type Request struct {
	CustomerID string        `json:"customer_id"`
	Currency   string        `json:"currency"`
	Items      []events.Item `json:"items"`
}

// ItemError says what is wrong with one item of a request.
type ItemError struct {
	Index  int
	Field  string // sku or quantity
	Value  any
	Reason string
}

// ItemErrors are all the mistakes in a request's items.
type ItemErrors []ItemError

func (e ItemErrors) Error() string { return fmt.Sprintf("order: %d items are invalid", len(e)) }

// Place takes an order at the catalogue's prices. A key, unless empty, makes it idempotent: the same request with the same key
// gets the first answer again, and replayed is true.
func (s *Service) Place(ctx context.Context, key string, r Request) (o Order, replayed bool, err error) {
	hash, err := requestHash(r)
	if err != nil {
		return Order{}, false, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if key != "" {
			o, replayed, err = s.claim(ctx, tx, key, hash)
			if err != nil || replayed {
				return err
			}
		}
		if o, err = s.price(ctx, tx, r); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, o); err != nil {
			return err
		}
		if err := s.note(ctx, tx, &o, events.OrderPlaced{}.Type(), ""); err != nil {
			return err
		}
		if key != "" {
			if err := s.remember(ctx, tx, key, o); err != nil {
				return err
			}
		}
		return s.Emit(ctx, tx, placedEvent(o))
	})
	if err == nil && !replayed {
		s.Log.InfoContext(ctx, "order placed", "order_id", o.ID, "total", o.Total, "currency", o.Currency)
	}
	return o, replayed, err
}

// price makes an order of a request. The client names products and quantities; prices are ours.
func (s *Service) price(ctx context.Context, tx *sql.Tx, r Request) (Order, error) {
	now := s.Now().UTC().Truncate(time.Millisecond) // as it is stored
	o := Order{
		ID: uuid.Must(uuid.NewV7()).String(), CustomerID: r.CustomerID, State: saga.Order.Initial, Currency: r.Currency, PlacedAt: now, UpdatedAt: now,
		dueAt: now.Add(s.expiry), traceparent: chassis.Traceparent(ctx),
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		o.TraceID = sc.TraceID().String()
	}
	var invalid ItemErrors
	seen := map[string]bool{}
	for i, it := range r.Items {
		known, found, err := s.listed(ctx, tx, it.SKU)
		mistake := ItemError{Index: i, Field: "sku", Value: it.SKU}
		switch {
		case err != nil:
			return Order{}, err
		case !found:
			mistake.Reason = "unknown product"
		case seen[it.SKU]:
			mistake.Reason = "product is there twice: add the quantities"
		case known.currency != r.Currency:
			mistake.Reason = fmt.Sprintf("product is sold in %s, not in %s", known.currency, r.Currency)
		case it.Quantity <= 0:
			mistake.Field, mistake.Value, mistake.Reason = "quantity", it.Quantity, "quantity must be at least 1"
		}
		if mistake.Reason != "" {
			invalid = append(invalid, mistake)
			continue
		}
		seen[it.SKU] = true
		o.Items = append(o.Items, Item{SKU: it.SKU, Name: known.name, Quantity: it.Quantity, UnitPrice: known.price})
		o.Total += it.Quantity * known.price
	}
	if len(invalid) > 0 {
		return Order{}, invalid
	}
	return o, nil
}

func placedEvent(o Order) events.OrderPlaced {
	e := events.OrderPlaced{OrderID: o.ID, CustomerID: o.CustomerID, Currency: o.Currency, Total: o.Total, PlacedAt: o.PlacedAt}
	for _, it := range o.Items {
		e.Items = append(e.Items, events.PricedItem{SKU: it.SKU, Quantity: it.Quantity, UnitPrice: it.UnitPrice})
	}
	return e
}

// requestHash tells requests apart; how their JSON was written does not matter.
func requestHash(r Request) (string, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("order: hash request: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// claim takes the key for this request, or returns the answer that it got before.
func (s *Service) claim(ctx context.Context, tx *sql.Tx, key, hash string) (o Order, replayed bool, err error) {
	now := s.Now()
	if _, err := tx.ExecContext(ctx, s.DB.Rebind(`DELETE FROM idempotency WHERE created_ms < ?`), now.Add(-keyLifetime).UnixMilli()); err != nil {
		return Order{}, false, fmt.Errorf("order: old idempotency keys: %w", err)
	}
	res, err := tx.ExecContext(ctx, s.DB.Rebind(
		`INSERT INTO idempotency (idempotency_key, request_hash, answer, created_ms) VALUES (?, ?, '', ?) ON CONFLICT DO NOTHING`),
		key, hash, now.UnixMilli())
	if err != nil {
		return Order{}, false, fmt.Errorf("order: idempotency key: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return Order{}, false, err
	}
	var first, answer string
	row := tx.QueryRowContext(ctx, s.DB.Rebind(`SELECT request_hash, answer FROM idempotency WHERE idempotency_key = ?`), key)
	if err := row.Scan(&first, &answer); err != nil {
		return Order{}, false, fmt.Errorf("order: idempotency key: %w", err)
	}
	if first != hash {
		return Order{}, false, ErrKeyReused
	}
	if err := json.Unmarshal([]byte(answer), &o); err != nil {
		return Order{}, false, fmt.Errorf("order: first answer: %w", err)
	}
	return o, true, nil
}

func (s *Service) remember(ctx context.Context, tx *sql.Tx, key string, o Order) error {
	answer, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("order: answer: %w", err)
	}
	if _, err := tx.ExecContext(ctx, s.DB.Rebind(`UPDATE idempotency SET answer = ? WHERE idempotency_key = ?`), string(answer), key); err != nil {
		return fmt.Errorf("order: idempotency key: %w", err)
	}
	return nil
}
