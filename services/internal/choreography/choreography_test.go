package choreography

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/sqldb/sqldbtest"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

const (
	ordersMax = 6
	stepsMax  = 60
)

var shelf = map[string]int64{"SKU-001": 100, "SKU-010": 3, "SKU-011": 1, events.Undeliverable: 20}

// TestSubscriptions: each service subscribes to what its table acts on.
func TestSubscriptions(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(service string) string { return filepath.Join(dir, service+".db") })
	for _, m := range saga.Services() {
		for _, e := range events.All() {
			_, subscribed := w.members[m.Name].subs[e.Destination()]
			if listens := slices.Contains(saga.Subscribers(e.Destination()), m.Name); listens != subscribed {
				t.Errorf("%s subscribes to %s: %t, the table says %t", m.Name, e.Type(), subscribed, listens)
			}
		}
	}
}

// TestAnyInterleaving: whatever is ordered, cancelled, delivered late, twice or out of order, whichever clock strikes, whatever the
// gateway does and whoever is restarted, in the end every order is final and stock and money are what the delivered orders make of
// them.
func TestAnyInterleaving(t *testing.T) {
	dir := t.TempDir()
	anyInterleaving(t, newWorld(t, func(service string) string { return filepath.Join(dir, service+".db") }))
}

// TestAnyInterleavingOnPostgres is the same on the other database.
func TestAnyInterleavingOnPostgres(t *testing.T) {
	base := os.Getenv(sqldbtest.PostgresEnv)
	if base == "" {
		t.Skip(sqldbtest.PostgresEnv + " is not set")
	}
	admin, err := sqldb.Open(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	schemas := map[string]string{}
	for _, group := range groups {
		schemas[group] = group + strings.ReplaceAll(uuid.NewString(), "-", "")
		if _, err := admin.Writer.Exec("CREATE SCHEMA " + schemas[group]); err != nil {
			t.Fatal(err)
		}
	}
	anyInterleaving(t, newWorld(t, func(service string) string {
		sep := "?"
		if strings.Contains(base, "?") {
			sep = "&"
		}
		return base + sep + "search_path=" + schemas[service]
	}))
}

func anyInterleaving(t *testing.T, w *world) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		w.reset(r)
		placed := map[string]int64{} // order id to pieces of each SKU in its request
		var ids []string
		skus := map[string]string{}
		step := map[string]func(*rapid.T){
			"place": func(r *rapid.T) {
				if len(ids) == ordersMax {
					return
				}
				customer := rapid.SampledFrom([]string{"c-1", "c-2", "decline-1"}).Draw(r, "customer")
				sku := rapid.SampledFrom([]string{"SKU-001", "SKU-010", "SKU-011", events.Undeliverable}).Draw(r, "sku")
				n := rapid.Int64Range(1, 2).Draw(r, "quantity")
				id, err := w.orders.Place(r.Context(), customer, "EUR", events.Item{SKU: sku, Quantity: n})
				if err != nil {
					r.Fatal(err)
				}
				ids, placed[id], skus[id] = append(ids, id), n, sku
				w.collect(r)
			},
			"cancel": func(r *rapid.T) {
				if len(ids) == 0 {
					return
				}
				if _, err := w.orders.Cancel(r.Context(), rapid.SampledFrom(ids).Draw(r, "order")); err != nil {
					r.Fatal(err)
				}
				w.collect(r)
			},
			"deliver": func(r *rapid.T) {
				if len(w.pending) > 0 {
					w.deliver(r, rapid.IntRange(0, len(w.pending)-1).Draw(r, "message"), false)
				}
			},
			"deliver twice": func(r *rapid.T) {
				if len(w.pending) > 0 {
					w.deliver(r, rapid.IntRange(0, len(w.pending)-1).Draw(r, "message"), true)
				}
			},
			"work": func(r *rapid.T) { // packer, carrier, gateway
				w.strike(r, rapid.SampledFrom([]string{events.GroupPayment, events.GroupShipment}).Draw(r, "who"), time.Minute)
			},
			"time is over": func(r *rapid.T) {
				w.strike(r, rapid.SampledFrom([]string{events.GroupOrder, events.GroupPayment, events.GroupProduct}).Draw(r, "whose"), later)
			},
			"gateway": func(r *rapid.T) {
				w.payments.Down, w.payments.Twice = rapid.Bool().Draw(r, "down"), rapid.Bool().Draw(r, "twice")
			},
			"restart": func(r *rapid.T) { w.open(r, rapid.SampledFrom(groups).Draw(r, "service")) },
		}
		names := []string{"place", "deliver", "deliver", "deliver", "deliver twice", "work", "work", "cancel", "time is over", "gateway", "restart"}
		for range rapid.IntRange(1, stepsMax).Draw(r, "steps") {
			step[rapid.SampledFrom(names).Draw(r, "step")](r)
		}
		w.finish(r)
		sold := map[string]int64{}
		for _, id := range ids {
			if w.checkOrder(r, id) {
				sold[skus[id]] += placed[id]
			}
		}
		w.checkBooks(r, sold)
	})
}

