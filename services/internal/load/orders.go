package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/services/events"
)

const (
	placeTimeout = 30 * time.Second
	answerMax    = 4 << 20 // bytes
	pageSize     = 200     // orders, the most that the API gives at once
	lookInterval = 500 * time.Millisecond

	ledgerPath = "/page/ledger"
)

// Orders is the order service, as a customer sees it, and an account of what it has accepted.
type Orders struct {
	url    string
	run    string // in front of idempotency keys and customers
	client *http.Client

	mu       sync.Mutex
	accepted map[string]bool
}

// NewOrders returns the service at url. run tells this run's orders from others'.
func NewOrders(url, run string) *Orders {
	transport := &http.Transport{MaxIdleConnsPerHost: InFlightMax, MaxConnsPerHost: InFlightMax}
	return &Orders{url: url, run: run, client: &http.Client{Timeout: placeTimeout, Transport: transport}, accepted: map[string]bool{}}
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// basket is the i-th order: most go well, some are declined, out of stock, or come back.
func basket(i int) (customer string, items []item) {
	customer, items = fmt.Sprintf("load-%d", i%100), []item{{fmt.Sprintf("SKU-00%d", 1+i%8), 1}}
	switch i % 40 {
	case 10:
		customer = "decline-" + customer
	case 20:
		items = append(items, item{"SKU-012", 1})
	case 30:
		items = append(items, item{events.Undeliverable, 1})
	}
	return customer, items
}

// Place places the i-th order. It is asked for once: an answer that does not come is a failure, and if the order was accepted
// nevertheless, the ledger finds it.
func (o *Orders) Place(ctx context.Context, i int) error {
	customer, items := basket(i)
	body, err := json.Marshal(map[string]any{"customer_id": customer, "currency": "EUR", "items": items})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+"/orders", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", o.run, i))
	var placed struct{ ID string }
	if err := o.do(req, &placed); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.accepted[placed.ID] = true
	return nil
}

// do sends a request and decodes a 2xx answer.
func (o *Orders) do(req *http.Request, out any) error {
	resp, err := o.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", req.Method, req.URL.Path, resp.Status)
	}
	return json.Unmarshal(body, out)
}

func (o *Orders) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url+path, nil)
	if err != nil {
		return err
	}
	return o.do(req, out)
}

// Ledger is what became of the orders of a run.
type Ledger struct {
	Accepted int64            `json:"accepted"` // answers that said so
	Terminal int64            `json:"terminal"` // of these
	Open     int64            `json:"open"`     // of these, when nobody waited any longer
	Lost     int64            `json:"lost"`     // of these, that the service does not know, or that are open for longer than an order can be
	Double   int64            `json:"double"`   // events that some order of the service has applied more than once
	Status   map[string]int64 `json:"status"`
}

// String says it in a line.
func (l *Ledger) String() string {
	return fmt.Sprintf("accepted %d, terminal %d, open %d, lost %d, double %d; %v", l.Accepted, l.Terminal, l.Open, l.Lost, l.Double, l.Status)
}

// Clean says that every order has come to its end, once.
func (l *Ledger) Clean() bool {
	return l.Accepted == l.Terminal && l.Open == 0 && l.Lost == 0 && l.Double == 0
}

// serviceLedger is the service's own account, of all its orders.
type serviceLedger struct{ Open, Lost, Double int64 }

// Open is how many orders of the service have not come to their end.
func (o *Orders) Open(ctx context.Context) (int64, error) {
	var s serviceLedger
	err := o.get(ctx, ledgerPath, &s)
	return s.Open, err
}

// terminal are the states in which an order ends.
var terminal = []string{"delivered", "returned", "rejected", "cancelled", "expired"}

// Settle waits until the service has no open order, within a time, and then looks each accepted order up.
func (o *Orders) Settle(ctx context.Context, within time.Duration) (*Ledger, error) {
	wait, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var s serviceLedger
	for {
		if open, err := o.Open(ctx); err == nil && open == 0 || wait.Err() != nil {
			break
		}
		_ = Wall{}.Wait(wait, time.Now().Add(lookInterval)) // the end of waiting is looked at above
	}
	if err := o.get(ctx, ledgerPath+"?exact=true", &s); err != nil {
		return nil, err
	}
	l := &Ledger{Lost: s.Lost, Double: s.Double, Status: map[string]int64{}}
	o.mu.Lock()
	defer o.mu.Unlock()
	l.Accepted = int64(len(o.accepted))
	known, cursor := int64(0), ""
	for {
		var page struct {
			Items      []struct{ ID, Status string }
			NextCursor string `json:"next_cursor"`
		}
		query := url.Values{"limit": {fmt.Sprint(pageSize)}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		if err := o.get(ctx, "/orders?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		for _, x := range page.Items {
			if !o.accepted[x.ID] {
				continue
			}
			known++
			l.Status[x.Status]++
			if slices.Contains(terminal, x.Status) {
				l.Terminal++
			} else {
				l.Open++
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	l.Lost += l.Accepted - known
	return l, nil
}
