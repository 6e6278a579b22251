// Command talk does the experiments of the talk that Warren began with, one after the other, on three nodes of the bundled
// broker and on three of an installed RabbitMQ, and prints one table of what was expected and what was seen.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/warren-mq/warren/libs/rabbitmq"
	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/demo/system"
)

type flags struct {
	All     allCmd     `cmd:"" default:"withargs" help:"Do all experiments (default)."`
	Publish publishCmd `cmd:"" help:"Publish five persistent messages to a queue, which is declared durable, and wait for their confirms."`
	Consume consumeCmd `cmd:"" help:"Take five messages from a queue, or as many as there are."`
}

// allCmd does the experiments.
type allCmd struct {
	On  string `help:"The broker to try: ${enum}." enum:"warren,rabbitmq,both" default:"both"`
	Bin string `help:"Directory of the binaries; default: where this one is." env:"WARREN_BIN" type:"path"`
}

func main() { os.Exit(run.Main("talk", talk)) }

// errUnexpected is the end of a run that has seen something else than it should have.
var errUnexpected = errors.New("not everything is as expected")

// talk carries out what the command line asks for.
func talk(ctx context.Context, args []string, _ func(string) string, stderr io.Writer) error {
	var f flags
	k, err := run.Parse(&f, "talk", "Does the talk's experiments and prints what was expected and what was seen. Exit status 1: they differ.", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(stderr, (*io.Writer)(nil))
	return k.Run()
}

// Run implements the command.
func (f *allCmd) Run(ctx context.Context, stderr io.Writer) error {
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
	signal.Ignore(syscall.SIGPIPE) // a reader of our output that goes away must not leave brokers behind
	t := newTable()
	var failed error
	for _, b := range []system.Broker{system.Warren, system.RabbitMQ} {
		if f.On != "both" && f.On != string(b) {
			t.leftOut(b, "not asked for")
			continue
		}
		err := try(ctx, f.Bin, b, t, stderr)
		switch {
		case errors.Is(err, rabbitmq.ErrNotInstalled) && f.On == "both":
			t.leftOut(b, err.Error())
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", b, err))
		}
	}
	t.write(os.Stdout)
	if failed == nil && !t.asExpected() {
		failed = errUnexpected
	}
	return failed
}

// experimentTimeout bounds one experiment; a node of RabbitMQ takes most of a minute to start on a small machine.
const experimentTimeout = 4 * time.Minute

// try does all experiments on one broker. What it starts, it ends.
func try(ctx context.Context, bin string, b system.Broker, t *table, stderr io.Writer) (err error) {
	fmt.Fprintf(stderr, "%s: three nodes start\n", b)
	s, err := newStage(ctx, bin, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for _, e := range experiments {
		begin := time.Now()
		one, cancel := context.WithTimeout(ctx, experimentTimeout)
		seen, err := e.run(one, s)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			seen = strings.Join(strings.Fields("error: "+err.Error()), " ")
		}
		t.saw(e, b, seen)
		fmt.Fprintf(stderr, "%s: slides %s: %s: %s (%.1f s)\n", b, e.slides, e.what, seen, time.Since(begin).Seconds())
		again, cancel := context.WithTimeout(ctx, experimentTimeout)
		err = s.repair(again)
		cancel()
		if err != nil {
			return fmt.Errorf("the nodes do not come back: %w", err)
		}
	}
	return nil
}
