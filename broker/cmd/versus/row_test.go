package main

import (
	"bytes"
	"strings"
	"testing"
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
	if got := (&config{}).rows(allRows); len(got) != len(allRows) {
		t.Errorf("%d rows, want all %d", len(got), len(allRows))
	}
	if got := (&config{Rows: []string{"window", "durable, 1 "}}).rows(allRows); len(got) != 2 {
		t.Errorf("%d rows, want 2", len(got))
	}
	if len(allRows[0].args) == 0 || allRows[0].args[len(allRows[0].args)-1] != "100" || allRows[1].args[len(allRows[1].args)-1] != "1024" {
		t.Error("rows share their arguments")
	}
}
