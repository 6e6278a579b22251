package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/order/internal/order"
)

const (
	newsInterval = 250 * time.Millisecond
	newsMax      = 60 // lines at a time; under load the page shows some of them, and the ledger counts all
	turnBytesMax = 1 << 10
)

// line is one line of a timeline, as the page gets it.
type line struct {
	Order  string       `json:"order"`
	Seq    int64        `json:"seq"`
	At     time.Time    `json:"at"`
	Event  string       `json:"event"`
	Status order.Status `json:"status"`
	Detail string       `json:"detail,omitempty"`
}

// events streams snapshots and news until the viewer goes.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	if !p.join() {
		httpserver.WriteProblem(w, http.StatusServiceUnavailable, fmt.Sprintf("%d people are watching already", viewersMax))
		return
	}
	defer p.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flusher := http.NewResponseController(w)
	send := func(event string, v any) error {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data); err != nil {
			return err
		}
		return flusher.Flush()
	}
	tick := time.NewTicker(newsInterval)
	defer tick.Stop()
	since, seen := time.Now().Add(-newsInterval), map[string]bool{}
	_, changed := p.latest()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-changed:
			var s snapshot
			if s, changed = p.latest(); send("snapshot", s) != nil {
				return
			}
		case <-tick.C:
			news, err := p.cfg.Orders.Latest(r.Context(), since, newsMax)
			if err != nil {
				return
			}
			lines, now := []line{}, map[string]bool{}
			for _, n := range news {
				key := fmt.Sprint(n.OrderID, n.Seq)
				if !seen[key] {
					lines = append(lines, line{Order: n.OrderID, Seq: n.Seq, At: n.At, Event: n.Event, Status: n.Status, Detail: n.Detail})
				}
				now[key] = true
			}
			if len(news) > 0 {
				since, seen = news[len(news)-1].At, now
			}
			if len(lines) > 0 && send("news", lines) != nil {
				return
			}
		}
	}
}

// ledger answers with the account of all orders; with ?exact=true of this moment.
func (p *Page) ledger(w http.ResponseWriter, r *http.Request) {
	l, err := p.cfg.Orders.Ledger(r.Context(), r.URL.Query().Get("exact") == "true")
	if err != nil {
		p.cfg.Log.WarnContext(r.Context(), "ledger", "error", err)
		httpserver.WriteProblem(w, http.StatusInternalServerError, "the orders cannot be counted now")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(l) // who asked may have gone
}

// turn passes a switch on to the process that has it.
func (p *Page) turn(w http.ResponseWriter, r *http.Request) {
	at, kind := chi.URLParam(r, "at"), failure.Kind(chi.URLParam(r, "kind"))
	if p.cfg.Failures == nil {
		httpserver.WriteProblem(w, http.StatusForbidden, "failures are not allowed here: FAILURES=true allows them")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, turnBytesMax))
	if err != nil {
		httpserver.WriteProblem(w, http.StatusRequestEntityTooLarge, "a switch is turned with a few bytes")
		return
	}
	if at == events.GroupOrder {
		p.turnOwn(w, r.Method, kind, body)
		return
	}
	base := p.cfg.Peers[at]
	if base == "" {
		httpserver.WriteProblem(w, http.StatusNotFound, "nothing is known of "+at)
		return
	}
	var status statusError
	err = p.call(r.Context(), r.Method, base+failure.Path+"/"+string(kind), bytes.NewReader(body), nil)
	switch {
	case errors.As(err, &status):
		var problem struct{ Detail string }
		_ = json.Unmarshal(status.body, &problem) // a peer's own words, if there are any
		httpserver.WriteProblem(w, status.status, problem.Detail)
	case err != nil:
		httpserver.WriteProblem(w, http.StatusBadGateway, at+" does not answer")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *Page) turnOwn(w http.ResponseWriter, method string, kind failure.Kind, body []byte) {
	if method == http.MethodDelete {
		p.cfg.Failures.TurnOff(kind)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var t failure.Turn
	err := json.Unmarshal(body, &t)
	if err == nil {
		err = p.cfg.Failures.TurnOn(kind, t.Value, time.Duration(t.Seconds)*time.Second)
	}
	if err != nil {
		httpserver.WriteProblem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
