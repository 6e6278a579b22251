// Command load places orders at a rate that does not ask whether the system keeps up, and says how long they took from the time on
// at which they were meant to be placed, and what became of them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/load"
)

type flags struct {
	URL    string        `help:"The order service." default:"http://127.0.0.1:8080" env:"ORDER_URL"`
	Rate   float64       `help:"Orders a second." default:"50"`
	Time   time.Duration `help:"How long." default:"30s"`
	Steps  string        `help:"Rates one after the other, instead of --rate and --time: 10x10s,50x30s." placeholder:"RATExTIME,..."`
	Shape  string        `help:"How orders are spread: ${enum}." enum:"constant,poisson" default:"constant"`
	Seed   uint64        `help:"Of the poisson shape." default:"1"`
	Settle time.Duration `help:"How long the last orders may take to end; 0: nobody looks what became of them." default:"2m"`
	JSON   bool          `help:"Print the result as JSON."`
	Report string        `help:"File for a page with plots (HTML)." type:"path"`
}

func main() { os.Exit(run.Main("load", generate)) }

var (
	errFailed = errors.New("some orders failed")
	errLedger = errors.New("the ledger is not clean")
)

// generate carries out what the command line asks for.
func generate(ctx context.Context, args []string, _ func(string) string, stderr io.Writer) error {
	var f flags
	k, err := run.Parse(&f, "load", "Places orders by a schedule and keeps account of them. Exit status 1: some failed, or the ledger is not clean.", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	schedule, err := f.schedule()
	if err != nil {
		return run.UsageError{Err: err}
	}
	orders := load.NewOrders(f.URL, uuid.Must(uuid.NewV7()).String())
	g := load.Generator{Schedule: schedule, Clock: load.Wall{}, Place: orders.Place, Second: func(s load.Second) { fmt.Fprintln(stderr, s) }}
	r := g.Run(ctx)
	if f.Settle > 0 {
		if r.Ledger, err = orders.Settle(context.WithoutCancel(ctx), f.Settle); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	if err := f.write(r); err != nil {
		return err
	}
	switch {
	case r.Ledger != nil && !r.Ledger.Clean():
		return errLedger
	case r.Failed > 0:
		return errFailed
	}
	return nil
}

func (f *flags) schedule() (*load.Schedule, error) {
	steps := []load.Step{{Rate: f.Rate, Time: f.Time}}
	if f.Steps != "" {
		var err error
		if steps, err = load.ParseSteps(f.Steps); err != nil {
			return nil, err
		}
	}
	return load.NewSchedule(load.Shape(f.Shape), f.Seed, steps...)
}

// write prints the result and writes the report.
func (f *flags) write(r *load.Result) error {
	if f.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		r.Text(os.Stdout)
	}
	if f.Report == "" {
		return nil
	}
	file, err := os.Create(f.Report)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(file), file.Close())
}
