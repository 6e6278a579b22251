package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/sqldb/sqldbtest"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// client asks the API without a socket.
type client struct {
	t  *testing.T
	s  *httpserver.Server
	db *sqldb.DB
}

// newClient is on a database that knows SKU-001 for 4.95 EUR and SKU-USD for 1.00 USD.
func newClient(t *testing.T, db *sqldb.DB) client {
	t.Helper()
	if err := chassis.Migrate(t.Context(), db, order.Migrations()); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	orders := order.New(chassis.NewCore(db, log), time.Hour)
	for id, payload := range map[string]string{
		"1": `{"sku":"SKU-001","name":"Notebook","price":495,"currency":"EUR","revision":2}`,
		"2": `{"sku":"SKU-001","name":"Notebook","price":1,"currency":"EUR","revision":1}`,
		"3": `{"sku":"SKU-USD","name":"Coin","price":100,"currency":"USD","revision":1}`,
	} {
		if err := orders.Subscriptions()[0].Deliver(t.Context(), db, id, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	s := httpserver.New(httpserver.Config{Service: "order", Logger: log})
	routes(s.API, orders, "http://traces")
	return client{t: t, s: s, db: db}
}

func newDB(t *testing.T) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), t.TempDir()+"/order.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

type answer struct {
	*httptest.ResponseRecorder
	problem struct {
		Status int
		Detail string
		Errors []struct{ Message, Location string }
	}
	order orderBody
}

func (c client) do(method, path, body string, header ...string) answer {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	c.s.ServeHTTP(a.ResponseRecorder, r)
	if a.Code >= 400 {
		if a.Header().Get("Content-Type") != httpserver.ContentTypeProblem {
			c.t.Errorf("%s %s: %d is no problem+json: %s", method, path, a.Code, a.Body)
		}
		_ = json.Unmarshal(a.Body.Bytes(), &a.problem)
		return a
	}
	_ = json.Unmarshal(a.Body.Bytes(), &a.order)
	return a
}

const good = `{"customer_id":"c-1","currency":"EUR","items":[{"sku":"SKU-001","quantity":2}]}`

func TestOrders(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, open func() *sqldb.DB) {
		t.Helper()
		c := newClient(t, open())
		a := c.do("POST", "/orders", good)
		if a.Code != http.StatusCreated || a.order.Total != 990 || a.order.Status != "pending" || a.Header().Get("Location") != "/orders/"+a.order.ID {
			t.Fatalf("%d %v %s", a.Code, a.Header(), a.Body)
		}
		b := c.do("POST", "/orders", good)
		if got := c.do("GET", "/orders/"+a.order.ID, ""); got.Body.String() != a.Body.String() {
			t.Errorf("GET %s, POST said %s", got.Body, a.Body)
		}
		var page struct {
			Items      []orderBody
			NextCursor string `json:"next_cursor"`
		}
		list := c.do("GET", "/orders?limit=1&status=pending", "")
		if err := json.Unmarshal(list.Body.Bytes(), &page); err != nil || len(page.Items) != 1 || page.Items[0].ID != b.order.ID {
			t.Fatalf("first page %s", list.Body)
		}
		list = c.do("GET", "/orders?limit=1&cursor="+page.NextCursor, "")
		page.NextCursor = ""
		if err := json.Unmarshal(list.Body.Bytes(), &page); err != nil || page.Items[0].ID != a.order.ID || page.NextCursor != "" {
			t.Fatalf("second page %s", list.Body)
		}
		for range 2 {
			if a := c.do("POST", "/orders/"+a.order.ID+"/cancel", ""); a.Code != http.StatusAccepted || !a.order.CancellationRequested {
				t.Errorf("cancel: %d %s", a.Code, a.Body)
			}
		}
		if a := c.do("GET", "/orders/"+a.order.ID+"/timeline", ""); strings.Count(a.Body.String(), "OrderCancellationRequested") != 1 {
			t.Errorf("timeline %s", a.Body)
		}
	})
}

