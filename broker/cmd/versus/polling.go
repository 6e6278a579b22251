package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// polling measures what watching costs: a cluster of this broker with many queues and
// connections carries a load: alone, beside the tools that a cluster usually has, and
// beside many that ask and ask.
type polling struct {
	config
	Queues      int `help:"Replicated queues, with a message in every tenth." default:"10000"`
	Connections int `help:"Client connections, each with a consumer." default:"2000"`
}

// Settings of a run.
const (
	setUpTimeout = 3 * time.Minute
	replyMax     = 64 << 20
	dialAtOnce   = 32
)

// watching is who watches during a run.
type watching int

const (
	nobody watching = iota
	usual           // an open console at the list of queues, a scraper, an agent
	many            // whoever can, as fast as they can
)

func (w watching) String() string { return [...]string{"alone", "usual", "many"}[w] }

// asking is how often something is asked by how many; by nobody when zero.
type asking struct {
	tools int
	every time.Duration
}

// questions are what is asked. The usual are: RabbitMQ's page of queues, which asks again
// every five seconds, ours, which is told what changes, Prometheus with its default of 15
// seconds, and an agent that looks at the overview and all queues.
var questions = []struct {
	path        string
	usual, many asking
}{
	{"/api/queues?page=1&page_size=100&sort=messages&sort_reverse=true", asking{1, 5 * time.Second}, asking{4, 200 * time.Millisecond}},
	{"/api/overview", asking{2, 5 * time.Second}, asking{1, time.Second}},
	{"/api/connections?page=1&page_size=100", asking{}, asking{1, time.Second}},
	{"/api/queues/%2F/polled-7", asking{}, asking{1, time.Second}},
	{"/metrics", asking{nodeCount, 15 * time.Second}, asking{nodeCount, time.Second}},
	{"/api/queues", asking{1, 15 * time.Second}, asking{1, 5 * time.Second}},
	{consolePage, asking{1, time.Minute}, asking{1, 5 * time.Second}},
}

// consolePage stands for what a browser fetches that opens the console: the page, its
// files, and what the overview shows.
const consolePage = "console, first load"

// pollingRows are as much as the cluster can carry, and the latency of little.
var pollingRows = []row{
	{name: "replicated, 1 KiB", args: with(replicated, "-s", "1024")},
	{name: "confirm p99 at 1,000/s, 1 KiB", metric: byP99, args: with(replicated, "-s", "1024", "-r", "1000")},
}

// run starts the cluster, fills it, and measures in rounds.
func (p *polling) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	rows, err := p.rows(pollingRows)
	if err != nil {
		return err
	}
	dir, cleanUp, err := p.prepare()
	if err != nil {
		return err
	}
	defer cleanUp()
	cl, err := startWarren(ctx, filepath.Join(dir, warren), p.Bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cl.stop()) }()
	began := time.Now()
	if err := p.fill(ctx, cl); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	conns, err := p.connect(ctx, cl)
	defer func() {
		for _, c := range conns {
			_ = c.Close() // the cluster ends anyway
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d queues and %d connections after %s\n", p.Queues, len(conns), time.Since(began).Round(time.Second))
	var asked [3]latencies
	t := table{}
	for round := range p.Rounds {
		for _, r := range rows {
			for i := range watching(3) {
				w := (i + watching(round)) % 3 // who is first changes
				s, err := p.watched(ctx, cl, r, w, &asked[w])
				if err != nil {
					return err
				}
				fmt.Fprintf(stderr, "%d/%d %-30s %-8s %8.0f/s  p50 %.2f ms  p99 %.2f ms  %.1f µs CPU\n", round+1, p.Rounds, r.name, w, s.rate, s.p50, s.p99, s.cpu)
				t.add(r.name, w.String(), s)
			}
		}
	}
	t.beside(stdout, rows)
	for _, w := range [...]watching{usual, many} {
		asked[w].write(stdout, w)
	}
	return nil
}

// fill declares the queues, by definitions, and publishes to some.
func (p *polling) fill(ctx context.Context, cl *cluster) error {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	queues := make([]map[string]any, p.Queues)
	for i := range queues {
		queues[i] = map[string]any{"name": fmt.Sprintf("polled-%d", i), "vhost": "/", "durable": true, "arguments": map[string]any{"x-queue-type": "quorum"}}
	}
	b, err := json.Marshal(map[string]any{"queues": queues})
	if err != nil {
		return err
	}
	if _, err := ask(ctx, http.MethodPost, "http://"+cl.http[0]+"/api/definitions", strings.NewReader(string(b))); err != nil {
		return err
	}
	c, err := amqp.Dial("amqp://guest:guest@" + cl.amqp[0] + "/")
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		return err
	}
	var last *amqp.DeferredConfirmation
	for i := p.Connections; i < p.Queues; i += 10 { // of queues that nobody consumes
		last, err = ch.PublishWithDeferredConfirmWithContext(ctx, "", fmt.Sprintf("polled-%d", i), false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: make([]byte, 100)})
		if err != nil {
			return err
		}
	}
	if last != nil {
		_, err = last.WaitContext(ctx)
	}
	return err
}

