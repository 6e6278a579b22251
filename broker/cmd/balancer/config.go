package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// config is what flags and environment say.
type config struct {
	Listen  string   `default:":5670" help:"Address for clients."`
	Stats   string   `default:":8100" help:"Address of the statistics page; empty for none."`
	Backend []string `required:"" placeholder:"[NAME=]HOST:PORT[/CHECKPORT]" help:"Brokers, separated by commas. The check port is that of the management API, 15672 if not given."`

	CheckPath      string        `default:"/api/health/checks/ready-to-serve-clients" help:"What the check asks for; 2xx and 3xx mean healthy. Empty: the check only connects."`
	CheckCa        string        `help:"Check over TLS, with certificates that the authority in this file signs, PEM." type:"path" placeholder:"FILE"`
	CheckInterval  time.Duration `default:"1s" help:"Time between checks."`
	CheckTimeout   time.Duration `default:"2s" help:"How long a check may take."`
	Rise           int           `default:"2" help:"Good checks in a row that bring a server UP."`
	Fall           int           `default:"3" help:"Bad checks in a row that mark it DOWN."`
	ConnectTimeout time.Duration `default:"2s" help:"How long connecting to a server may take."`
	IdleTimeout    time.Duration `default:"3h" help:"Sessions without traffic for so long are closed."`
	SendProxy      bool          `help:"Begin each session with a PROXY protocol header, version 2, so that the broker knows the client's address; it must trust this balancer."`
	Grace          time.Duration `default:"0s" help:"How long sessions may go on after a stop."`

	servers []server
	trusted *x509.CertPool // of CheckCa; nil: the checks are plain
}

// server is where a backend listens.
type server struct {
	name, addr, checkAddr string
}

const envPrefix = "BALANCER_"

const defaultCheckPort = "15672"

// leave carries kong's wish to exit through its parser.
type leave struct{}

// parse reads the flags; what they leave open, the environment may say. help is set if
// help was asked for and has been written.
func parse(args []string, getenv func(string) string, stdout io.Writer) (cfg config, help bool, err error) {
	env := func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if v := getenv(envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))); v != "" {
			return v, nil
		}
		return nil, nil //nolint:nilnil // kong's way to say: nothing here
	}
	k, err := kong.New(&cfg,
		kong.Name("balancer"),
		kong.Description("Balances AMQP connections over the brokers of a cluster. Every flag can come from the environment: --check-interval is BALANCER_CHECK_INTERVAL."),
		kong.Resolvers(kong.ResolverFunc(env)),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { panic(leave{}) }),
	)
	if err != nil {
		return config{}, false, err
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(leave); !ok {
				panic(r)
			}
			help = true
		}
	}()
	if _, err := k.Parse(args); err != nil {
		return config{}, false, err
	}
	err = cfg.resolve()
	return cfg, false, err
}

// resolve checks the values and reads the backends.
func (c *config) resolve() error {
	var errs []error
	if c.Rise < 1 || c.Fall < 1 {
		errs = append(errs, errors.New("rise and fall must be at least 1"))
	}
	if c.CheckInterval <= 0 || c.CheckTimeout <= 0 || c.ConnectTimeout <= 0 || c.IdleTimeout <= 0 || c.Grace < 0 {
		errs = append(errs, errors.New("times must be positive"))
	}
	seen := map[string]bool{}
	for _, b := range c.Backend {
		s, err := parseBackend(b)
		if err == nil && seen[s.name] {
			err = fmt.Errorf("backend %q is there twice", s.name)
		}
		seen[s.name] = true
		errs = append(errs, err)
		c.servers = append(c.servers, s)
	}
	if c.CheckCa != "" {
		pem, err := os.ReadFile(c.CheckCa)
		c.trusted = x509.NewCertPool()
		if err == nil && !c.trusted.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("no certificate in %s", c.CheckCa)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("check-ca: %w", err))
		}
	}
	return errors.Join(errs...)
}

// parseBackend reads [NAME=]HOST:PORT[/CHECKPORT].
func parseBackend(text string) (server, error) {
	name, addr, named := strings.Cut(text, "=")
	if !named {
		addr = name
	}
	addr, check, checked := strings.Cut(addr, "/")
	if !checked {
		check = defaultCheckPort
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" || check == "" || name == "" {
		return server{}, fmt.Errorf("backend %q is not [NAME=]HOST:PORT[/CHECKPORT]", text)
	}
	if !named {
		name = addr
	}
	return server{name: name, addr: addr, checkAddr: net.JoinHostPort(host, check)}, nil
}
