// Command certs makes certificates for development: an authority, and what it signs. Nobody else should trust it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/warren-mq/warren/broker/internal/process"
)

type cli struct {
	Dir    string        `help:"Directory of the certificates: ca.pem, ca-key.pem, and for each name a directory with cert.pem, key.pem and ca.pem." default:".warren/certs" env:"WARREN_CERTS" type:"path"`
	Lasts  time.Duration `help:"How long they are good." default:"2160h"`
	Export bool          `help:"Print the authority's certificate and make nothing."`
	Names  []string      `arg:"" optional:"" sep:"none" placeholder:"NAME[,ALIAS...]" help:"Hosts to make certificates for, each good for its other names, such as a proxy's before it, and for localhost."`
}

// errUsage marks what the caller can mend in the command line.
var errUsage = errors.New("usage")

func main() {
	process.Main(func(context.Context) int { return run(os.Args[1:], os.Stdout, os.Stderr) })
}

func run(args []string, stdout, stderr io.Writer) int {
	var c cli
	exited := false
	parser, err := kong.New(&c, kong.Name("certs"), kong.Writers(stdout, stderr), kong.Exit(func(int) { exited = true }),
		kong.Description("Certificates for development. What is there and good for a while stays."))
	if err == nil {
		_, err = parser.Parse(args)
	}
	switch {
	case exited:
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "certs:", err)
		return process.ExitUsage
	}
	if c.Export {
		err = export(c.Dir, stdout)
	} else {
		err = ensure(c.Dir, c.Names, time.Now(), c.Lasts)
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "certs:", err)
		return process.ExitUsage
	case err != nil:
		fmt.Fprintln(stderr, "certs:", err)
		return process.ExitError
	}
	return 0
}
