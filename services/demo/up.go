package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/demo/system"
)

const watchInterval = time.Second

type upCmd struct{}

// Run implements the command: everything up, until ^C, everything down.
func (upCmd) Run(ctx context.Context, s *system.System) error {
	ctx, hurry, done := signals(ctx)
	defer done()
	if err := s.Check(s.All()...); err != nil {
		return err
	}
	begin := time.Now()
	fmt.Fprintln(os.Stdout, "starting")
	err := s.Start(ctx, true, s.All()...)
	switch {
	case err == nil:
		page(os.Stdout, s)
		fmt.Fprintf(os.Stdout, "up after %.1f s; ^C stops everything\nready\n", time.Since(begin).Seconds())
		err = conduct(ctx, s)
	case ctx.Err() != nil:
		err = nil // ^C while starting: the processes are not to blame
	default:
		err = fmt.Errorf("%w\nif the data of an earlier version are to blame, make clean removes them", err)
	}
	fmt.Fprintln(os.Stdout, "\nstopping")
	defer context.AfterFunc(hurry, func() { _ = s.Kill(context.Background(), s.All()...) })()
	err = errors.Join(err, s.Down(context.WithoutCancel(ctx)))
	if left := s.Running(); len(left) > 0 {
		return errors.Join(err, fmt.Errorf("still running: %v", left))
	}
	if err == nil {
		fmt.Fprintln(os.Stdout, "everything has stopped")
	}
	return err
}

// conduct watches over the processes, starts services that end by themselves again, and makes the failures that somebody asks for,
// until ctx ends.
func conduct(ctx context.Context, s *system.System) error {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return s.Conduct(ctx, log, func(name string) { fmt.Fprintf(os.Stdout, "%s  %s has died and is started again\n", clock(), name) },
		run.Component{Name: "watch", Run: func(ctx context.Context) error {
			watch(ctx, s)
			return nil
		}})
}

// signals returns a context that ends with the first signal, and one that ends with the second: whoever is in a hurry gets the
// processes killed, but is never left with them. A terminal that goes away is such a signal, a reader of our output is not.
func signals(parent context.Context) (first, second context.Context, done func()) {
	signal.Ignore(syscall.SIGPIPE)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	first, stop := context.WithCancel(parent)
	second, hurry := context.WithCancel(context.Background())
	end := make(chan struct{})
	go func() { // ends with done
		for _, cancel := range []func(){stop, hurry} {
			select {
			case <-ch:
				cancel()
			case <-end:
				return
			}
		}
	}()
	return first, second, func() {
		signal.Stop(ch)
		close(end)
		stop()
		hurry()
	}
}

// watch says what ends and what comes back until ctx ends: nodes may be stopped and started from another terminal.
func watch(ctx context.Context, s *system.System) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	before := s.All()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.Running()
		for _, name := range s.All() {
			was, is := slices.Contains(before, name), slices.Contains(now, name)
			switch {
			case was && !is:
				fmt.Fprintf(os.Stdout, "%s  %s has ended; its log is %s\n", clock(), name, s.LogFile(name))
			case is && !was:
				fmt.Fprintf(os.Stdout, "%s  %s is back\n", clock(), name)
			}
		}
		before = now
	}
}

func clock() string { return time.Now().Format(time.TimeOnly) }

// page prints where everything is and what to try first.
func page(w io.Writer, s *system.System) {
	fmt.Fprintln(w)
	for _, line := range [][2]string{
		{"look here", s.URL(system.Order) + "/"},
		{"orders", s.URL(system.Order) + "/docs"},
		{"payments", s.URL(system.Payment) + "/payments"},
		{"products", s.URL(system.Product) + "/products"},
		{"shipments", s.URL(system.Shipment) + "/shipments"},
		{"traces", s.TracesURL()},
		{"brokers", s.ManagementURL(1) + "/api/overview  (guest, guest)"},
		{"balancer", s.StatisticsURL()},
		{"AMQP", s.AMQPURL()},
	} {
		fmt.Fprintf(w, "  %-10s %s\n", line[0], line[1])
	}
	fmt.Fprintf(w, `
place an order on the page, or here; Trace-Link in the answer is its trace:

  curl -i -H 'Content-Type: application/json' %s/orders \
    -d '{"customer_id":"c-1","currency":"EUR","items":[{"sku":"SKU-001","quantity":2}]}'

kill a broker meanwhile: make node-stop N=2, and make node-start N=2

`, s.URL(system.Order))
}
