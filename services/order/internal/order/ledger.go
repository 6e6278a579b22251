package order

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
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

// ledgerRest is for how many times as long as it takes nobody looks again for what was applied twice.
const ledgerRest = 20

// doubles remembers what was found last.
type doubles struct {
	mu    sync.Mutex
	n     int64
	until time.Time
}

// Ledger counts. What was applied twice is looked for in all timelines, which takes long when there are many: unless exact is
// asked for, it may be some time ago that somebody looked.
func (s *Service) Ledger(ctx context.Context, exact bool) (Ledger, error) {
	type count struct {
		state saga.State
		n     int64
	}
	counts, err := sqldb.Query(ctx, s.DB, s.DB.Reader, func(row sqldb.Row) (c count, err error) {
		err = row.Scan(&c.state, &c.n)
		return c, err
	}, `SELECT state, count(*) FROM orders GROUP BY state`)
	if err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	l := Ledger{Status: map[Status]int64{}}
	for _, c := range counts {
		l.Accepted += c.n
		l.Status[statuses[c.state]] += c.n
		if saga.Order.Final(c.state) {
			l.Ended += c.n
		} else {
			l.Open += c.n
		}
	}
	row := s.DB.Reader.QueryRowContext(ctx, s.DB.Rebind(`SELECT count(*) FROM orders WHERE placed_ms < ? AND status IN ('pending', 'confirmed', 'cancelling', 'shipped')`),
		chassis.Millis(s.Now().Add(-s.expiry-overdueAfter)))
	if err := row.Scan(&l.Lost); err != nil {
		return Ledger{}, fmt.Errorf("order: ledger: %w", err)
	}
	l.Double, err = s.appliedTwice(ctx, exact)
	return l, err
}

// appliedTwice counts the events that some order has applied more than once.
func (s *Service) appliedTwice(ctx context.Context, exact bool) (int64, error) {
	d := &s.doubles
	d.mu.Lock()
	defer d.mu.Unlock()
	began := time.Now()
	if !exact && began.Before(d.until) {
		return d.n, nil
	}
	row := s.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM timeline GROUP BY order_id, event HAVING count(*) > 1) AS twice`)
	if err := row.Scan(&d.n); err != nil {
		return 0, fmt.Errorf("order: ledger: %w", err)
	}
	d.until = time.Now().Add(ledgerRest * time.Since(began))
	return d.n, nil
}

// News is a line of some order's timeline.
type News struct {
	OrderID string
	Entry
}

// Latest returns the lines that were written at a time or later, the oldest first.
func (s *Service) Latest(ctx context.Context, since time.Time, limit int) ([]News, error) {
	return sqldb.Query(ctx, s.DB, s.DB.Reader, func(row sqldb.Row) (n News, err error) {
		var at int64
		if err := row.Scan(&n.OrderID, &n.Seq, &at, &n.Event, &n.Status, &n.Detail); err != nil {
			return News{}, fmt.Errorf("order: news: %w", err)
		}
		n.At = chassis.FromMillis(at)
		return n, nil
	}, `SELECT order_id, seq, at_ms, event, status, detail FROM timeline WHERE at_ms >= ? ORDER BY at_ms, order_id, seq LIMIT ?`,
		chassis.Millis(since), limit)
}
