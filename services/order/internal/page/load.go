package page

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// Limits of the load that the page makes.
const (
	rateMax      = 100 // orders a second
	loadTime     = 2 * time.Minute
	loadInterval = 50 * time.Millisecond
)

// load places orders at a rate, whether the system keeps up or not, for a bounded time.
type load struct {
	orders *order.Service
	log    *slog.Logger

	mu     sync.Mutex
	rate   int
	until  time.Time
	placed int64
	failed int64
}

type loadState struct {
	Rate   int   `json:"rate"`
	Max    int   `json:"max"`
	Placed int64 `json:"placed"`
	Failed int64 `json:"failed"`
}

func (l *load) state() loadState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := loadState{Rate: l.rate, Max: rateMax, Placed: l.placed, Failed: l.failed}
	if time.Now().After(l.until) {
		s.Rate = 0
	}
	return s
}

func (l *load) set(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.until = rate, time.Now().Add(loadTime)
}

func (l *load) run(ctx context.Context) {
	tick := time.NewTicker(loadInterval)
	defer tick.Stop()
	owed := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rate := l.state().Rate
		if rate == 0 {
			owed = 0
			continue
		}
		for owed += float64(rate) * loadInterval.Seconds(); owed >= 1 && ctx.Err() == nil; owed-- {
			err := l.place(ctx)
			l.mu.Lock()
			l.placed++
			if err != nil {
				l.failed++
			}
			l.mu.Unlock()
		}
	}
}

// place places an order like those of real customers: most go well.
func (l *load) place(ctx context.Context) error {
	ctx, span := otel.Tracer("order").Start(ctx, "load")
	defer span.End()
	r := order.Request{CustomerID: fmt.Sprintf("load-%d", rand.IntN(100)), Currency: "EUR"}
	switch n := rand.IntN(40); n {
	case 0:
		r.CustomerID = "decline-" + r.CustomerID
	case 1:
		r.Items = append(r.Items, events.Item{SKU: "SKU-012", Quantity: 1})
	case 2:
		r.Items = append(r.Items, events.Item{SKU: events.Undeliverable, Quantity: 1})
	}
	r.Items = append(r.Items, events.Item{SKU: fmt.Sprintf("SKU-00%d", 1+rand.IntN(8)), Quantity: 1})
	_, _, err := l.orders.Place(ctx, "", r)
	if err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "load", "error", err)
	}
	return err
}

// setLoad answers PUT {"rate": n}.
func (p *Page) setLoad(w http.ResponseWriter, r *http.Request) {
	var body struct{ Rate int }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, turnBytesMax)).Decode(&body)
	switch {
	case p.cfg.Failures == nil:
		httpserver.WriteProblem(w, http.StatusForbidden, "load is not allowed here: FAILURES=true allows it")
	case err != nil || body.Rate < 0 || body.Rate > rateMax:
		httpserver.WriteProblem(w, http.StatusUnprocessableEntity, fmt.Sprintf("rate must be a number from 0 to %d", rateMax))
	default:
		p.load.set(body.Rate)
		w.WriteHeader(http.StatusNoContent)
	}
}
