// Command perf loads an AMQP 0-9-1 broker and measures it, in the manner of RabbitMQ's
// PerfTest: producers, consumers, rates, latencies. Beyond that it keeps a ledger of
// every message, so that it can say what was lost or came twice while brokers failed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
	exitLost  = 3 // a confirmed message did not arrive
)

// run is the whole program. Progress goes to stderr, the result to stdout.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	cfg, help, err := parse(args, getenv, stdout)
	switch {
	case help:
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, "perf:", err)
		return exitUsage
	}
	r, err := newBench(cfg, stderr).run(ctx)
	if err == nil {
		err = r.write(stdout, cfg.JSON)
	}
	if err != nil {
		fmt.Fprintln(stderr, "perf:", err)
		return exitError
	}
	if r.Lost != nil && *r.Lost > 0 {
		return exitLost
	}
	return exitOK
}
