package grafana_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql"

	"github.com/warren-mq/warren/broker/brokertest"
)

// boards are the dashboards whose queries are to be answered.
var boards = []string{"rabbitmq-overview.yml", "rabbitmq-quorum-queues-raft.yml", "rabbitmq-queue.yml"}

// emptyExpected are parts of queries that may find nothing, and why. What they name must
// be there all the same.
var emptyExpected = map[string]string{
	"> 5000": "it shows logs of more than 5,000 entries alone",
}

// zeroExpected are parts of queries of rates that may all be zero, and why.
var zeroExpected = map[string]string{
	"rabbitmq_raft_term_total":                         "nobody is elected meanwhile",
	"rabbitmq_global_messages_received_confirm_total[": "every publish is confirmed",
}

// notOurs are beginnings of metrics that a broker does not tell, and who does.
var notOurs = map[string]string{
	"kube_":      "told by Kubernetes",
	"ALERTS":     "made by Prometheus out of the alerts",
	"erlang_vm_": "told of connections between Erlang nodes, which there are none of",
}

// scrapes is how often the cluster is scraped, with load in between: a rate takes two.
const scrapes = 4

// TestQueries runs all queries against a cluster of three nodes.
func TestQueries(t *testing.T) {
	dir := observability(t)
	c := brokertest.StartCluster(t, 3)
	p := newPrometheus(t)
	for _, n := range c.Nodes {
		standing(t, n)
	}
	for range scrapes {
		for _, n := range c.Nodes {
			p.scrape(n.Name(), n.HTTPAddr())
			everything(t, n)
		}
	}
	for _, n := range c.Nodes {
		p.scrape(n.Name(), n.HTTPAddr())
	}
	for _, file := range boards {
		t.Run(file, func(t *testing.T) {
			b, err := loadBoard(t.Context(), filepath.Join(dir, "grafana", "dashboards", file))
			if errors.Is(err, errAway) {
				t.Skip(err)
			}
			p.board(t, b, err)
		})
	}
	t.Run("ours", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "grafana", "warren.json"))
		b := &board{}
		if err == nil {
			err = json.Unmarshal(text, b)
		}
		p.board(t, b, err)
	})
	t.Run("rules", func(t *testing.T) { p.rules(t, dir) })
}

// board evaluates a dashboard's queries, if it could be read.
func (p *prometheus) board(t *testing.T, b *board, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	values, err := p.choose(b)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	each(b.Panels, func(at panel) {
		for _, q := range at.Targets {
			query, err := fill(q.Expr, values)
			if err != nil {
				t.Errorf("%s: %v", at.Title, err)
				continue
			}
			outcome, why := p.judge(query)
			count[outcome]++
			if outcome == failed {
				t.Errorf("failed: %s: %s\n%s", at.Title, why, query)
				continue
			}
			t.Logf("%s: %s: %s", outcome, at.Title, why)
		}
	})
	t.Logf("%s: %v", b.Title, count)
	if count[passed] == 0 {
		t.Errorf("no query of %s passed", b.Title)
	}
}

// The outcomes of a query.
const (
	passed = "passed"
	empty  = "empty"
	failed = "failed"
)

// judge evaluates one query of a dashboard, and says what is to be said of that.
func (p *prometheus) judge(query string) (outcome, why string) {
	series, err := p.ask(query)
	if err != nil {
		return failed, err.Error()
	}
	missing, err := p.lacking(query)
	switch {
	case err != nil:
		return failed, err.Error()
	case len(missing) != 0:
		return failed, "there is no " + strings.Join(missing, ", no ")
	case len(series) == 0:
		if why = reason(query, emptyExpected); why == "" {
			return failed, "it finds nothing, though all that it names is there"
		}
		return empty, why
	case strings.Contains(query, "rate(") && !slices.ContainsFunc(series, notZero):
		if why = reason(query, zeroExpected); why == "" {
			return failed, "all zero, under a load that must show"
		}
		return passed, "zero: " + why
	case slices.ContainsFunc(series, func(s promql.Sample) bool { return math.IsNaN(s.F) }):
		return failed, "it is not a number"
	}
	return passed, series.String()
}

func notZero(s promql.Sample) bool { return s.F != 0 }

// reason returns the reason that is given for a part of a query, "" if there is none.
func reason(query string, reasons map[string]string) string {
	for part, why := range reasons {
		if strings.Contains(query, part) {
			return why
		}
	}
	return ""
}

// rules evaluates the alerting rules: whether they fire or not, what they watch is there.
func (p *prometheus) rules(t *testing.T, dir string) {
	all, err := loadRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range all {
		name := r.Alert + r.Record
		series, err := p.ask(r.Expr)
		var missing []string
		if err == nil {
			missing, err = p.lacking(r.Expr)
		}
		foreign := ""
		missing = slices.DeleteFunc(missing, func(m string) bool {
			for start, why := range notOurs {
				if strings.HasPrefix(m, start) {
					foreign = why
					return true
				}
			}
			return false
		})
		switch {
		case err != nil:
			t.Errorf("failed: %s: %v", name, err)
		case len(missing) != 0:
			t.Errorf("failed: %s: there is no %s", name, strings.Join(missing, ", no "))
		case foreign != "":
			count["not applicable"]++
			t.Logf("not applicable: %s: it asks for what is %s", name, foreign)
		default:
			count[passed]++
			t.Logf("passed: %s: %d alerts", name, len(series))
		}
	}
	t.Logf("rules: %v", count)
	if count[passed] < 8 {
		t.Errorf("only %d rules passed", count[passed])
	}
}
