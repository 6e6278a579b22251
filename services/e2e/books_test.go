package e2e

import (
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

// books are the four databases, read from outside.
type books struct {
	t   *testing.T
	dbs map[string]*sql.DB
}

func openBooks(t *testing.T, r run) books {
	t.Helper()
	b := books{t: t, dbs: map[string]*sql.DB{}}
	for _, name := range []string{system.Order, system.Payment, system.Product, system.Shipment} {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(r.DataDir(name), name+".db")+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		b.dbs[name] = db
	}
	return b
}

// rows returns a query's rows, the columns of each joined by a blank.
func (b books) rows(service, query string, args ...any) []string {
	b.t.Helper()
	rows, err := b.dbs[service].QueryContext(b.t.Context(), query, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", service, err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		b.t.Fatal(err)
	}
	out := []string{}
	for rows.Next() {
		values, pointers := make([]string, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			b.t.Fatalf("%s: %v", service, err)
		}
		out = append(out, strings.Join(values, " "))
	}
	if err := rows.Err(); err != nil {
		b.t.Fatalf("%s: %v", service, err)
	}
	return out
}

func (b books) want(what, service, query string, want []string, args ...any) {
	b.t.Helper()
	if got := b.rows(service, query, args...); !slices.Equal(got, want) {
		b.t.Errorf("%s: %s has %v, want %v", what, service, got, want)
	}
}

// sent is nil when no outbox holds anything back and nothing is to be asked of the gateway.
func (b books) sent() error {
	if n := len(b.rows(system.Payment, "SELECT order_id FROM payments WHERE due_ms > 0")); n > 0 {
		return fmt.Errorf("%d payments wait for the gateway", n)
	}
	for _, name := range slices.Sorted(maps.Keys(b.dbs)) {
		if left := b.rows(name, "SELECT destination, last_error FROM outbox WHERE sent_ms IS NULL"); len(left) > 0 {
			return fmt.Errorf("%d records wait in %s's outbox: %v", len(left), name, left[0])
		}
	}
	return nil
}

// check compares the databases with the orders as their customers see them.
func (b books) check(orders []order) {
	b.t.Helper()
	b.want("orders", system.Order, "SELECT count(*) FROM orders", []string{fmt.Sprint(len(orders))})
	sold, turnover := map[string]int64{}, int64(0)
	for _, o := range orders {
		b.checkOrder(o)
		if o.Status == "delivered" {
			turnover += o.Total
			for _, it := range o.Items {
				sold[it.SKU] += it.Quantity
			}
		}
	}
	b.want("money", system.Payment, "SELECT coalesce(sum(amount), 0) FROM entries", []string{fmt.Sprint(turnover)})
	b.want("money at the gateway", system.Payment, "SELECT coalesce(sum(amount), 0) FROM gateway_moves", []string{fmt.Sprint(turnover)})
	seed := map[string]int64{
		"SKU-001": 10000, "SKU-002": 5000, "SKU-003": 5000, "SKU-004": 2000, "SKU-005": 1000, "SKU-006": 10000, "SKU-007": 5000, "SKU-008": 2000,
		"SKU-009": 50, "SKU-010": 3, "SKU-011": 1, "SKU-012": 0, events.Undeliverable: 20,
	}
	for sku, n := range seed {
		b.want(sku, system.Product, "SELECT stock, reserved FROM products WHERE sku = ?", []string{fmt.Sprint(n-sold[sku], " ", 0)}, sku)
		b.want(sku+" ledger", system.Product, "SELECT coalesce(sum(stock_delta), 0), coalesce(sum(reserved_delta), 0) FROM movements WHERE sku = ?",
			[]string{fmt.Sprint(-sold[sku], " ", 0)}, sku)
	}
	b.checkInboxes()
}

// end is what an order's status must look like everywhere else.
type end struct {
	payment, stock, shipment []string
}

var ends = map[string]end{
	"delivered": {[]string{"captured"}, []string{"fulfilled"}, []string{"delivered"}},
	"returned":  {[]string{"refunded", "voided"}, []string{"returned", "released"}, []string{"failed"}},
	"rejected":  {[]string{"declined", "voided"}, []string{"rejected", "released", "voided"}, []string{"abandoned", "cancelled", "expired"}},
	"cancelled": {[]string{"declined", "voided"}, []string{"rejected", "released", "voided"}, []string{"cancelled"}},
	"expired":   {[]string{"declined", "voided"}, []string{"rejected", "released", "voided"}, []string{"expired"}},
}

// The lines that each state leaves in the ledgers, in the order in which they are sorted.
var (
	paymentEntries = map[string][]string{"captured": {"capture"}, "refunded": {"capture", "refund"}}
	stockMoves     = map[string][]string{"fulfilled": {"reserve", "ship"}, "released": {"release", "reserve"}, "returned": {"reserve", "restock", "ship"}}
)

func (b books) checkOrder(o order) {
	b.t.Helper()
	one := func(service, query string) string {
		b.t.Helper()
		got := b.rows(service, query, o.ID)
		if len(got) != 1 {
			b.t.Errorf("%s order %s: %s has %d rows for it: %v", o.Status, o.ID, service, len(got), got)
			return ""
		}
		return got[0]
	}
	payment := one(system.Payment, "SELECT state FROM payments WHERE order_id = ?")
	stock := one(system.Product, "SELECT state FROM reservations WHERE order_id = ?")
	shipment := one(system.Shipment, "SELECT state FROM shipments WHERE order_id = ?")
	e, ok := ends[o.Status]
	if !ok || !slices.Contains(e.payment, payment) || !slices.Contains(e.stock, stock) || !slices.Contains(e.shipment, shipment) {
		b.t.Errorf("%s order %s: payment %s, stock %s, shipment %s", o.Status, o.ID, payment, stock, shipment)
	}
	b.want(o.ID, system.Payment, "SELECT kind FROM entries WHERE order_id = ? ORDER BY kind", orEmpty(paymentEntries[payment]), o.ID)
	moves := []string{}
	for _, kind := range stockMoves[stock] {
		for range o.Items {
			moves = append(moves, kind)
		}
	}
	b.want(o.ID, system.Product, "SELECT kind FROM movements WHERE order_id = ? ORDER BY kind", moves, o.ID)
	parcels := 0
	if o.Status == "delivered" || o.Status == "returned" {
		parcels = 1
	}
	b.want(o.ID, system.Shipment, "SELECT count(*) FROM dispatches WHERE order_id = ?", []string{fmt.Sprint(parcels)}, o.ID)
	b.want(o.ID+" events that came twice", system.Order, "SELECT event FROM timeline WHERE order_id = ? GROUP BY event HAVING count(*) > 1", []string{}, o.ID)
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// checkInboxes: what was published is what was applied, message by message.
func (b books) checkInboxes() {
	b.t.Helper()
	for destination, publisher := range destinations {
		published := b.rows(publisher, "SELECT message_id FROM outbox WHERE destination = ? ORDER BY message_id", destination)
		for _, group := range saga.Subscribers(destination) {
			applied := b.rows(group, "SELECT message_id FROM inbox WHERE consumer = ? ORDER BY message_id", destination)
			if !slices.Equal(published, applied) {
				b.t.Errorf("%s: %d published, %d applied by %s", destination, len(published), len(applied), group)
			}
		}
	}
}
