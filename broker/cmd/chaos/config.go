package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type cli struct {
	Run      runCmd      `cmd:"" default:"withargs" help:"Break a cluster at random and check what it promises (default)."`
	Failover failoverCmd `cmd:"" help:"Measure how long clients wait when a queue's leader dies or freezes."`
}

// where is what both commands need to start a cluster.
type where struct {
	Bin  string `help:"Directory of the programs broker and balancer; default: this program's." type:"path"`
	Dir  string `help:"Directory for data and logs, which must not exist yet; default: a temporary one." type:"path"`
	Keep bool   `help:"Leave data and logs behind even after a clean run."`
}

// runCmd is a run's settings.
type runCmd struct {
	where
	For    time.Duration `help:"How long to break things." default:"60s"`
	Seed   uint64        `help:"Seed of the faults; 0 takes a new one."`
	Faults []string      `help:"Kinds of fault: ${kinds}." default:"all"`
	Calm   time.Duration `help:"Longest pause between two faults." default:"4s"`

	Queues     int     `help:"Quorum queues." default:"4"`
	Publishers int     `help:"Publishers of each queue." default:"2"`
	Consumers  int     `help:"Consumers of each queue." default:"2"`
	Rate       float64 `help:"Messages a second and publisher." default:"150"`
	Size       int     `help:"Largest message body, bytes." default:"2000"`
	Window     int     `help:"Publishes of one publisher that may await their confirm." default:"100"`
	Prefetch   int     `help:"Deliveries of one consumer that may await their acknowledgement." default:"50"`
}

const (
	workersMax = 1000
	rateMax    = 100_000
)

// parse reads the flags; command is empty if help was asked for.
func parse(args []string, stdout io.Writer) (c *cli, command string, err error) {
	c = new(cli)
	exited := false
	k, err := kong.New(c,
		kong.Name("chaos"),
		kong.Description("Breaks a cluster of brokers and checks what it promises. Exit code 3 means that a promise was broken."),
		kong.Vars{"kinds": strings.Join(kindNames(), ", ") + " or all"},
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { exited = true }),
	)
	if err != nil {
		return nil, "", err
	}
	ctx, err := k.Parse(args)
	if exited {
		return c, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	command = strings.Fields(ctx.Command())[0]
	if command == "run" {
		err = c.Run.check()
	}
	return c, command, err
}

func (r *runCmd) check() error {
	var errs []error
	if r.For <= 0 || r.Calm <= 0 {
		errs = append(errs, errors.New("times must be positive"))
	}
	for _, n := range []int{r.Queues, r.Publishers, r.Consumers} {
		if n < 1 || n > workersMax {
			errs = append(errs, fmt.Errorf("there must be 1 to %d queues, publishers and consumers", workersMax))
		}
	}
	if r.Rate <= 0 || r.Rate > rateMax {
		errs = append(errs, fmt.Errorf("rate must be more than 0 and at most %d", rateMax))
	}
	if r.Size < stampBytes || r.Window < 1 || r.Prefetch < 1 || r.Prefetch > 65535 {
		errs = append(errs, errors.New("a number is out of its range"))
	}
	_, err := parseKinds(r.Faults)
	return errors.Join(append(errs, err)...)
}

// programs finds the programs to run.
func (w *where) programs() (broker, balancer string, err error) {
	dir := w.Bin
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return "", "", err
		}
		dir = filepath.Dir(self)
	}
	broker, balancer = filepath.Join(dir, "broker"), filepath.Join(dir, "balancer")
	for _, p := range []string{broker, balancer} {
		if _, err := os.Stat(p); err != nil {
			return "", "", fmt.Errorf("%w; build it first (make build) or set --bin", err)
		}
	}
	return broker, balancer, nil
}

// directory makes the directory for data and logs.
func (w *where) directory() (string, error) {
	if w.Dir == "" {
		return os.MkdirTemp("", "chaos-")
	}
	return w.Dir, os.Mkdir(w.Dir, 0o750)
}
