// Command chaos runs a cluster of three broker processes behind the balancer, breaks it
// at random for a while, and says what became of every message: what was confirmed must
// arrive, in order, and the history of each queue must be that of a queue. The faults
// follow from a printed seed. Its failover command measures how long clients wait when
// a leader dies.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/warren-mq/warren/broker/internal/process"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// errViolated says that the run went to its end and found a broken promise.
var errViolated = errors.New("promises were broken")

// run is the whole program. What happens goes to stderr, the result to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, command, err := parse(args, stdout)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return process.ExitUsage
	case command == "":
		return process.ExitOK // help was asked for
	}
	switch command {
	case "failover":
		err = c.Failover.run(ctx, stdout, stderr)
	default:
		err = c.Run.run(ctx, stdout, stderr)
	}
	switch {
	case errors.Is(err, errViolated):
		return process.ExitViolated
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return process.ExitError
	}
	return process.ExitOK
}
