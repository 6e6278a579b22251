package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/events"
)

const (
	orderCount  = 200
	clientCount = 8
	endPatience = 3 * time.Minute
)

type order struct {
	ID, Status, Currency string
	Total                int64
	TraceID              string `json:"trace_id"`
	Items                []struct {
		SKU      string
		Quantity int64
	}
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type request struct {
	CustomerID string `json:"customer_id"`
	Currency   string `json:"currency"`
	Items      []item `json:"items"`
}

// what returns the i-th order, and whether it is to be cancelled at once.
func what(i int) (r request, cancel bool) {
	r = request{CustomerID: fmt.Sprintf("c-%d", i%17), Currency: "EUR", Items: []item{{fmt.Sprintf("SKU-00%d", 1+i%8), 1 + i%3}}}
	switch i % 10 {
	case 1:
		r.Items = append(r.Items, item{"SKU-009", 1})
	case 3:
		r.CustomerID = "decline-" + r.CustomerID
	case 5:
		r.Items = append(r.Items, item{[]string{"SKU-010", "SKU-011", "SKU-012"}[i/10%3], 1})
	case 7:
		return r, true
	case 9:
		if i%20 == 9 {
			r.Items = append(r.Items, item{events.Undeliverable, 1})
		}
	}
	return r, false
}

// TestOrdersSurviveTheLeader: 200 orders, some declined, out of stock, cancelled or undeliverable; every fourth message comes twice; the node
// that leads the busiest queue is killed in the middle and started again. Every order comes to its end, every effect happens
// once, every trace is whole.
func TestOrdersSurviveTheLeader(t *testing.T) {
	r := start(t)
	rest := r.rss()
	t.Logf("at rest %d processes have %d MB resident", len(r.Running()), rest>>20)
	if rest > 500<<20 && r.broker == system.Warren {
		t.Errorf("more than 500 MB")
	}
	s := newSpy(t, r.AMQPURL())
	begin := time.Now()

	half := make(chan struct{})
	killed := r.killBusiest(t, half)
	orders := r.place(t, orderCount, half)
	placed := time.Since(begin)
	q, ok := <-killed
	if !ok {
		t.Fatal("no node was killed")
	}
	// Two nodes of three go on without the third: most orders end before it is back.
	eventually(t, endPatience, r.ended(orders, orderCount*3/4))
	if err := r.Start(t.Context(), false, q.Leader); err != nil {
		t.Fatal(err)
	}
	back := time.Since(begin)
	eventually(t, endPatience, r.ended(orders, orderCount))
	ended := time.Since(begin)
	b := openBooks(t, r)
	eventually(t, endPatience, func() error {
		if err := b.sent(); err != nil {
			return err
		}
		return r.drained()
	})
	ends := countEnds(orders)
	t.Logf("%d orders placed in %.1f s, %s (leader of %s with %d messages) killed in the middle, back after %.1f s, all ended after %.1f s, quiet after %.1f s: %v; %d events, %d of them sent twice",
		orderCount, placed.Seconds(), q.Leader, q.Name, q.Messages, back.Seconds(), ended.Seconds(), time.Since(begin).Seconds(), ends, s.seen.Load(), s.sent.Load())
	if len(ends) != 4 {
		t.Errorf("not all ends were seen: the test does not try what it should")
	}
	if s.sent.Load() < orderCount/spyEvery {
		t.Errorf("only %d duplicates: the test does not try what it should", s.sent.Load())
	}
	b.check(orders)
	checkTraces(t, r, orders)
}

// killBusiest kills the node that leads the busiest queue once when is closed. The queue comes out, or nothing if that failed.
func (r run) killBusiest(t *testing.T, when <-chan struct{}) <-chan queue {
	t.Helper()
	killed := make(chan queue, 1)
	go func() { // ends with when, which place closes
		defer close(killed)
		<-when
		q, err := r.busiest()
		if err == nil {
			err = r.Kill(t.Context(), q.Leader)
		}
		if err != nil {
			t.Error(err)
			return
		}
		killed <- q
	}()
	return killed
}

// place places n orders, several at a time, and closes half when half of them are.
func (r run) place(t *testing.T, n int, half chan<- struct{}) []order {
	t.Helper()
	orders := make([]order, n)
	var next, done atomic.Int64
	var clients sync.WaitGroup
	for range clientCount {
		clients.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := r.placeOne(t.Context(), i, &orders[i]); err != nil {
					t.Errorf("order %d: %v", i, err)
				}
				if done.Add(1) == int64(n/2) {
					close(half)
				}
			}
		})
	}
	clients.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return orders
}

func (r run) placeOne(ctx context.Context, i int, o *order) error {
	body, cancel := what(i)
	key := []string{"Idempotency-Key", fmt.Sprintf("e2e-%d", i)}
	url := r.URL(system.Order) + "/orders"
	if _, err := call(ctx, http.MethodPost, url, body, o, key...); err != nil {
		return err
	}
	if i%20 == 0 { // a client that did not hear the answer
		var again order
		if _, err := call(ctx, http.MethodPost, url, body, &again, key...); err != nil || again.ID != o.ID {
			return fmt.Errorf("the same request again is order %s, not %s: %w", again.ID, o.ID, err)
		}
	}
	if !cancel {
		return nil
	}
	resp, err := call(ctx, http.MethodPost, url+"/"+o.ID+"/cancel", nil, nil)
	if resp != nil && resp.StatusCode == http.StatusConflict {
		return nil // it was faster
	}
	return err
}

// ended asks for all orders and is nil when so many of them have come to their end.
func (r run) ended(orders []order, atLeast int) func() error {
	return func() error {
		if err := r.refresh(orders); err != nil {
			return err
		}
		ends := countEnds(orders)
		if n := ends["delivered"] + ends["returned"] + ends["rejected"] + ends["cancelled"] + ends["expired"]; n < atLeast {
			return fmt.Errorf("%d of %d orders have ended: %v", n, len(orders), ends)
		}
		return nil
	}
}

// refresh asks for all orders.
func (r run) refresh(orders []order) error {
	for i, o := range orders {
		if _, err := call(r.t.Context(), http.MethodGet, r.URL(system.Order)+"/orders/"+o.ID, nil, &orders[i]); err != nil {
			return err
		}
	}
	return nil
}

func countEnds(orders []order) map[string]int {
	out := map[string]int{}
	for _, o := range orders {
		out[o.Status]++
	}
	return out
}
