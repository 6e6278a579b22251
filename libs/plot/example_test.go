package plot_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/warren-mq/warren/libs/plot"
)

func ExampleSVG() {
	var picture bytes.Buffer
	plot.SVG(&picture, []float64{1, 2, 3}, plot.Panel{
		Title: "orders a second", Lines: []plot.Line{{Name: "placed", Colour: "#1b6ca8", Values: []float64{10, 12, 11}}},
	})
	fmt.Println(strings.Count(picture.String(), "<polyline"))
	// Output: 1
}
