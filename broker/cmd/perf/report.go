package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// latency is percentiles, in milliseconds.
type latency struct {
	P50 float64 `json:"p50_ms"`
	P75 float64 `json:"p75_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// result is what a run found out.
type result struct {
	Seconds    float64 `json:"seconds"`
	Sent       uint64  `json:"sent"`
	Confirmed  uint64  `json:"confirmed"`
	Refused    uint64  `json:"refused"` // nacked
	Returned   uint64  `json:"returned"`
	Received   uint64  `json:"received"` // each counted once
	Duplicates uint64  `json:"duplicates"`
	Foreign    uint64  `json:"foreign"` // of other runs
	Failures   uint64  `json:"connection_failures"`
	// Lost counts confirmed messages that never arrived; nil if nobody can know: without
	// confirms or without consumers for every queue.
	Lost *uint64 `json:"lost"`
	// Unconfirmed counts messages whose fate the broker never told.
	Unconfirmed uint64 `json:"unconfirmed"`

	SendRate    float64 `json:"send_rate"`
	ConfirmRate float64 `json:"confirm_rate"`
	ReceiveRate float64 `json:"receive_rate"`

	Publish latency `json:"publish_latency"`
	Confirm latency `json:"confirm_latency"`
	Consume latency `json:"consume_latency"`
}

func latencyOf(h *histogram) latency {
	c := h.counts()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	most := time.Duration(h.max.Load())
	p := func(x float64) float64 { return ms(min(c.percentile(x), most)) }
	return latency{P50: p(50), P75: p(75), P95: p(95), P99: p(99), Max: ms(most)}
}

func (b *bench) result(took time.Duration) *result {
	t := b.ledger.totals()
	s := took.Seconds()
	r := &result{
		Seconds: s, Sent: t.sent, Confirmed: t.confirmed, Refused: t.refused, Returned: t.returned,
		Received: t.received, Duplicates: t.duplicates, Foreign: b.ledger.foreign.Load(), Failures: b.failures.Load(),
		SendRate: float64(t.sent) / s, ConfirmRate: float64(t.confirmed) / s, ReceiveRate: float64(t.received) / s,
		Publish: latencyOf(&b.publishing), Confirm: latencyOf(&b.confirming), Consume: latencyOf(&b.consuming),
	}
	if b.cfg.Confirm > 0 {
		r.Unconfirmed = t.sent - min(t.sent, t.confirmed+t.refused)
		if b.cfg.Consumers >= min(b.cfg.Queues, b.cfg.Producers) && b.cfg.Producers > 0 {
			r.Lost = &t.missing
		}
	}
	return r
}

func (r *result) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	lost := "not known"
	if r.Lost != nil {
		lost = strconv.FormatUint(*r.Lost, 10)
	}
	_, err := fmt.Fprintf(w, `time      %.1f s, %d connection failures
sent      %d (%.0f/s)
confirmed %d (%.0f/s), %d refused, %d unconfirmed, %d returned
received  %d (%.0f/s), %d duplicates, %d of other runs
lost      %s
`, r.Seconds, r.Failures, r.Sent, r.SendRate, r.Confirmed, r.ConfirmRate, r.Refused, r.Unconfirmed, r.Returned,
		r.Received, r.ReceiveRate, r.Duplicates, r.Foreign, lost)
	for _, l := range []struct {
		name string
		l    latency
	}{{"publish", r.Publish}, {"confirm", r.Confirm}, {"consume", r.Consume}} {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s latency (ms): p50 %.2f  p75 %.2f  p95 %.2f  p99 %.2f  max %.2f\n",
				l.name, l.l.P50, l.l.P75, l.l.P95, l.l.P99, l.l.Max)
		}
	}
	return err
}

// point is what happened in one interval.
type point struct {
	At                        float64 // its end, seconds since the start
	Sent, Confirmed, Received float64 // a second
	ConfirmP50, ConfirmP99    time.Duration
	ConsumeP50, ConsumeP99    time.Duration
}

// progress writes a line at each interval, and keeps the figures for the plot.
func (b *bench) progress(ctx context.Context) {
	tick := time.NewTicker(b.cfg.Interval)
	defer tick.Stop()
	var sent, confirmed, received uint64
	confirming, consuming := b.confirming.counts(), b.consuming.counts()
	last := b.start
	for {
		var now time.Time
		select {
		case now = <-tick.C:
		case <-ctx.Done():
			return
		}
		s := now.Sub(last).Seconds()
		rate := func(n uint64, old *uint64) float64 {
			d := n - *old
			*old = n
			return float64(d) / s
		}
		c1, c2 := b.confirming.counts(), b.consuming.counts()
		d1, d2 := c1.since(confirming), c2.since(consuming)
		p := point{
			At: now.Sub(b.start).Seconds(), Sent: rate(b.sent.Load(), &sent), Confirmed: rate(b.confirmed.Load(), &confirmed),
			Received: rate(b.received.Load(), &received), ConfirmP50: d1.percentile(50), ConfirmP99: d1.percentile(99),
			ConsumeP50: d2.percentile(50), ConsumeP99: d2.percentile(99),
		}
		fmt.Fprintf(b.notes, "%6.1fs  sent %.0f/s  confirmed %.0f/s  received %.0f/s  confirm p50/p99 %s/%s  consume p50/p99 %s/%s\n",
			p.At, p.Sent, p.Confirmed, p.Received, short(p.ConfirmP50), short(p.ConfirmP99), short(p.ConsumeP50), short(p.ConsumeP99))
		if b.cfg.Plot != "" {
			b.points = append(b.points, p)
		}
		confirming, consuming, last = c1, c2, now
	}
}

// short rounds a latency for reading.
func short(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
