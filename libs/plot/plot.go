// Package plot draws how figures went over time, as SVG without scripts or anything from elsewhere: it can be kept and sent.
package plot

import (
	"fmt"
	"html"
	"io"
	"math"
)

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

// Line is one figure over time.
type Line struct {
	Name, Colour string    // the colour is CSS's, such as #1b6ca8
	Values       []float64 // one for each moment of the picture
}

// Panel is lines that share an axis.
type Panel struct {
	Title string // with the unit
	Lines []Line
}

// SVG writes panels, one below the other. at are the moments, in seconds since the start.
func SVG(w io.Writer, at []float64, panels ...Panel) {
	height := panelHeight * len(panels)
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n",
		plotWidth, height, plotWidth)
	fmt.Fprintln(w, `<rect width="100%" height="100%" fill="white"/>`)
	for i, p := range panels {
		p.draw(w, float64(i*panelHeight), at)
	}
	fmt.Fprintln(w, "</svg>")
}

// draw writes axes, a legend and the lines. The panel's top is y.
func (p Panel) draw(w io.Writer, y float64, at []float64) {
	most, end := 0.0, 0.0
	for _, x := range at {
		end = max(end, x)
	}
	for _, l := range p.Lines {
		for _, v := range l.Values {
			most = max(most, v)
		}
	}
	most, end = roundUp(most), max(end, 1)
	const width, height = plotWidth - panelLeft - panelRight, panelHeight - panelTop - panelBottom
	top := y + panelTop
	for i := range gridLines + 1 {
		part := float64(i) / gridLines
		line := top + height*(1-part)
		fmt.Fprintf(w, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
			panelLeft, panelLeft+width, line, line, panelLeft-6, line+4, most*part)
		fmt.Fprintf(w, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.4g s</text>\n", panelLeft+width*part, top+height+18, end*part)
	}
	fmt.Fprintf(w, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", panelLeft, top-14, html.EscapeString(p.Title))
	for i, l := range p.Lines {
		x := panelLeft + 200 + 130*i
		fmt.Fprintf(w, "<text x=\"%d\" y=\"%.1f\" fill=\"%s\">%s</text>\n", x, top-14, l.Colour, html.EscapeString(l.Name))
		fmt.Fprintf(w, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", l.Colour)
		for j := range min(len(at), len(l.Values)) {
			fmt.Fprintf(w, "%.1f,%.1f ", panelLeft+width*at[j]/end, top+height*(1-l.Values[j]/most))
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
