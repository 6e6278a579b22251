// Command streamctl looks after what stream applications leave at a RabbitMQ or Warren broker: their dead letters.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/warren-mq/warren/libs/run"
)

func main() {
	os.Exit(run.Main("streamctl", func(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
		return execute(ctx, args, getenv, os.Stdout, stderr)
	}))
}

// cli is the command line.
type cli struct {
	URL  string `help:"Broker." default:"amqp://guest:guest@127.0.0.1:5672/" env:"STREAMCTL_URL" placeholder:"AMQP-URL"`
	HTTP string `name:"http" help:"Management API, for list without names." default:"http://guest:guest@127.0.0.1:15672" env:"STREAMCTL_HTTP" placeholder:"URL"`

	DLQ struct {
		List   listCmd   `cmd:"" help:"List dead-letter queues, or the named ones, with their number of letters."`
		Show   showCmd   `cmd:"" help:"Show letters without taking them."`
		Edit   editCmd   `cmd:"" help:"Change letters in place; they go to the end of the queue."`
		Replay replayCmd `cmd:"" help:"Send letters back to where they came from."`
		Purge  purgeCmd  `cmd:"" help:"Delete letters."`
	} `cmd:"" name:"dlq" help:"Dead letters."`
}

// command is one that was chosen.
type command interface {
	run(ctx context.Context, s *session) error
}

// execute runs one command line. A mistake in it is a run.UsageError.
func execute(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	var c cli
	k, err := run.Parse(&c, "streamctl", "Looks after the dead letters of stream applications.", args, stdout, stderr)
	if k == nil {
		return err
	}
	s := &session{cli: &c, out: stdout, getenv: getenv}
	defer s.close()
	cmd, ok := k.Selected().Target.Addr().Interface().(command)
	if !ok {
		return run.UsageError{Err: fmt.Errorf("%s is not a command; --help lists them", k.Command())}
	}
	return cmd.run(ctx, s)
}
