// Package run starts the parts of a program in order and stops them in the opposite one.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Deadlines of one component.
const (
	DefaultStartTimeout = 30 * time.Second
	DefaultStopTimeout  = 15 * time.Second
)

// Exit codes of Main.
const (
	exitFailure = 1
	exitUsage   = 2
)

// Component is a part of a program. Every field but Name may be nil.
type Component struct {
	Name string
	// Start returns when the component can be used; those after it start then.
	Start func(ctx context.Context) error
	// Run works until its context ends, then returns nil or the context's error. Returning earlier ends the program.
	Run func(ctx context.Context) error
	// Stop ends what Start began; it is called after Run has returned, and also after a later component failed to start.
	Stop func(ctx context.Context) error
	// StartTimeout and StopTimeout replace the defaults.
	StartTimeout, StopTimeout time.Duration
}

// running is a started component.
type running struct {
	c      Component
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned; err is valid then
	err    error
}

// Components starts cs in order, waits until ctx ends or one of them fails, and stops them in reverse order, each within its
// deadline. The error joins everything that went wrong; a stop because ctx ended is none.
func Components(ctx context.Context, log *slog.Logger, cs ...Component) error {
	failed := make(chan error, len(cs))
	var started []*running
	var err error
	for _, c := range cs {
		r, startErr := start(ctx, c, failed)
		if startErr != nil {
			err = fmt.Errorf("start %s: %w", c.Name, startErr)
			break
		}
		log.DebugContext(ctx, "started", "component", c.Name)
		started = append(started, r)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	for i := len(started) - 1; i >= 0; i-- {
		if stopErr := started[i].stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stop %s: %w", started[i].c.Name, stopErr))
		}
		log.DebugContext(ctx, "stopped", "component", started[i].c.Name)
	}
	return err
}

func start(ctx context.Context, c Component, failed chan<- error) (*running, error) {
	if c.Start != nil {
		startCtx, cancel := context.WithTimeout(ctx, positive(c.StartTimeout, DefaultStartTimeout))
		defer cancel()
		if err := c.Start(startCtx); err != nil {
			return nil, err
		}
	}
	// Run's context is not ctx: a component works on until those that depend on it have stopped.
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{c: c, cancel: cancel, done: make(chan struct{})}
	if c.Run == nil {
		close(r.done)
		return r, nil
	}
	go func() { // ends when stop cancels runCtx and waits for done
		defer close(r.done)
		err := c.Run(runCtx)
		if runCtx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		r.err = fmt.Errorf("%s: %w", c.Name, err)
		failed <- r.err
	}()
	return r, nil
}

func (r *running) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), positive(r.c.StopTimeout, DefaultStopTimeout))
	defer cancel()
	r.cancel()
	var err error
	select {
	case <-r.done:
	case <-ctx.Done():
		err = errors.New("did not end before its deadline")
	}
	if r.c.Stop != nil {
		err = errors.Join(err, r.c.Stop(ctx))
	}
	return err
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// UsageError is a mistake of the caller: Main prints it on one line and exits with 2.
type UsageError struct{ Err error }

func (u UsageError) Error() string { return u.Err.Error() }
func (u UsageError) Unwrap() error { return u.Err }

// Parse reads a command line into flags, a pointer to a struct with kong's tags. Help that was asked for goes to stdout; the
// result is nil then, and there is nothing more to do. A mistake in the command line is a UsageError.
func Parse(flags any, name, description string, args []string, stdout, stderr io.Writer) (*kong.Context, error) {
	helped := false
	parser, err := kong.New(flags, kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return nil, err
	}
	k, err := parser.Parse(args)
	switch {
	case helped:
		return nil, nil //nolint:nilnil // as the comment says
	case err != nil:
		return nil, UsageError{fmt.Errorf("%w; --help tells more", err)}
	}
	return k, nil
}

// Main runs f until SIGINT or SIGTERM ends its context and returns the exit code: 0, 1 for an error, 2 for a UsageError.
// A second signal kills the process at once. Use it as os.Exit(run.Main(name, run)).
func Main(name string, f func(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal finds the default behaviour again
	defer stop()
	err := f(ctx, os.Args[1:], os.Getenv, os.Stderr)
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	var usage UsageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}
