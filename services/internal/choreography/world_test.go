// Package choreography plays all four services in one process and tries to break what they do together.
package choreography

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/order/ordertest"
	"github.com/warren-mq/warren/services/payment/paymenttest"
	"github.com/warren-mq/warren/services/product/producttest"
	"github.com/warren-mq/warren/services/shipment/shipmenttest"
)

// Times that are far beyond what a test takes: clocks strike when the test says so.
const (
	patience = time.Hour
	later    = 2 * time.Hour
)

// world is the four services with their real databases, outboxes and inboxes; the broker is a list from which the test takes.
type world struct {
	path      func(service string) string
	orders    *ordertest.Orders
	payments  *paymenttest.Payments
	products  *producttest.Products
	shipments *shipmenttest.Shipments
	members   map[string]*member // by group
	pending   []letter
}

type member struct {
	db   *sqldb.DB
	subs map[string]chassis.Subscription // by destination
	seq  int64                           // of the last outbox row that was taken
}

// letter is one group's copy of a message.
type letter struct {
	group, destination, id string
	payload                []byte
}

func (l letter) String() string { return fmt.Sprintf("%s for %s", l.destination, l.group) }

var groups = []string{events.GroupOrder, events.GroupPayment, events.GroupProduct, events.GroupShipment}

// newWorld opens the services on databases whose addresses path knows.
func newWorld(t *testing.T, path func(service string) string) *world {
	t.Helper()
	w := &world{path: path, members: map[string]*member{}}
	for _, group := range groups {
		w.open(t, group)
	}
	t.Cleanup(func() {
		for _, m := range w.members {
			_ = m.db.Close()
		}
	})
	w.collect(t)
	for len(w.pending) > 0 { // the catalogue
		w.deliver(t, 0, false)
	}
	return w
}

// open starts a service, again if it ran before: what it knows is what its database says.
func (w *world) open(t tb, group string) {
	t.Helper()
	m := w.members[group]
	if m == nil {
		m = &member{}
		w.members[group] = m
	} else if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	var subs []chassis.Subscription
	switch ctx, path := t.Context(), w.path(group); group {
	case events.GroupOrder:
		if w.orders, err = ordertest.Open(ctx, path, patience); err == nil {
			m.db, subs = w.orders.DB, w.orders.Subscriptions
		}
	case events.GroupPayment:
		if w.payments, err = paymenttest.Open(ctx, path, patience); err == nil {
			m.db, subs = w.payments.DB, w.payments.Subscriptions
		}
	case events.GroupProduct:
		if w.products, err = producttest.Open(ctx, path, patience); err == nil {
			m.db, subs = w.products.DB, w.products.Subscriptions
		}
	case events.GroupShipment:
		if w.shipments, err = shipmenttest.Open(ctx, path); err == nil {
			m.db, subs = w.shipments.DB, w.shipments.Subscriptions
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	// Durability is not what is tried here.
	off := map[sqldb.Dialect]string{sqldb.SQLite: "PRAGMA synchronous = OFF", sqldb.Postgres: "SET synchronous_commit = off"}
	if _, err := m.db.Writer.Exec(off[m.db.Dialect]); err != nil {
		t.Fatal(err)
	}
	m.subs = map[string]chassis.Subscription{}
	for _, s := range subs {
		m.subs[s.Destination] = s
	}
}

// tb is testing.TB or a rapid.T.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// reset forgets all orders and fills the shelves again.
func (w *world) reset(t tb) {
	t.Helper()
	w.pending = nil
	for group, tables := range map[string][]string{
		events.GroupOrder:    {"DELETE FROM orders", "DELETE FROM timeline"},
		events.GroupPayment:  {"DELETE FROM payments", "DELETE FROM entries", "DELETE FROM gateway_accounts", "DELETE FROM gateway_moves"},
		events.GroupShipment: {"DELETE FROM shipments", "DELETE FROM dispatches"},
		events.GroupProduct: {
			"DELETE FROM reservations", "DELETE FROM reservation_items", "DELETE FROM movements",
			"UPDATE products SET reserved = 0, stock = CASE sku WHEN 'SKU-010' THEN 3 WHEN 'SKU-011' THEN 1 WHEN 'SKU-013' THEN 20 ELSE 100 END",
		},
	} {
		for _, statement := range tables {
			if _, err := w.members[group].db.Writer.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// collect takes what the services have written into their outboxes and makes a copy for every group that listens.
func (w *world) collect(t tb) {
	t.Helper()
	for _, group := range groups {
		m := w.members[group]
		rows, err := m.db.Reader.QueryContext(t.Context(),
			m.db.Rebind("SELECT seq, message_id, destination, payload FROM outbox WHERE seq > ? ORDER BY seq"), m.seq)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var l letter
			if err := rows.Scan(&m.seq, &l.id, &l.destination, &l.payload); err != nil {
				t.Fatal(err)
			}
			readers := saga.Subscribers(l.destination)
			if len(readers) == 0 {
				t.Fatalf("nobody listens to %s", l.destination)
			}
			for _, l.group = range readers {
				w.pending = append(w.pending, l)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// deliver hands out a pending message; with keep it stays pending, as after a lost ack.
func (w *world) deliver(t tb, i int, keep bool) {
	t.Helper()
	l := w.pending[i]
	if !keep {
		w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
	}
	m := w.members[l.group]
	sub, ok := m.subs[l.destination]
	if !ok {
		t.Fatalf("%s: saga.Subscribers names a group that does not subscribe", l)
	}
	if err := sub.Deliver(t.Context(), m.db, l.id, l.payload); err != nil {
		t.Fatalf("%s: %v", l, err)
	}
	w.collect(t)
}

// strike lets a service's clock do what is due after a time.
func (w *world) strike(t tb, group string, after time.Duration) {
	t.Helper()
	due := map[string]func(context.Context, time.Time) error{
		events.GroupOrder: w.orders.Expire, events.GroupPayment: w.payments.Ask, events.GroupProduct: w.products.Expire, events.GroupShipment: w.shipments.Move,
	}[group]
	if err := due(t.Context(), time.Now().Add(after)); err != nil {
		t.Fatal(err)
	}
	w.collect(t)
}

// text returns the only column of the only row, "" when there is none.
func (w *world) text(t tb, group, query string, args ...any) string {
	t.Helper()
	var s string
	rows, err := w.members[group].db.Reader.QueryContext(t.Context(), w.members[group].db.Rebind(query), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (w *world) number(t tb, group, query string, args ...any) (n int64) {
	t.Helper()
	db := w.members[group].db
	if err := db.Reader.QueryRowContext(t.Context(), db.Rebind(query), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
