package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestTable(t *testing.T) {
	tb := table{}
	rows := []row{{name: "a load"}, {name: "a latency", metric: byP50}, {name: "nobody ran it"}}
	for _, rate := range []float64{4000, 1000, 3000} {
		tb.add("a load", warren, sample{rate: rate, cpu: rate / 1000})
	}
	tb.add("a load", rabbitMQ, sample{rate: 1000, cpu: 90})
	tb.add("a load", rabbitMQ, sample{rate: 2000, cpu: 92})
	tb.add("a latency", warren, sample{p50: 0.5})
	var b bytes.Buffer
	tb.write(&b, rows)
	for _, want := range []string{
		"| a load | 3.0k/s (1.0–4.0) | 1.5k/s (1.0–2.0) | 2.00 × | 3.0 | 91.0 |\n",
		"| a latency | 0.50 ms (0.50–0.50) | – | – | 0.0 | – |\n",
		"| nobody ran it | – | – | – | – | – |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
}

func TestRows(t *testing.T) {
	pick := func(args ...string) ([]row, error) {
		var c cli
		k, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Parse(append([]string{"beside"}, args...)); err != nil {
			t.Fatal(err)
		}
		return c.Beside.rows(allRows)
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, len(allRows)},
		{[]string{"--rows", "window", "--rows=durable, 1 "}, 2},
		// Their commas are part of them: each is the beginning of one name.
		{[]string{"--rows=replicated, 100 B"}, 1},
		{[]string{"--rows=replicated, 10 queues, 100 B"}, 1},
		{[]string{"--rows=confirm p99 at 1,000/s"}, 1},
	} {
		if got, err := pick(c.args...); err != nil || len(got) != c.want {
			t.Errorf("%q: %d rows, %v, want %d", c.args, len(got), err, c.want)
		}
	}
	if got, err := pick("--rows=window", "--rows=windows"); err == nil || !strings.Contains(err.Error(), `no row begins with "windows"; there are "replicated, 100 B", `) {
		t.Errorf("rows %v, %v", got, err)
	}
	if len(allRows[0].args) == 0 || allRows[0].args[len(allRows[0].args)-1] != "100" || allRows[1].args[len(allRows[1].args)-1] != "1024" {
		t.Error("rows share their arguments")
	}
}
