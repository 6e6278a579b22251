package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/plot"
)

// plot draws the run's course into the file that was asked for. It is one picture without
// scripts or anything from elsewhere, so that it can be kept and sent.
func (b *bench) plot() error {
	if b.cfg.Plot == "" {
		return nil
	}
	var picture bytes.Buffer
	draw(&picture, b.points)
	if strings.HasSuffix(strings.ToLower(b.cfg.Plot), ".html") {
		head := "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>perf</title></head><body>\n"
		picture = *bytes.NewBufferString(head + picture.String() + "</body></html>\n")
	}
	return os.WriteFile(b.cfg.Plot, picture.Bytes(), 0o644)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// draw writes two panels as SVG: rates above, latencies below.
func draw(w io.Writer, points []point) {
	at := make([]float64, 0, len(points))
	for i := range points {
		at = append(at, points[i].At)
	}
	line := func(name, colour string, value func(p *point) float64) plot.Line {
		l := plot.Line{Name: name, Colour: colour}
		for i := range points {
			l.Values = append(l.Values, value(&points[i]))
		}
		return l
	}
	plot.SVG(w, at, plot.Panel{Title: "messages a second", Lines: []plot.Line{
		line("sent", "#1b6ca8", func(p *point) float64 { return p.Sent }),
		line("confirmed", "#2a9d3f", func(p *point) float64 { return p.Confirmed }),
		line("received", "#d1495b", func(p *point) float64 { return p.Received }),
	}}, plot.Panel{Title: "latency, ms", Lines: []plot.Line{
		line("confirm p50", "#8fd19e", func(p *point) float64 { return milliseconds(p.ConfirmP50) }),
		line("confirm p99", "#2a9d3f", func(p *point) float64 { return milliseconds(p.ConfirmP99) }),
		line("consume p50", "#eea9b3", func(p *point) float64 { return milliseconds(p.ConsumeP50) }),
		line("consume p99", "#d1495b", func(p *point) float64 { return milliseconds(p.ConsumeP99) }),
	}})
}
