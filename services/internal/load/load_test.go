package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mustSchedule(t *testing.T, shape Shape, steps ...Step) *Schedule {
	t.Helper()
	s, err := NewSchedule(shape, 1, steps...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func times(s *Schedule) (out []time.Duration) {
	for at, ok := s.Next(); ok; at, ok = s.Next() {
		out = append(out, at)
	}
	return out
}

func TestConstantSteps(t *testing.T) {
	s := mustSchedule(t, Constant, Step{2, time.Second}, Step{10, 500 * time.Millisecond})
	if s.Total() != 1500*time.Millisecond {
		t.Errorf("it lasts %s", s.Total())
	}
	want := []time.Duration{500, 1000, 1100, 1200, 1300, 1400, 1500}
	got := times(s)
	if len(got) != len(want) {
		t.Fatal(got)
	}
	for i := range want {
		if got[i] != want[i]*time.Millisecond {
			t.Errorf("order %d at %s", i, got[i])
		}
	}
}

// TestPoisson: the rate is right, and the gaps vary as much as they are long.
func TestPoisson(t *testing.T) {
	at := times(mustSchedule(t, Poisson, Step{100, 100 * time.Second}))
	var sum, squares float64
	for i := 1; i < len(at); i++ {
		gap := (at[i] - at[i-1]).Seconds()
		sum += gap
		squares += gap * gap
	}
	n := float64(len(at) - 1)
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(n-10_000) > 500 || math.Abs(deviation/mean-1) > 0.1 {
		t.Errorf("%g gaps, mean %g s, deviation %g s", n, mean, deviation)
	}
}

func TestBadSchedules(t *testing.T) {
	for _, s := range []Step{{0, time.Second}, {-1, time.Second}, {math.NaN(), time.Second}, {RateMax + 1, time.Second}, {1, 0}} {
		if _, err := NewSchedule(Constant, 1, s); err == nil {
			t.Errorf("%v is taken", s)
		}
	}
	if _, err := NewSchedule("sine", 1, Step{1, 1}); err == nil {
		t.Error("a shape that there is not")
	}
	for _, text := range []string{"", "10", "10x", "x10s", "10x10s,"} {
		if _, err := ParseSteps(text); err == nil || !strings.Contains(err.Error(), "RATExTIME") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if steps, err := ParseSteps("10x10s, 2.5x1m"); err != nil || len(steps) != 2 || steps[1] != (Step{2.5, time.Minute}) {
		t.Errorf("%v %v", steps, err)
	}
}

// TestLatencyIsFromTheIntendedStart: a server that takes one at a time stands still for a second in the middle. Whoever was meant to
// come in that second has waited, though a client that sends one after the other would have seen one slow answer.
func TestLatencyIsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{}, 1)
		g := Generator{Schedule: mustSchedule(t, Constant, Step{100, 10 * time.Second}), Clock: Wall{}, Place: func(_ context.Context, i int) error {
			busy <- struct{}{}
			defer func() { <-busy }()
			time.Sleep(time.Millisecond)
			if i == 500 {
				time.Sleep(time.Second)
			}
			return nil
		}}
		r := g.Run(t.Context())
		at := map[float64]float64{}
		for _, p := range r.Latency {
			at[p.Percent] = p.MS
		}
		if r.Sent != 1000 || r.Answered != 1000 || r.Failed != 0 {
			t.Errorf("%+v", r)
		}
		// About 110 of 1,000 were meant to come while it stood still, or while it caught up.
		if at[50] > 2 || at[90] < 50 || at[95] < 400 || at[99] < 800 || math.Abs(at[100]-1001) > 2 {
			t.Errorf("percentiles %v", at)
		}
		if len(r.Course) < 9 || r.Course[0].Sent < 99 {
			t.Errorf("course %+v", r.Course)
		}
	})
}

// TestSlowAnswersDoNotSlowTheArrivals is what an open loop is.
func TestSlowAnswersDoNotSlowTheArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sent := []time.Duration{}
		at := make(chan time.Duration, 100)
		g := Generator{Schedule: mustSchedule(t, Constant, Step{10, 5 * time.Second}), Clock: Wall{}, Place: func(context.Context, int) error {
			at <- time.Since(start)
			time.Sleep(time.Minute)
			return errors.New("too late")
		}}
		r := g.Run(t.Context())
		close(at)
		for x := range at {
			sent = append(sent, x)
		}
		if len(sent) != 50 || sent[49] != 5*time.Second || r.Failed != 50 {
			t.Errorf("%d sent, the last at %s; %d failed", len(sent), sent[len(sent)-1], r.Failed)
		}
	})
}

// shop is an order service that loses some orders and leaves others open.
func shop(t *testing.T, ledger string, orders map[string]string) *Orders {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/ledger", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(ledger)) })
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		type entry struct{ ID, Status string }
		var page struct {
			Items []entry `json:"items"`
			Next  string  `json:"next_cursor,omitempty"`
		}
		for id, status := range orders { // one half on each page
			if (id < "o-3") == (r.URL.Query().Get("cursor") == "") {
				page.Items = append(page.Items, entry{id, status})
			}
		}
		if r.URL.Query().Get("cursor") == "" {
			page.Next = "2"
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o := NewOrders(server.URL, "test")
	for _, id := range []string{"o-1", "o-2", "o-3", "o-4"} {
		o.accepted[id] = true
	}
	return o
}

func TestLedger(t *testing.T) {
	all := map[string]string{"o-1": "delivered", "o-2": "rejected", "o-3": "expired", "o-4": "returned", "o-9": "pending"}
	tests := []struct {
		name, service string
		change        func(m map[string]string)
		want          Ledger
		clean         bool
	}{
		{"clean", `{}`, func(map[string]string) {}, Ledger{Accepted: 4, Terminal: 4}, true},
		{"one is lost", `{}`, func(m map[string]string) { delete(m, "o-3") }, Ledger{Accepted: 4, Terminal: 3, Lost: 1}, false},
		{"one is open", `{}`, func(m map[string]string) { m["o-2"] = "shipped" }, Ledger{Accepted: 4, Terminal: 3, Open: 1}, false},
		{"one is double", `{"double":1}`, func(map[string]string) {}, Ledger{Accepted: 4, Terminal: 4, Double: 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			orders := map[string]string{}
			for k, v := range all {
				orders[k] = v
			}
			tt.change(orders)
			l, err := shop(t, tt.service, orders).Settle(t.Context(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if l.Accepted != tt.want.Accepted || l.Terminal != tt.want.Terminal || l.Open != tt.want.Open || l.Lost != tt.want.Lost || l.Double != tt.want.Double || l.Clean() != tt.clean {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestReport(t *testing.T) {
	r := &Result{Sent: 7, Course: []Second{{At: 1, Sent: 7}}, Latency: []Percentile{{99, 12.5}}, Ledger: &Ledger{Accepted: 7}}
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sent      7", "p99 12.5", "accepted 7", "<polyline"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "http://") && !strings.Contains(b.String(), "http://www.w3.org/2000/svg") || strings.Contains(b.String(), "<script") {
		t.Error("the page needs something from elsewhere")
	}
}
