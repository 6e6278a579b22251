// Command credentials makes the passwords of the system, and the definitions that give them to the broker.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/access"
)

type cli struct {
	Dir string `help:"Directory of the credentials." default:".warren/credentials" env:"WARREN_CREDENTIALS" type:"path"`

	Ensure ensureCmd `cmd:"" default:"1" help:"Make what is not there yet: a random password in a file for each user, and the broker's definitions."`
	Show   showCmd   `cmd:"" help:"Print a user's password: operator, unless another one is named."`
}

type ensureCmd struct{}

type showCmd struct {
	User string `arg:"" optional:"" default:"operator" help:"order, payment, product, shipment, observer or operator."`
}

func main() { os.Exit(run.Main("credentials", credentials)) }

func credentials(_ context.Context, args []string, _ func(string) string, stderr io.Writer) error {
	var c cli
	k, err := run.Parse(&c, "credentials", "Passwords of the system.", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	return k.Run(&c)
}

// Run implements the command.
func (ensureCmd) Run(c *cli) error { return access.Ensure(c.Dir) }

// Run implements the command.
func (s showCmd) Run(c *cli) error {
	password, err := access.Read(c.Dir, access.PasswordFile(filepath.Base(s.User)))
	if errors.Is(err, os.ErrNotExist) {
		return run.UsageError{Err: fmt.Errorf("no password of %q in %s", s.User, c.Dir)}
	}
	if err == nil {
		fmt.Fprintln(os.Stdout, password)
	}
	return err
}
