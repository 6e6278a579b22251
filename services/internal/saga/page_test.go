package saga

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/services/events"
)

var update = flag.Bool("update", false, "write services/docs/saga.md anew")

const pageFile = "../../docs/saga.md"

// TestPage: the page in the documentation is what the tables say.
func TestPage(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(pageFile, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pageFile)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v); go test ./services/internal/saga -run TestPage -update writes it", pageFile, err)
	}
}

func page() string {
	var b strings.Builder
	fmt.Fprint(&b, `# The life of an order

Written by a test from the tables in [internal/saga](../internal/saga): do not edit. Why it is so:
[decisions/0004](decisions/0004-the-saga-is-one-table.md).

## Who tells what to whom

| event | destination | from | heard by |
|---|---|---|---|
`)
	for _, e := range events.All() {
		from := events.GroupProduct // the catalogue
		for _, m := range Services() {
			if slices.Contains(m.Tells(), e.Type()) {
				from = m.Name
			}
		}
		var to []string
		for _, group := range Subscribers(e.Destination()) {
			for _, m := range Services() {
				if m.Name == group && slices.Contains(m.Notes, Message(e.Type())) {
					group += " (timeline)"
				}
			}
			to = append(to, group)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", e.Type(), e.Destination(), from, strings.Join(to, ", "))
	}
	for _, m := range append(Services(), Gateway) {
		section(&b, m)
	}
	return b.String()
}

func section(b *strings.Builder, m *Machine) {
	fmt.Fprintf(b, "\n## %s: states of the %s\n\n```mermaid\nstateDiagram-v2\n    [*] --> %s\n", m.Name, m.Subject, m.Initial)
	type edge struct{ from, to State }
	labels := map[edge][]string{}
	var order []edge
	for _, r := range m.Rows {
		e := edge{r.From, r.To}
		if labels[e] == nil {
			order = append(order, e)
		}
		labels[e] = append(labels[e], strings.ReplaceAll(string(r.On), ":", " "))
	}
	for _, e := range order {
		fmt.Fprintf(b, "    %s --> %s : %s\n", e.from, e.to, strings.Join(labels[e], ", "))
	}
	for _, i := range m.States {
		if i.Final {
			fmt.Fprintf(b, "    %s --> [*]\n", i.State)
		}
	}
	fmt.Fprint(b, "```\n\n| state | means | the service itself then waits for |\n|---|---|---|\n")
	for _, i := range m.States {
		waits := "–"
		switch {
		case len(i.Awaits) > 0:
			waits = list(i.Awaits)
		case i.Final:
			waits = "final"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", i.State, i.Means, waits)
	}
	fmt.Fprint(b, "\n| from | on | to | does | tells |\n|---|---|---|---|---|\n")
	for _, r := range m.Rows {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.From, r.On, r.To, dash(r.Do), dash(string(r.Emit)))
	}
	for _, do := range slices.Sorted(maps.Keys(m.Effects)) {
		fmt.Fprintf(b, "\n- *%s*: %s", do, m.Effects[do])
	}
	if len(m.Effects) > 0 {
		fmt.Fprintln(b)
	}
}

func list(ms []Message) string {
	out := make([]string, 0, len(ms))
	for _, m := range ms {
		out = append(out, string(m))
	}
	return strings.Join(out, ", ")
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
