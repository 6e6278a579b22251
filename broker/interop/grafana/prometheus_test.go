package grafana_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	queryTimeout = 10 * time.Second
	samplesMax   = 1_000_000
	lookBack     = 5 * time.Minute // how old a sample may be; Prometheus's default
	graphSpan    = "900s"          // of the dashboards' graphs
	graphStep    = "15s"
)

// prometheus is one that scrapes a cluster as the operator has it do: the sums and the
// queues one by one, under one instance for each node.
type prometheus struct {
	t      *testing.T
	db     *tsdb.DB
	engine *promql.Engine
	types  map[string]dto.MetricType
}

func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: samplesMax, Timeout: queryTimeout, LookbackDelta: lookBack, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	return &prometheus{t: t, db: db, engine: engine, types: map[string]dto.MetricType{}}
}

// pages are those that the operator has scraped, with its own name for each.
var pages = [...]string{"/metrics", "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics"}

// scrape stores what a node tells now.
func (p *prometheus) scrape(node, addr string) {
	p.t.Helper()
	for _, page := range pages {
		families := p.page("http://" + addr + page)
		now := time.Now()
		to := p.db.Appender(p.t.Context())
		for name, f := range families {
			p.types[name] = f.GetType()
			vector, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, f)
			if err != nil {
				p.t.Fatal(err)
			}
			for _, s := range vector {
				b := labels.NewBuilder(labels.EmptyLabels())
				for k, v := range s.Metric {
					b.Set(string(k), string(v))
				}
				b.Set("instance", addr).Set("job", "warren").Set("namespace", "default").Set("pod", node)
				if _, err := to.Append(0, b.Labels(), now.UnixMilli(), float64(s.Value)); err != nil {
					p.t.Fatal(err)
				}
			}
		}
		if err := to.Commit(); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *prometheus) page(url string) map[string]*dto.MetricFamily {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), pageTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		p.t.Fatalf("%s: %s: %s", url, resp.Status, text)
	}
	text := expfmt.NewTextParser(model.LegacyValidation)
	families, err := text.TextToMetricFamilies(resp.Body)
	if err != nil {
		p.t.Fatalf("%s: %v", url, err)
	}
	return families
}

// ask evaluates a query now.
func (p *prometheus) ask(query string) (promql.Vector, error) {
	q, err := p.engine.NewInstantQuery(p.t.Context(), p.db, nil, query, time.Now())
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(p.t.Context())
	if r.Err != nil {
		return nil, r.Err
	}
	v, err := r.Vector()
	return slices.Clone(v), err
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.*),\s*(\w+)\)$`)
	queryResult = regexp.MustCompile(`^query_result\((.*)\)$`)
	chosen      = regexp.MustCompile(`\$(\w+)|\$\{(\w+)\}`)
)

// choose fills in a dashboard's variables as Grafana does that is opened: the first value
// that is found for each.
func (p *prometheus) choose(b *board) (map[string]string, error) {
	values := map[string]string{"__range": graphSpan, "__interval": graphStep, "__rate_interval": "60s"}
	for _, v := range b.Templating.List {
		if v.Type != "query" {
			continue
		}
		text, err := v.text()
		if err == nil {
			text, err = fill(text, values)
		}
		var found []string
		if err == nil {
			found, err = p.values(text, v.Regex)
		}
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("variable %s: %s finds nothing", v.Name, text)
		}
		values[v.Name] = slices.Min(found)
	}
	return values, nil
}

// values are the labels that a variable's query finds, or what its expression takes out of
// the series, written as Grafana shows them to it.
func (p *prometheus) values(text, expression string) (found []string, err error) {
	if m := labelValues.FindStringSubmatch(text); m != nil {
		series, err := p.ask(m[1])
		for _, s := range series {
			if v := s.Metric.Get(m[2]); v != "" {
				found = append(found, v)
			}
		}
		return found, err
	}
	m := queryResult.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("unknown query %q", text)
	}
	re, err := regexp.Compile(strings.Trim(expression, "/"))
	if err != nil {
		return nil, err
	}
	series, err := p.ask(m[1])
	for _, s := range series {
		if part := re.FindStringSubmatch(fmt.Sprintf("%s %v %d", s.Metric, s.F, s.T)); part != nil {
			found = append(found, part[len(part)-1])
		}
	}
	return found, err
}

// fill puts values in the place of variables.
func fill(query string, values map[string]string) (filled string, err error) {
	filled = chosen.ReplaceAllStringFunc(query, func(name string) string {
		v, ok := values[strings.Trim(name, "${}")]
		if !ok {
			err = fmt.Errorf("no value for %s in %s", name, query)
		}
		return v
	})
	return filled, err
}

// lacking returns the metrics that a query names and nobody has, with what it wants of
// their labels; and those that it takes for counters and are none.
func (p *prometheus) lacking(query string) (missing []string, err error) {
	tree, err := parser.ParseExpr(query)
	if err != nil {
		return nil, err
	}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		plain := *s // without an offset, and not as a range
		plain.OriginalOffset, plain.Offset, plain.Timestamp, plain.StartOrEnd = 0, 0, nil, 0
		found, askErr := p.ask(plain.String())
		if askErr != nil {
			err = askErr
		} else if len(found) == 0 {
			missing = append(missing, plain.String())
		} else if kind := p.types[s.Name]; strings.HasSuffix(s.Name, "_total") && kind != dto.MetricType_COUNTER {
			missing = append(missing, fmt.Sprintf("%s as a counter: it is a %s", s.Name, kind))
		}
		return nil
	})
	return missing, err
}