// finish lets everything happen that has to, with a gateway that works, until nothing is left to do.
func (w *world) finish(r *rapid.T) {
	w.payments.Down = false
	for {
		w.strike(r, events.GroupPayment, time.Minute)
		w.strike(r, events.GroupShipment, time.Minute)
		if len(w.pending) == 0 {
			w.strike(r, events.GroupPayment, 2*later) // what was asked in vain when time was over
		}
		if len(w.pending) == 0 {
			return
		}
		for len(w.pending) > 0 {
			w.deliver(r, rapid.IntRange(0, len(w.pending)-1).Draw(r, "message"), false)
		}
	}
}

// checkOrder checks that the four services agree on the end of an order, and tells whether it was delivered.
func (w *world) checkOrder(t tb, id string) (delivered bool) {
	t.Helper()
	got := []string{
		w.text(t, events.GroupOrder, "SELECT status FROM orders WHERE id = ?", id),
		w.text(t, events.GroupPayment, "SELECT state FROM payments WHERE order_id = ?", id),
		w.text(t, events.GroupProduct, "SELECT state FROM reservations WHERE order_id = ?", id),
		w.text(t, events.GroupShipment, "SELECT state FROM shipments WHERE order_id = ?", id),
	}
	failedPayment, failedStock := []string{"declined", "voided"}, []string{"rejected", "released", "voided"}
	want := map[string][][]string{
		"delivered": {{"captured"}, {"fulfilled"}, {"delivered"}},
		"returned":  {{"refunded", "voided"}, {"returned", "released"}, {"failed"}},
		"rejected":  {failedPayment, failedStock, {"abandoned", "cancelled", "expired"}},
		"cancelled": {failedPayment, failedStock, {"cancelled"}},
		"expired":   {failedPayment, failedStock, {"expired"}},
	}[got[0]]
	for i, allowed := range want {
		if !slices.Contains(allowed, got[i+1]) {
			t.Fatalf("order %s ends as order, payment, stock, shipment = %v", id, got)
		}
	}
	if want == nil {
		t.Fatalf("order %s has not ended: %v", id, got)
	}
	delivered = got[0] == "delivered"
	gone := delivered || got[0] == "returned"
	parcels := w.number(t, events.GroupShipment, "SELECT count(*) FROM dispatches WHERE order_id = ?", id)
	if gone && parcels != 1 || !gone && parcels != 0 {
		t.Fatalf("order %s is %s, %d parcels left", id, got[0], parcels)
	}
	if twice := w.text(t, events.GroupOrder, "SELECT event FROM timeline WHERE order_id = ? GROUP BY event HAVING count(*) > 1", id); twice != "" {
		t.Fatalf("order %s has %s twice in its timeline", id, twice)
	}
	return delivered
}

// checkBooks compares shelves and ledgers with what was sold.
func (w *world) checkBooks(t tb, sold map[string]int64) {
	t.Helper()
	for sku, seed := range shelf {
		stock := w.number(t, events.GroupProduct, "SELECT stock FROM products WHERE sku = ?", sku)
		reserved := w.number(t, events.GroupProduct, "SELECT reserved FROM products WHERE sku = ?", sku)
		if stock != seed-sold[sku] || reserved != 0 {
			t.Fatalf("%s: stock %d, reserved %d; %d of %d were sold", sku, stock, reserved, sold[sku], seed)
		}
		moved := w.number(t, events.GroupProduct, "SELECT coalesce(sum(stock_delta), 0) FROM movements WHERE sku = ?", sku)
		if moved != -sold[sku] {
			t.Fatalf("%s: the ledger says %d, %d were sold", sku, moved, sold[sku])
		}
	}
	owed := w.number(t, events.GroupOrder, "SELECT coalesce(sum(total), 0) FROM orders WHERE status = 'delivered'")
	for what, query := range map[string]string{
		"our ledger":  "SELECT coalesce(sum(amount), 0) FROM entries",
		"the gateway": "SELECT coalesce(sum(amount), 0) FROM gateway_moves",
	} {
		if money := w.number(t, events.GroupPayment, query); money != owed {
			t.Fatalf("%s says %d, delivered orders are worth %d", what, money, owed)
		}
	}
	if held := w.number(t, events.GroupPayment, "SELECT count(*) FROM gateway_accounts WHERE state = 'held'"); held != 0 {
		t.Fatalf("money of %d orders is held for ever", held)
	}
}