// connect opens the connections, on all nodes in turn.
func (p *polling) connect(ctx context.Context, cl *cluster) (conns []*amqp.Connection, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := make(chan struct{}, dialAtOnce)
	for i := range p.Connections {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			c, cerr := amqp.DialConfig("amqp://guest:guest@"+cl.amqp[i%nodeCount]+"/", amqp.Config{Heartbeat: time.Minute})
			if cerr == nil {
				var ch *amqp.Channel
				if ch, cerr = c.Channel(); cerr == nil {
					_, cerr = ch.ConsumeWithContext(context.WithoutCancel(ctx), fmt.Sprintf("polled-%d", i%p.Queues), "", true, false, false, false, nil)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if c != nil {
				conns = append(conns, c)
			}
			err = errors.Join(err, cerr)
		})
	}
	wg.Wait()
	return conns, err
}

// watched runs a row while somebody watches.
func (p *polling) watched(ctx context.Context, cl *cluster, r row, w watching, asked *latencies) (sample, error) {
	if w == nobody {
		return p.sample(ctx, cl, r)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, q := range questions {
		a := q.usual
		if w == many {
			a = q.many
		}
		for i := range a.tools {
			wg.Go(func() { asked.repeat(ctx, "http://"+cl.http[i%nodeCount], q.path, a.every) })
		}
	}
	wg.Go(func() { // an open console
		_, _ = ask(ctx, http.MethodGet, "http://"+cl.http[0]+"/api/events/stream", nil) // ended by us
	})
	return p.sample(ctx, cl, r)
}

// ask sends a request as guest and reads the whole answer.
func ask(ctx context.Context, method, url string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, replyMax))
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, lastLine(b))
	}
	return b, err
}

// latencies are how long answers took, by question.
type latencies struct {
	mu   sync.Mutex
	of   map[string][]time.Duration
	errs map[string]int
}

func (l *latencies) add(question string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of, l.errs = map[string][]time.Duration{}, map[string]int{}
	}
	if err != nil {
		l.errs[question]++
	} else {
		l.of[question] = append(l.of[question], took)
	}
}

// repeat asks again and again until ctx ends.
func (l *latencies) repeat(ctx context.Context, node, question string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		began := time.Now()
		var err error
		if question == consolePage {
			err = openConsole(ctx, node)
		} else {
			_, err = ask(ctx, http.MethodGet, node+question, nil)
		}
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		l.add(question, took, err)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

var (
	pageFile   = regexp.MustCompile(`(?:src|href)="([a-z]+\.(?:js|css|svg))"`)
	moduleFile = regexp.MustCompile(`from "\./([a-z]+\.js)"`)
)

// openConsole fetches what a browser does: files as it finds them, then what is shown.
func openConsole(ctx context.Context, node string) error {
	b, err := ask(ctx, http.MethodGet, node+"/", nil)
	have := map[string]bool{}
	for todo := pageFile.FindAllStringSubmatch(string(b), -1); len(todo) > 0 && err == nil; {
		name := todo[0][1]
		todo = todo[1:]
		if have[name] {
			continue
		}
		have[name] = true
		if b, err = ask(ctx, http.MethodGet, node+"/"+name, nil); err == nil {
			todo = append(todo, moduleFile.FindAllStringSubmatch(string(b), -1)...)
		}
	}
	for _, api := range [...]string{"whoami", "overview?lengths_age=120&lengths_incr=2&msg_rates_age=120&msg_rates_incr=2", "nodes"} {
		if err == nil {
			_, err = ask(ctx, http.MethodGet, node+"/api/"+api, nil)
		}
	}
	if err == nil && len(have) < 2 {
		err = errors.New("the console's page names no files")
	}
	return err
}

// write prints the latencies as Markdown.
func (l *latencies) write(w io.Writer, who watching) {
	fmt.Fprintf(w, "\n%s tools:\n", who)
	fmt.Fprintln(w, "\n| asked, with the load beside it | answers | p50 | p99 | longest | failed |\n|---|---|---|---|---|---|")
	for _, q := range questions {
		v := slices.Sorted(slices.Values(l.of[q.path]))
		if who == usual && q.usual.tools == 0 {
			continue
		}
		if len(v) == 0 {
			fmt.Fprintf(w, "| %s | 0 | – | – | – | %d |\n", q.path, l.errs[q.path])
			continue
		}
		at := func(share float64) time.Duration {
			return v[min(int(share*float64(len(v))), len(v)-1)].Round(100 * time.Microsecond)
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %d |\n", q.path, len(v), at(0.5), at(0.99), at(1), l.errs[q.path])
	}
}

// beside prints each row alone and watched.
func (t table) beside(w io.Writer, rows []row) {
	fmt.Fprintln(w, "| load | tools | median (least–most) | CPU µs a message, all nodes | rounds in which it was behind alone |\n|---|---|---|---|---|")
	for _, r := range rows {
		alone := t[[2]string{r.name, nobody.String()}]
		for _, who := range [...]watching{nobody, usual, many} {
			of := t[[2]string{r.name, who.String()}]
			behind := 0
			for i := range min(len(alone), len(of)) {
				a, b := alone[i].get(r.metric), of[i].get(r.metric)
				if r.metric == byRate && b < a || r.metric != byRate && b > a {
					behind++
				}
			}
			cpu := spreadOf(of, func(s sample) float64 { return s.cpu })
			fmt.Fprintf(w, "| %s | %s | %s | %.1f (%.1f–%.1f) | %d of %d |\n", r.name, who,
				r.metric.format(spreadOf(of, func(s sample) float64 { return s.get(r.metric) })), cpu.median, cpu.least, cpu.most, behind, len(of))
		}
	}
}
