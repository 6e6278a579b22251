package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/warren-mq/warren/services/demo/system"
)

// table is what was seen, by experiment and broker.
type table struct {
	seen map[*experiment]map[system.Broker]string
	out  map[system.Broker]string // why a broker was not tried
}

func newTable() *table {
	return &table{seen: map[*experiment]map[system.Broker]string{}, out: map[system.Broker]string{}}
}

func (t *table) leftOut(b system.Broker, why string) { t.out[b] = "not run: " + why }

func (t *table) saw(e *experiment, b system.Broker, what string) {
	if t.seen[e] == nil {
		t.seen[e] = map[system.Broker]string{}
	}
	t.seen[e][b] = what
}

// expected is what shall be seen with a broker.
func (e *experiment) expected(b system.Broker) string {
	if b == system.RabbitMQ {
		return cmp.Or(e.wantRabbitMQ, e.want)
	}
	return e.want
}

// asExpected says that every experiment was done on every broker that was not left out, and ended as it should.
func (t *table) asExpected() bool {
	for _, e := range experiments {
		for _, b := range []system.Broker{system.Warren, system.RabbitMQ} {
			if t.out[b] == "" && t.seen[e][b] != e.expected(b) {
				return false
			}
		}
	}
	return true
}

// cell is what was seen. What is not as expected is marked.
func (t *table) cell(e *experiment, b system.Broker) string {
	if why := t.out[b]; why != "" {
		return why
	}
	seen := cmp.Or(t.seen[e][b], "not done")
	if seen != e.expected(b) {
		return "**not as expected:** " + seen
	}
	return seen
}

// write prints Markdown.
func (t *table) write(w io.Writer) {
	fmt.Fprintln(w, "| slide | experiment | expected | Warren | RabbitMQ |\n|---|---|---|---|---|")
	for _, e := range experiments {
		want := e.want
		if e.wantRabbitMQ != "" {
			want += "; RabbitMQ: " + e.wantRabbitMQ
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", e.slides, e.what, want, t.cell(e, system.Warren), t.cell(e, system.RabbitMQ))
	}
}
