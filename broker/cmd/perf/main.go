// Command perf loads an AMQP 0-9-1 broker and measures it, in the manner of RabbitMQ's
// PerfTest: producers, consumers, rates, latencies. Beyond that it keeps a ledger of
// every message, so that it can say what was lost or came twice while brokers failed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/warren-mq/warren/broker/internal/process"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr) })
}

// run is the whole program. Progress goes to stderr, the result to stdout.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	cfg, help, err := parse(args, getenv, stdout)
	switch {
	case help:
		return process.ExitOK
	case err != nil:
		fmt.Fprintln(stderr, "perf:", err)
		return process.ExitUsage
	}
	r, err := newBench(cfg, stderr).run(ctx)
	if err == nil {
		err = r.write(stdout, cfg.JSON)
	}
	if err != nil {
		fmt.Fprintln(stderr, "perf:", err)
		return process.ExitError
	}
	if r.Lost != nil && *r.Lost > 0 {
		return process.ExitViolated
	}
	return process.ExitOK
}
