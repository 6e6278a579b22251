package load

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/plot"
)

// Result is what a run found out.
type Result struct {
	Seconds  float64      `json:"seconds"`
	Sent     int64        `json:"sent"`
	Answered int64        `json:"answered"`
	Failed   int64        `json:"failed"`
	Rate     float64      `json:"answered_per_second"`
	Latency  []Percentile `json:"latency_from_intended_start"`
	Course   []Second     `json:"course"`
	Ledger   *Ledger      `json:"ledger,omitempty"`
}

// Percentile is a latency that so many percent of the orders did not exceed.
type Percentile struct {
	Percent float64 `json:"percent"`
	MS      float64 `json:"ms"`
}

var percentiles = []float64{50, 75, 90, 95, 99, 99.9, 99.99, 100}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (g *Generator) result(took time.Duration, course []Second) *Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &Result{Seconds: took.Seconds(), Sent: g.sum.sent, Answered: g.sum.answered, Failed: g.sum.failed, Course: course}
	if took > 0 {
		r.Rate = float64(r.Answered) / took.Seconds()
	}
	for _, p := range percentiles {
		r.Latency = append(r.Latency, Percentile{p, milliseconds(micros(g.all.ValueAtQuantile(p)))})
	}
	return r
}

// Text writes the result for people.
func (r *Result) Text(w io.Writer) {
	fmt.Fprintf(w, "time      %.1f s\nsent      %d\nanswered  %d (%.1f/s), %d failed\nlatency from the intended start, ms:", r.Seconds, r.Sent, r.Answered, r.Rate, r.Failed)
	for _, p := range r.Latency {
		fmt.Fprintf(w, "  p%g %.1f", p.Percent, p.MS)
	}
	fmt.Fprintln(w)
	if r.Ledger != nil {
		fmt.Fprintln(w, "ledger   ", r.Ledger)
	}
}

var page = template.Must(template.New("report").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>load</title>
<style>body{font-family:sans-serif;max-width:60rem;margin:2rem auto}pre{background:#f4f4f4;padding:1rem;white-space:pre-wrap}</style></head>
<body><h1>load</h1><pre>{{.Text}}</pre>
{{.Picture}}</body></html>
`))

// HTML writes a page with the figures and how they went. It needs nothing from elsewhere.
func (r *Result) HTML(w io.Writer) error {
	var text, picture strings.Builder
	r.Text(&text)
	at := make([]float64, 0, len(r.Course))
	line := func(name, colour string, value func(Second) float64) plot.Line {
		l := plot.Line{Name: name, Colour: colour}
		for _, s := range r.Course {
			l.Values = append(l.Values, value(s))
		}
		return l
	}
	for _, s := range r.Course {
		at = append(at, s.At)
	}
	plot.SVG(&picture, at, plot.Panel{Title: "orders a second", Lines: []plot.Line{
		line("sent", "#1b6ca8", func(s Second) float64 { return float64(s.Sent) }),
		line("answered", "#2a9d3f", func(s Second) float64 { return float64(s.Answered) }),
		line("failed", "#d1495b", func(s Second) float64 { return float64(s.Failed) }),
	}}, plot.Panel{Title: "latency, ms", Lines: []plot.Line{
		line("p50", "#8fd19e", func(s Second) float64 { return milliseconds(s.P50) }),
		line("p99", "#d1495b", func(s Second) float64 { return milliseconds(s.P99) }),
	}})
	return page.Execute(w, struct {
		Text    string
		Picture template.HTML
	}{text.String(), template.HTML(picture.String())}) //nolint:gosec // plot escapes what it is given
}
