// Package process is what the module's commands have in common.
package process

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	ExitOK       = 0
	ExitError    = 1
	ExitUsage    = 2 // one line on standard error says what was wrong
	ExitViolated = 3 // what was checked broke a promise, such as a confirmed message that is lost
)

// Main runs a command until it ends, and exits with its code. An interrupt ends its context.
func Main(run func(ctx context.Context) (code int)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx)
	stop()
	os.Exit(code)
}
