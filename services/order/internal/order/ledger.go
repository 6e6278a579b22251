package order

import (
	"context"
	"fmt"
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// overdueAfter is how long after its expiry an order may take to end, everybody being up.
const overdueAfter = time.Minute

// Ledger counts what became of all orders that were accepted.
type Ledger struct {
	Accepted int64            `json:"accepted"`
	Ended    int64            `json:"ended"`
	Open     int64            `json:"open"`
	Lost     int64            `json:"lost"`   // open for longer than an order can be
	Double   int64            `json:"double"` // events that an order has applied more than once
	Status   map[Status]int64 `json:"status"`
}

// Ledger counts.
func (s *Service) Ledger(ctx context.Context) (Ledger, error) {
	l := Ledger{Status: map[Status]int64{}}
	rows, err := s.DB.Reader.QueryContext(ctx, `SELECT state, count(*) FROM orders GROUP BY state`)
	if err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var state saga.State
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return Ledger{}, fmt.Errorf("order: ledger: %w", err)
		}
		l.Accepted += n
		l.Status[statuses[state]] += n
		if saga.Order.Final(state) {
			l.Ended += n
		} else {
			l.Open += n
		}
	}
	if err := rows.Err(); err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	row := s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT count(*) FROM orders WHERE placed_ms < ? AND status IN ('pending', 'confirmed', 'cancelling', 'shipped')`),
		chassis.Millis(s.Now().Add(-s.expiry-overdueAfter)))
	if err := row.Scan(&l.Lost); err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	row = s.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM timeline GROUP BY order_id, event HAVING count(*) > 1) AS twice`)
	if err := row.Scan(&l.Double); err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	return l, nil
}

// News is a line of some order's timeline.
type News struct {
	OrderID string
	Entry
}

// Latest returns the lines that were written at a time or later, the oldest first.
func (s *Service) Latest(ctx context.Context, since time.Time, limit int) ([]News, error) {
	rows, err := s.DB.Reader.QueryContext(ctx, s.DB.Rebind(
		`SELECT order_id, seq, at_ms, event, status, detail FROM timeline WHERE at_ms >= ? ORDER BY at_ms, order_id, seq LIMIT ?`),
		chassis.Millis(since), limit)
	if err != nil {
		return nil, fmt.Errorf("order: news: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []News
	for rows.Next() {
		var n News
		var at int64
		if err := rows.Scan(&n.OrderID, &n.Seq, &at, &n.Event, &n.Status, &n.Detail); err != nil {
			return nil, fmt.Errorf("order: news: %w", err)
		}
		n.At = chassis.FromMillis(at)
		out = append(out, n)
	}
	return out, rows.Err()
}
