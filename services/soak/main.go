// Command soak runs the whole system for long, under load, while something breaks every minute, and ends with the ledger of all
// orders and with the memory of each process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/load"
)

type flags struct {
	For    time.Duration `help:"How long." default:"30m"`
	Rate   float64       `help:"Orders a second." default:"20"`
	Every  time.Duration `help:"Time between failures; each is on for half of it." default:"1m"`
	Seed   uint64        `help:"Of the failures' order; 0: another each time, which is printed."`
	Settle time.Duration `help:"How long the last orders may take to end." default:"5m"`
	Report string        `help:"File for a page with plots (HTML)." type:"path"`
	Bin    string        `help:"Directory of the binaries; default: where this one is." env:"WARREN_BIN" type:"path"`
}

func main() { os.Exit(run.Main("soak", soak)) }

var errLedger = errors.New("the ledger is not clean")

// soak carries out what the command line asks for.
func soak(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	var f flags
	k, err := run.Parse(&f, "soak", "Runs the system under load while something breaks every minute. Exit status 1: the ledger is not clean.", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	schedule, err := load.NewSchedule(load.Poisson, f.Seed, load.Step{Rate: f.Rate, Time: f.For})
	if err == nil && (f.Every < 2*time.Second || f.Every/2 > failureTimeMax) {
		err = fmt.Errorf("--every %s: want from 2s to %s", f.Every, 2*failureTimeMax)
	}
	if err != nil {
		return run.UsageError{Err: err}
	}
	if f.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		f.Bin = filepath.Dir(self)
	}
	if _, err := exec.LookPath(filepath.Join(f.Bin, "broker")); err != nil {
		return run.UsageError{Err: fmt.Errorf("no binaries in %s: make build makes them", f.Bin)}
	}
	broker, err := system.ReadBroker(getenv)
	if err != nil {
		return run.UsageError{Err: err}
	}
	return f.run(ctx, broker, schedule)
}

// Settings of the processes.
const (
	// orderExpiry is how long an order may take: what waits for a dead letter ends then.
	orderExpiry = "ORDER_EXPIRY=1m"
	// tracesKept lets the trace store fill up soon, so that its memory can be seen to stay.
	tracesKept = "TRACESTORE_MAX_MIB=32"
	// plenty lets orders be delivered to the end.
	plenty = "PRODUCT_STOCK_TIMES=1000"
)

// run starts the system, lets it work, and stops it. What it has written stays if something is wrong.
func (f *flags) run(ctx context.Context, broker system.Broker, schedule *load.Schedule) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a reader of our output that goes away must not leave processes behind
	ports, err := system.FreePorts()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	s := system.New(system.Config{Bin: f.Bin, State: dir, Ports: ports, Broker: broker, Env: []string{orderExpiry, tracesKept, plenty, "CONSUMER_ATTEMPTS=3"}})
	defer func() {
		if err = errors.Join(err, s.Down(context.WithoutCancel(ctx))); err != nil {
			err = fmt.Errorf("%w; logs and data are in %s", err, dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if err := s.Start(ctx, true, s.All()...); err != nil {
		return err
	}
	fmt.Printf("page %s/\n", s.URL(system.Order))
	conducting, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		ended <- s.Conduct(conducting, slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
			func(name string) { fmt.Println(clock(), name, "has died and is started again") })
	}()
	result, memory, err := f.work(ctx, s, schedule)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	result.Text(os.Stdout)
	memory.write(os.Stdout)
	if f.Report != "" {
		file, err := os.Create(f.Report)
		if err != nil {
			return err
		}
		if err := errors.Join(result.HTML(file), file.Close()); err != nil {
			return err
		}
	}
	if !result.Ledger.Clean() {
		return errLedger
	}
	return nil
}

// work places orders while failures happen, and waits until all orders have ended.
func (f *flags) work(ctx context.Context, s *system.System, schedule *load.Schedule) (*load.Result, *memory, error) {
	orders := load.NewOrders(s.URL(system.Order), "soak")
	m := newMemory(s.All())
	breaking, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.breakThings(breaking, s) }()
	g := load.Generator{Schedule: schedule, Clock: load.Wall{}, Place: orders.Place, Second: func(x load.Second) {
		m.look(s.RSS)
		if int(x.At)%lineEvery == 0 {
			open, err := orders.Open(ctx)
			fmt.Println(clock(), x, backlog(open, err))
		}
	}}
	r := g.Run(ctx)
	stop()
	if err := <-ended; err != nil {
		return nil, nil, err
	}
	if err := replay(ctx, s, f.Bin); err != nil {
		return nil, nil, err
	}
	var err error
	r.Ledger, err = orders.Settle(context.WithoutCancel(ctx), f.Settle)
	m.look(s.RSS)
	return r, m, err
}

// backlog says how many orders have not come to their end.
func backlog(open int64, err error) string {
	if err != nil {
		return " the order service does not say how many are open"
	}
	return fmt.Sprintf(" open %d", open)
}

const lineEvery = 10 // seconds

func clock() string { return time.Now().Format(time.TimeOnly) }