func TestProblems(t *testing.T) {
	c := newClient(t, newDB(t))
	item := func(s string) string { return `{"customer_id":"c-1","currency":"EUR","items":[` + s + `]}` }
	for _, x := range []struct {
		name, body, contentType string
		status                  int
		says                    string // in the detail, a message or a location
	}{
		{"malformed JSON", `{"customer_id":`, "", 400, "unexpected end of JSON"},
		{"wrong content type", `hello`, "text/plain", 415, "text/plain"},
		{"too large", item(strings.Repeat(" ", 2<<20)), "", 413, "1048576"},
		{"unknown product", item(`{"sku":"SKU-999","quantity":1}`), "", 422, "unknown product"},
		{"negative quantity", item(`{"sku":"SKU-001","quantity":-1}`), "", 422, "body.items[0].quantity"},
		{"price from the client", item(`{"sku":"SKU-001","quantity":1,"unit_price":1}`), "", 422, "unexpected property"},
		{"product twice", item(`{"sku":"SKU-001","quantity":1},{"sku":"SKU-001","quantity":1}`), "", 422, "twice"},
		{"other currency", item(`{"sku":"SKU-USD","quantity":1}`), "", 422, "sold in USD"},
		{"no items", item(``), "", 422, "body.items"},
		{"no customer", `{"customer_id":"","currency":"EUR","items":[{"sku":"SKU-001","quantity":1}]}`, "", 422, "body.customer_id"},
	} {
		t.Run(x.name, func(t *testing.T) {
			var header []string
			if x.contentType != "" {
				header = []string{"Content-Type", x.contentType}
			}
			a := c.do("POST", "/orders", x.body, header...)
			if a.Code != x.status || a.problem.Status != x.status || !strings.Contains(a.Body.String(), x.says) {
				t.Errorf("%d %s", a.Code, a.Body)
			}
		})
	}
	for _, path := range []string{"/orders/none", "/orders/none/timeline", "/orders/none/events"} {
		if a := c.do("GET", path, ""); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	if a := c.do("GET", "/orders?cursor=%21", ""); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("bad cursor: %d %s", a.Code, a.Body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	c := newClient(t, newDB(t))
	first := c.do("POST", "/orders", good, "Idempotency-Key", "k")
	again := c.do("POST", "/orders", strings.ReplaceAll(good, ",", " , "), "Idempotency-Key", "k")
	if again.Code != first.Code || again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s, first %s", again.Code, again.Body, first.Body)
	}
	if other := c.do("POST", "/orders", strings.ReplaceAll(good, "2", "3"), "Idempotency-Key", "k"); other.Code != 422 || !strings.Contains(other.problem.Detail, "Idempotency-Key") {
		t.Errorf("%d %s", other.Code, other.Body)
	}
	// A refused request does not use its key up.
	if a := c.do("POST", "/orders", strings.ReplaceAll(good, "SKU-001", "SKU-999"), "Idempotency-Key", "l"); a.Code != 422 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := c.do("POST", "/orders", good, "Idempotency-Key", "l"); a.Code != 201 || a.order.ID == first.order.ID {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	var n int
	if err := c.db.Reader.QueryRow("SELECT count(*) FROM outbox").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d events for 2 orders, %v", n, err)
	}
}

func TestReadyWhenTheWholeCatalogueIsKnown(t *testing.T) {
	db := newDB(t)
	if err := chassis.Migrate(t.Context(), db, order.Migrations()); err != nil {
		t.Fatal(err)
	}
	orders := order.New(chassis.NewCore(db, slog.New(slog.DiscardHandler)), time.Hour)
	for i, want := range []bool{false, false, true} {
		if err := orders.CatalogueKnown(t.Context()); (err == nil) != want {
			t.Errorf("after %d of 2 products: %v", i, err)
		}
		e := fmt.Sprintf(`{"sku":"S%d","name":"N","price":1,"currency":"EUR","revision":1,"entries":2}`, i)
		if err := orders.Subscriptions()[0].Deliver(t.Context(), db, fmt.Sprint(i), []byte(e)); err != nil {
			t.Fatal(err)
		}
	}
}
