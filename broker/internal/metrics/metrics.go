// Package metrics serves what the node measures to Prometheus: under RabbitMQ's names, so
// that its dashboards load, and the latencies that only this broker has.
package metrics

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/meter"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Source is the node that is measured.
type Source interface {
	Name() string
	ClusterID() string
	View(f func(*metadata.State))
	Totals() node.Counts
	Churn() node.Churn
	Histograms() node.Histograms
	Machine() node.MachineStatus
	// LedQueues returns the queues whose leader is here.
	LedQueues(ctx context.Context) []node.QueueStatus
	ConnectionsHere() []node.ConnectionStatus
	Activity() node.Activity
	ExchangesHere() []node.ExchangeCounts
	RaftSums(ctx context.Context) node.RaftSums
}

// Config says what is told of single queues.
type Config struct {
	Version string
	// Top is of how many queues, those with the most messages, the main page tells; 0:
	// topDefault, negative: of none.
	Top int
	// Queues is an expression of names of queues that it always tells of; "": none.
	Queues string
}

const (
	topDefault    = 20
	objectsMax    = 1000 // queues that a page tells of at most, however it was asked
	scrapeTimeout = 5 * time.Second
	patternMax    = 1024
)

// Handler serves the pages below /metrics. It fails if the expression is none.
func Handler(source func() Source, c Config) (http.Handler, error) {
	if c.Top == 0 {
		c.Top = topDefault
	}
	var chosen *regexp.Regexp // nil: none
	if c.Queues != "" {
		var err error
		if chosen, err = regexp.Compile(c.Queues); err != nil {
			return nil, err
		}
	}
	page := func(collect func(*collector, url.Values)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), scrapeTimeout)
			defer cancel()
			x := &collector{ctx: ctx, n: source(), version: c.Version, top: c.Top, chosen: chosen}
			q := r.URL.Query()
			if err := x.narrow(q); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			collect(x, q)
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(x)
			promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", page(func(x *collector, _ url.Values) { x.aggregated() }))
	mux.HandleFunc("GET /metrics/per-object", page(func(x *collector, _ url.Values) { x.perObject("rabbitmq_") }))
	mux.HandleFunc("GET /metrics/detailed", page(func(x *collector, q url.Values) { x.detailed(q["family"]) }))
	mux.HandleFunc("GET /metrics/memory-breakdown", page(func(x *collector, _ url.Values) { x.memory() }))
	return mux, nil
}

// collector gathers one page.
type collector struct {
	ctx     context.Context //nolint:containedctx // lives as long as one request
	n       Source
	version string
	top     int
	chosen  *regexp.Regexp
	vhosts  []string            // nil: all
	process *node.MachineStatus // nil: not asked for yet
	out     []prometheus.Metric
}

// narrow reads what a request asks for: ?top=, ?queue= (an expression), ?vhost=.
func (x *collector) narrow(q url.Values) (err error) {
	if text := q.Get("top"); text != "" {
		if x.top, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	if text := q.Get("queue"); text != "" && len(text) <= patternMax {
		if x.chosen, err = regexp.Compile(text); err != nil {
			return err
		}
	}
	x.vhosts = q["vhost"]
	return nil
}

// Describe implements prometheus.Collector: what there is depends on what was asked for.
func (x *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (x *collector) Collect(to chan<- prometheus.Metric) {
	for _, m := range x.out {
		to <- m
	}
}

// add adds a value; labels are names and values in turn.
func (x *collector) add(kind prometheus.ValueType, name, help string, v float64, labels ...string) {
	names, values := pairs(labels)
	x.out = append(x.out, prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, v, values...))
}

func (x *collector) gauge(name, help string, v float64, labels ...string) {
	x.add(prometheus.GaugeValue, name, help, v, labels...)
}

func (x *collector) counter(name, help string, v uint64, labels ...string) {
	x.add(prometheus.CounterValue, name, help, float64(v), labels...)
}

func pairs(labels []string) (names, values []string) {
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return names, values
}

// histogram adds one whose values were counted in units of unit: a microsecond, a byte. A
// bucket's end belongs to the next, which nobody will see.
func (x *collector) histogram(name, help string, s *meter.Snapshot, unit float64, from, to int) {
	buckets := map[float64]uint64{}
	var sum uint64
	for i, n := range s.N {
		sum += n
		if i >= from && i <= to {
			buckets[math.Exp2(float64(i))*unit] = sum
		}
	}
	x.out = append(x.out, prometheus.MustNewConstHistogram(prometheus.NewDesc(name, help, nil, nil), sum, float64(s.Sum)*unit, buckets))
}

// uses is what the process uses; finding that out takes a look at each open file.
func (x *collector) uses() *node.MachineStatus {
	if x.process == nil {
		m := x.n.Machine()
		x.process = &m
	}
	return x.process
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// queues returns the queues led here in the virtual hosts that were asked for.
func (x *collector) queues() []node.QueueStatus {
	return slices.DeleteFunc(x.n.LedQueues(x.ctx), func(q node.QueueStatus) bool {
		return x.vhosts != nil && !slices.Contains(x.vhosts, q.VHost)
	})
}

// told returns those of the queues that are told of one by one: those that are chosen, and
// of the others those with the most messages.
func (x *collector) told(all []node.QueueStatus) []*node.QueueStatus {
	var told, rest []*node.QueueStatus
	for i := range all {
		switch q := &all[i]; {
		case x.chosen != nil && x.chosen.MatchString(q.Name):
			told = append(told, q)
		case x.top > 0:
			rest = append(rest, q)
		}
	}
	byName := func(a, b *node.QueueStatus) int {
		return cmp.Or(cmp.Compare(a.VHost, b.VHost), cmp.Compare(a.Name, b.Name))
	}
	slices.SortFunc(told, byName)
	larger := func(a, b *node.QueueStatus) int {
		return cmp.Or(cmp.Compare(b.Ready+b.Unacked, a.Ready+a.Unacked), byName(a, b))
	}
	if largest := min(x.top, objectsMax); len(rest) > 2*largest { // most are not needed: what is smaller than so many goes first
		rest = atLeast(rest, largest)
	}
	slices.SortFunc(rest, larger)
	told = append(told, rest[:min(max(x.top, 0), len(rest))]...)
	return told[:min(len(told), objectsMax)]
}

// atLeast returns the queues that have as many messages as the n-th largest, or more; of
// the empty ones as many as are needed, by name.
func atLeast(all []*node.QueueStatus, n int) []*node.QueueStatus {
	lengths := make([]int, 0, len(all))
	for _, q := range all {
		if l := q.Ready + q.Unacked; l > 0 {
			lengths = append(lengths, l)
		}
	}
	if len(lengths) < n {
		return all
	}
	slices.Sort(lengths)
	least := lengths[len(lengths)-n]
	return slices.DeleteFunc(all, func(q *node.QueueStatus) bool { return q.Ready+q.Unacked < least })
}
