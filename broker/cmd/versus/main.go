// Command versus measures clusters of three nodes side by side: this broker's and that of
// an installed RabbitMQ. One after the other carries the same load from the same client,
// round after round, and a table of medians and spreads comes out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/warren-mq/warren/broker/internal/process"
	"github.com/warren-mq/warren/libs/rabbitmq"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

type config struct {
	Bin    string        `help:"Directory of the programs broker, balancer and perf; default: this program's." type:"path"`
	Rounds int           `help:"Rounds; each runs every row once on every cluster." default:"5"`
	Time   time.Duration `help:"How long each run lasts." default:"4s"`
	Rows   []string      `help:"Rows whose names begin so, whose commas are part of them; may be given again; default: all." sep:"none" placeholder:"NAME"`
}

const roundsMax = 100

type cli struct {
	Beside  beside  `cmd:"" default:"withargs" help:"Measure this broker and RabbitMQ, one after the other, round after round (default)."`
	Polling polling `cmd:"" help:"Measure what tools cost that watch a cluster with many queues and connections."`
}

// check refuses what can't be measured.
func (c *config) check() error {
	if c.Rounds < 1 || c.Rounds > roundsMax || c.Time < time.Second {
		return fmt.Errorf("want 1 to %d rounds of at least 1s", roundsMax)
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited, polls := false, false
	k, err := kong.New(&c, kong.Name("versus"), kong.Description("Measures this broker and RabbitMQ side by side, and what watching costs."),
		kong.Writers(stdout, stderr), kong.Exit(func(int) { exited = true }))
	if err == nil {
		var parsed *kong.Context
		if parsed, err = k.Parse(args); err == nil && !exited {
			polls = parsed.Selected().Name == "polling"
		}
	}
	if exited {
		return process.ExitOK
	}
	if err == nil {
		err = errors.Join(c.Beside.check(), c.Polling.check())
	}
	if err != nil {
		fmt.Fprintln(stderr, "versus:", err)
		return process.ExitUsage
	}
	measure := c.Beside.run
	if polls {
		measure = c.Polling.run
	}
	if err := measure(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "versus:", err)
		return process.ExitError
	}
	return process.ExitOK
}

// prepare finds the programs, and makes a directory for what the nodes write.
func (c *config) prepare() (dir string, cleanUp func(), err error) {
	if c.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return "", nil, err
		}
		c.Bin = filepath.Dir(self)
	}
	dir, err = os.MkdirTemp("", "versus-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// beside measures this broker beside RabbitMQ.
type beside struct {
	config
	Only string `help:"Measure one cluster only: ${enum}." enum:"warren,rabbitmq,both" default:"both"`
}

// run starts the clusters, runs all rows and prints the table.
func (c *beside) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	rows, err := c.rows(allRows)
	if err != nil {
		return err
	}
	dir, cleanUp, err := c.prepare()
	if err != nil {
		return err
	}
	defer cleanUp()
	var clusters []*cluster
	defer func() {
		for _, cl := range clusters {
			err = errors.Join(err, cl.stop())
		}
	}()
	for _, start := range []struct {
		name  string
		start func(ctx context.Context, dir, bin string) (*cluster, error)
	}{{warren, startWarren}, {rabbitMQ, startRabbit}} {
		if c.Only != "both" && !strings.EqualFold(c.Only, start.name) {
			continue
		}
		cl, err := start.start(ctx, filepath.Join(dir, start.name), c.Bin)
		if errors.Is(err, rabbitmq.ErrNotInstalled) {
			fmt.Fprintln(stdout, start.name, "is left out:", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", start.name, err)
		}
		clusters = append(clusters, cl)
	}
	t := table{}
	for round := range c.Rounds {
		for _, r := range rows {
			for _, cl := range clusters {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s, err := c.sample(ctx, cl, r)
				if errors.Is(err, errMissing) {
					continue
				}
				if err != nil {
					fmt.Fprintf(stderr, "%s, %s: %v\n", r.name, cl.name, err)
					continue
				}
				fmt.Fprintf(stderr, "%d/%d %-28s %-9s %8.0f/s  p50 %.2f ms  p99 %.2f ms  %.1f µs CPU\n",
					round+1, c.Rounds, r.name, cl.name, s.rate, s.p50, s.p99, s.cpu)
				t.add(r.name, cl.name, s)
			}
		}
	}
	t.write(stdout, rows)
	return nil
}

// rows picks the rows that were asked for, in their order. It fails if a name begins none.
func (c *config) rows(all []row) ([]row, error) {
	if len(c.Rows) == 0 {
		return all, nil
	}
	var names []string
	for _, r := range all {
		names = append(names, strconv.Quote(r.name))
	}
	for _, prefix := range c.Rows {
		if !slices.ContainsFunc(all, func(r row) bool { return strings.HasPrefix(r.name, prefix) }) {
			return nil, fmt.Errorf("no row begins with %q; there are %s", prefix, strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(r row) bool {
		return !slices.ContainsFunc(c.Rows, func(prefix string) bool { return strings.HasPrefix(r.name, prefix) })
	}), nil
}
