package order

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// TestLedger writes what must never be: an event that is applied twice, and an order that nobody ends.
func TestLedger(t *testing.T) {
	db, err := chassis.OpenDB(t.Context(), filepath.Join(t.TempDir(), "order.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), time.Minute)
	write := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Writer.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	order := func(id string, state saga.State, placed time.Time) {
		write(`INSERT INTO orders (`+columns+`, status) VALUES (?, 'c', ?, 'EUR', 1, '[]', '', 0, '', 0, ?, 0, 0, '', ?)`, id, state, chassis.Millis(placed), statuses[state])
	}
	line := func(id string, seq int, event string) {
		write(`INSERT INTO timeline (order_id, seq, at_ms, event, status, detail) VALUES (?, ?, 0, ?, '', '')`, id, seq, event)
	}
	check := func(what string, want Ledger) {
		t.Helper()
		l, err := s.Ledger(t.Context(), true)
		l.Status = nil
		if err != nil || l.Accepted != want.Accepted || l.Ended != want.Ended || l.Open != want.Open || l.Lost != want.Lost || l.Double != want.Double {
			t.Errorf("%s: %+v, want %+v (%v)", what, l, want, err)
		}
	}
	now := time.Now()
	s.Now = func() time.Time { return now }
	order("a", saga.Order.Initial, now)
	line("a", 1, "OrderPlaced")
	line("b", 1, "OrderPlaced")
	check("all is well", Ledger{Accepted: 1, Open: 1})
	line("a", 2, "OrderPlaced")
	check("twice", Ledger{Accepted: 1, Open: 1, Double: 1})
	order("b", saga.OrderStopped, now)
	check("one has ended", Ledger{Accepted: 2, Ended: 1, Open: 1, Double: 1})
	now = now.Add(time.Minute + overdueAfter + time.Second)
	check("one should have", Ledger{Accepted: 2, Ended: 1, Open: 1, Lost: 1, Double: 1})
}
