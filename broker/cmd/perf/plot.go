package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
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

// Sizes of the picture, in its units.
const (
	plotWidth   = 960
	panelHeight = 280
	panelLeft   = 80
	panelRight  = 20
	panelTop    = 40
	panelBottom = 40
	gridLines   = 5
)

// series is one line of a panel.
type series struct {
	name, colour string
	value        func(p *point) float64
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// draw writes two panels as SVG: rates above, latencies below.
func draw(w io.Writer, points []point) {
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
		plotWidth, 2*panelHeight, plotWidth)
	fmt.Fprintln(w, `<rect width="100%" height="100%" fill="white"/>`)
	drawPanel(w, 0, "messages a second", points, []series{
		{"sent", "#1b6ca8", func(p *point) float64 { return p.Sent }},
		{"confirmed", "#2a9d3f", func(p *point) float64 { return p.Confirmed }},
		{"received", "#d1495b", func(p *point) float64 { return p.Received }},
	})
	drawPanel(w, panelHeight, "latency, ms", points, []series{
		{"confirm p50", "#8fd19e", func(p *point) float64 { return milliseconds(p.ConfirmP50) }},
		{"confirm p99", "#2a9d3f", func(p *point) float64 { return milliseconds(p.ConfirmP99) }},
		{"consume p50", "#eea9b3", func(p *point) float64 { return milliseconds(p.ConsumeP50) }},
		{"consume p99", "#d1495b", func(p *point) float64 { return milliseconds(p.ConsumeP99) }},
	})
	fmt.Fprintln(w, "</svg>")
}

// drawPanel writes axes, a legend and the lines. Its top is y.
func drawPanel(w io.Writer, y float64, title string, points []point, lines []series) {
	most, end := 0.0, 0.0
	for i := range points {
		end = max(end, points[i].At)
		for _, s := range lines {
			most = max(most, s.value(&points[i]))
		}
	}
	most, end = roundUp(most), max(end, 1)
	const width, height = plotWidth - panelLeft - panelRight, panelHeight - panelTop - panelBottom
	top := y + panelTop
	for i := range gridLines + 1 {
		part := float64(i) / gridLines
		at := top + height*(1-part)
		fmt.Fprintf(w, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
			panelLeft, panelLeft+width, at, at, panelLeft-6, at+4, most*part)
		fmt.Fprintf(w, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g s</text>\n", panelLeft+width*part, top+height+18, end*part)
	}
	fmt.Fprintf(w, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", panelLeft, top-14, title)
	for i, s := range lines {
		x := panelLeft + 200 + 130*i
		fmt.Fprintf(w, "<text x=\"%d\" y=\"%.1f\" fill=\"%s\">%s</text>\n", x, top-14, s.colour, s.name)
		fmt.Fprintf(w, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", s.colour)
		for j := range points {
			p := &points[j]
			fmt.Fprintf(w, "%.1f,%.1f ", panelLeft+width*p.At/end, top+height*(1-s.value(p)/most))
		}
		fmt.Fprintln(w, `"/>`)
	}
}

// roundUp returns the next of 1, 2, 5, 10, 20, …
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, k := range []float64{1, 2, 5} {
		if v <= k*unit {
			return k * unit
		}
	}
	return 10 * unit
}
