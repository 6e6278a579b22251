package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// metric is what a row compares.
type metric int

const (
	byRate metric = iota // messages received a second
	byP50                // of the confirms' latency
	byP99
)

// row is one load.
type row struct {
	name   string
	metric metric
	via    string // "" directly, else the proxy
	args   []string
}

// The load of RabbitMQ's reference figures: one client process, up to 500 publishes in
// flight, up to 500 deliveries unacknowledged, each acknowledged by itself.
var (
	window     = []string{"-c", "500", "-q", "500"}
	replicated = append(slices.Clone(window), "--quorum")
	fleeting   = append(slices.Clone(window), "--transient", "--auto-ack")
)

var allRows = []row{
	{name: "replicated, 100 B", args: with(replicated, "-s", "100")},
	{name: "replicated, 1 KiB", args: with(replicated, "-s", "1024")},
	{name: "replicated, 16 KiB", args: with(replicated, "-s", "16384")},
	{name: "replicated, 10 queues, 100 B", args: with(replicated, "-s", "100", "-x", "10", "-y", "10", "--queue-count", "10")},
	{name: "through HAProxy, 1 KiB", via: "haproxy", args: with(replicated, "-s", "1024")},
	{name: "through the balancer, 1 KiB", via: "balancer", args: with(replicated, "-s", "1024")},
	{name: "durable, 100 B", args: with(window, "-s", "100")},
	{name: "durable, 1 KiB", args: with(window, "-s", "1024")},
	{name: "durable, 16 KiB", args: with(window, "-s", "16384")},
	{name: "transient, auto-ack, 100 B", args: with(fleeting, "-s", "100")},
	{name: "transient, auto-ack, 1 KiB", args: with(fleeting, "-s", "1024")},
	{name: "transient, auto-ack, 16 KiB", args: with(fleeting, "-s", "16384")},
	{name: "window 1, 1 KiB", metric: byP50, args: []string{"-c", "1", "-q", "500", "--quorum", "-s", "1024"}},
	{name: "confirm p99 at 1,000/s, 1 KiB", metric: byP99, args: with(replicated, "-s", "1024", "-r", "1000")},
	{name: "confirm p99 at 5,000/s, 1 KiB", metric: byP99, args: with(replicated, "-s", "1024", "-r", "5000")},
}

func with(args []string, more ...string) []string { return append(slices.Clone(args), more...) }

// sample is one run's figures.
type sample struct {
	rate, p50, p99 float64 // messages a second, milliseconds
	cpu            float64 // microseconds of all nodes for each message
}

func (s sample) get(m metric) float64 {
	switch m {
	case byP50:
		return s.p50
	case byP99:
		return s.p99
	case byRate:
	}
	return s.rate
}

// sampleSlack is how much longer than asked for a run may take.
const sampleSlack = 30 * time.Second

// sample runs one row on one cluster.
func (c *config) sample(ctx context.Context, cl *cluster, r row) (s sample, err error) {
	url, err := cl.url(r.via)
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Time+sampleSlack)
	defer cancel()
	args := append([]string{"-h", url, "-u", "versus", "--json", "-z", strconv.Itoa(int(c.Time.Seconds()))}, r.args...)
	cmd := exec.CommandContext(ctx, filepath.Join(c.Bin, "perf"), args...)
	before := cl.cpu()
	out, err := cmd.Output()
	used := cl.cpu() - before
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, lastLine(e.Stderr))
		}
		return s, err
	}
	var p struct {
		Received    float64 `json:"received"`
		ReceiveRate float64 `json:"receive_rate"`
		Confirm     struct {
			P50 float64 `json:"p50_ms"`
			P99 float64 `json:"p99_ms"`
		} `json:"confirm_latency"`
	}
	if err := json.Unmarshal(out, &p); err != nil {
		return s, err
	}
	return sample{rate: p.ReceiveRate, p50: p.Confirm.P50, p99: p.Confirm.P99, cpu: float64(used.Microseconds()) / max(p.Received, 1)}, nil
}

func lastLine(b []byte) string {
	const most = 300
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}

// table is all samples, by row and cluster.
type table map[[2]string][]sample

func (t table) add(row, cluster string, s sample) {
	k := [2]string{row, cluster}
	t[k] = append(t[k], s)
}

// spread is the median, the least and the greatest of some figures.
type spread struct{ median, least, most float64 }

func spreadOf(samples []sample, get func(sample) float64) spread {
	var v []float64
	for _, s := range samples {
		v = append(v, get(s))
	}
	slices.Sort(v)
	median := v[len(v)/2]
	if len(v)%2 == 0 {
		median = (median + v[len(v)/2-1]) / 2
	}
	return spread{median, v[0], v[len(v)-1]}
}

// write prints the table as Markdown.
func (t table) write(w io.Writer, rows []row) {
	fmt.Fprintf(w, "| load | %s: median (least–most) | %s | ratio | CPU µs a message, all nodes: %[1]s | %[2]s |\n|---|---|---|---|---|---|\n", warren, rabbitMQ)
	for _, r := range rows {
		cell := map[string]string{}
		median := map[string]float64{}
		cpu := map[string]string{}
		for _, name := range []string{warren, rabbitMQ} {
			samples := t[[2]string{r.name, name}]
			cell[name], cpu[name] = "–", "–"
			if len(samples) == 0 {
				continue
			}
			s := spreadOf(samples, func(s sample) float64 { return s.get(r.metric) })
			median[name] = s.median
			cell[name] = r.metric.format(s)
			cpu[name] = fmt.Sprintf("%.1f", spreadOf(samples, func(s sample) float64 { return s.cpu }).median)
		}
		ratio := "–"
		if median[warren] > 0 && median[rabbitMQ] > 0 {
			x := median[warren] / median[rabbitMQ]
			ratio = fmt.Sprintf("%.2f ×", x)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.name, cell[warren], cell[rabbitMQ], ratio, cpu[warren], cpu[rabbitMQ])
	}
}

func (m metric) format(s spread) string {
	if m == byRate {
		const k = 1000
		return fmt.Sprintf("%.1fk/s (%.1f–%.1f)", s.median/k, s.least/k, s.most/k)
	}
	return fmt.Sprintf("%.2f ms (%.2f–%.2f)", s.median, s.least, s.most)
}
