// Command demo runs the whole system as local processes, in one terminal and without containers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/demo/system"
)

type cli struct {
	State string `help:"Directory of pid files, logs and data." default:".warren" env:"WARREN_STATE" type:"path"`
	Bin   string `help:"Directory of the binaries; default: where this one is." env:"WARREN_BIN" type:"path"`

	Certs string `help:"Directory of certificates that make certs made: everything but the trace store has TLS then." env:"WARREN_CERTS" type:"path"`

	Up          upCmd          `cmd:"" help:"Run everything in the foreground; ^C stops it."`
	ClusterUp   clusterUpCmd   `cmd:"" name:"cluster-up" help:"Start three brokers and the balancer in the background."`
	ClusterDown clusterDownCmd `cmd:"" name:"cluster-down" help:"Stop whatever an earlier run has left running."`
	NodeStart   nodeStartCmd   `cmd:"" name:"node-start" help:"Start one broker."`
	NodeStop    nodeStopCmd    `cmd:"" name:"node-stop" help:"Stop one broker."`
}

func main() { os.Exit(run.Main("demo", demo)) }

// demo carries out what the command line asks for.
func demo(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	var c cli
	k, err := run.Parse(&c, "demo", "Warren as local processes. "+system.BrokerSetting+"=rabbitmq runs it on an installed RabbitMQ. Ports: "+settings()+".", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	ports, err := system.ReadPorts(getenv)
	if err != nil {
		return run.UsageError{Err: err}
	}
	broker, err := system.ReadBroker(getenv)
	if err != nil {
		return run.UsageError{Err: err}
	}
	if c.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Bin = filepath.Dir(self)
	}
	if _, err := exec.LookPath(filepath.Join(c.Bin, "broker")); err != nil {
		return run.UsageError{Err: fmt.Errorf("no binaries in %s: make build makes them", c.Bin)}
	}
	if c.Certs != "" && broker != system.Warren {
		return run.UsageError{Err: fmt.Errorf("certificates are for the bundled broker, not for %s", broker)}
	}
	s := system.New(system.Config{Bin: c.Bin, State: c.State, Ports: ports, Broker: broker, Jaeger: system.FindJaeger(getenv), Certs: c.Certs, Out: os.Stdout})
	k.BindTo(ctx, (*context.Context)(nil))
	return k.Run(s)
}

func settings() string {
	text := ""
	for _, p := range system.DefaultPorts().Settings() {
		if text != "" {
			text += ", "
		}
		text += p
	}
	return text
}

type clusterUpCmd struct{}

// Run implements the command.
func (clusterUpCmd) Run(ctx context.Context, s *system.System) error {
	if err := s.Check(s.Cluster()...); err != nil {
		return err
	}
	if err := s.Start(ctx, true, s.Cluster()...); err != nil {
		return errors.Join(err, s.Stop(context.WithoutCancel(ctx), s.Cluster()...))
	}
	fmt.Fprintf(os.Stdout, "AMQP %s, statistics %s\n", s.AMQPURL(), s.StatisticsURL())
	return nil
}

type clusterDownCmd struct{}

// Run implements the command.
func (clusterDownCmd) Run(ctx context.Context, s *system.System) error {
	if len(s.Running()) == 0 {
		fmt.Fprintln(os.Stdout, "nothing runs")
	}
	return s.Down(ctx)
}

type node struct {
	N int `arg:"" name:"n" help:"Number of the node: 1, 2 or 3."`
}

// Validate is called by kong.
func (n node) Validate() error {
	if n.N < 1 || n.N > system.Nodes {
		return fmt.Errorf("node %d: there are 1 to %d", n.N, system.Nodes)
	}
	return nil
}

type nodeStartCmd struct{ node }

// Run implements the command.
func (c nodeStartCmd) Run(ctx context.Context, s *system.System) error {
	name := system.BrokerName(c.N)
	if pid := s.PID(name); pid != 0 {
		fmt.Fprintf(os.Stdout, "%s runs already (%d)\n", name, pid)
	}
	return s.Start(ctx, false, name)
}

type nodeStopCmd struct {
	node
	Kill bool `help:"Kill it (SIGKILL), as a power cut would, instead of asking it to stop."`
}

// Run implements the command.
func (c nodeStopCmd) Run(ctx context.Context, s *system.System) error {
	name := system.BrokerName(c.N)
	if s.PID(name) == 0 {
		fmt.Fprintln(os.Stdout, name+" does not run")
	}
	if c.Kill {
		return s.Kill(ctx, name)
	}
	return s.Stop(ctx, name)
}
