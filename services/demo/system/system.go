// Package system runs the whole of Warren as local processes: three brokers, the balancer, four services, a trace store. The
// demo is a terminal around it, the end-to-end tests are its other user.
//
// Its state is a directory: run/<name>.pid, log/<name>.log, data/<name>/, credentials/. Whoever knows the directory can stop what another run
// has started.
package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/warren-mq/warren/libs/rabbitmq"
	"github.com/warren-mq/warren/services/internal/access"
)

// readyTimeout is how long processes may take until they can be used. RabbitMQ takes most of a minute on a small machine.
const readyTimeout = 3 * time.Minute

// Config of a System.
type Config struct {
	Bin   string // directory of the binaries, see Build
	State string // directory of pid files, logs and data
	Ports Ports
	// Broker is what the nodes are; Warren when empty.
	Broker Broker
	// Alone lets every node begin as a cluster of its own: join_cluster unites them.
	Alone bool
	// HAProxy is the path of an HAProxy to use in place of the balancer.
	HAProxy string
	// Jaeger is the path of a Jaeger binary to use in place of the trace store; see FindJaeger.
	Jaeger string
	// Certs is a directory that command certs made, for the names of all processes: with it AMQP, the nodes among each other and
	// every HTTP API but the trace store's have TLS. "": none has.
	Certs string
	// Env is added to the environment of every process.
	Env []string
	// Out is told of progress.
	Out io.Writer
}

// System is the processes, running or not.
type System struct {
	cfg       Config
	client    *http.Client      // that asks whether something is ready
	rabbit    *rabbitmq.Cluster // the nodes, if that is what they are
	processes []*process        // in the order of start
}

// Names of the processes that are one of a kind.
const (
	Balancer   = "balancer"
	TraceStore = "tracestore"
	Order      = "order"
	Payment    = "payment"
	Product    = "product"
	Shipment   = "shipment"
)

// BrokerName is the name of node n, from 1.
func BrokerName(n int) string { return fmt.Sprintf("broker-%d", n) }

// FindJaeger returns the Jaeger binary that JAEGER_BIN names or PATH holds, "" when there is none.
func FindJaeger(getenv func(string) string) string {
	if path := getenv("JAEGER_BIN"); path != "" {
		return path
	}
	path, err := exec.LookPath("jaeger")
	if err != nil {
		return ""
	}
	return path
}

// New returns the system; it touches nothing.
func New(cfg Config) *System {
	cfg.Out = cmp.Or[io.Writer](cfg.Out, io.Discard)
	cfg.Broker = cmp.Or(cfg.Broker, Warren)
	s := &System{
		cfg: cfg, rabbit: newRabbit(cfg),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: cfg.trust()}},
	}
	s.processes = append(s.cluster(), s.services()...)
	for _, p := range s.processes {
		p.pidFile = filepath.Join(cfg.State, "run", p.name+".pid")
		p.logFile = filepath.Join(cfg.State, "log", p.name+".log")
		p.env = append(p.env, cfg.Env...)
	}
	return s
}

// Cluster returns the names of the brokers and the balancer.
func (s *System) Cluster() []string { return names(s.processes[:Nodes+1]) }

// All returns the names of all processes, in the order of start.
func (s *System) All() []string { return names(s.processes) }

// Running returns which processes run, whoever started them.
func (s *System) Running() []string {
	var out []string
	for _, p := range s.processes {
		if pid := p.pid(); pid != 0 {
			out = append(out, p.name)
		}
	}
	return out
}

// PID returns the process id, 0 when it does not run.
func (s *System) PID(name string) int { return s.process(name).pid() }

// LogFile returns where a process logs to.
func (s *System) LogFile(name string) string { return s.process(name).logFile }

// DataDir returns where a process keeps its data.
func (s *System) DataDir(name string) string { return s.process(name).dataDir }

// Check says what stands in the way of starting: processes of an earlier run, ports that are taken.
func (s *System) Check(names ...string) error {
	var left []string
	for _, name := range names {
		if pid := s.process(name).pid(); pid != 0 {
			left = append(left, fmt.Sprintf("%s (%d)", name, pid))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("processes of an earlier run are still there: %s; make cluster-down stops them", strings.Join(left, ", "))
	}
	ports := s.cfg.Ports.all()
	if len(names) < len(s.processes) {
		ports = s.cfg.Ports.cluster()
	}
	if s.cfg.Broker != RabbitMQ {
		ports = slices.DeleteFunc(ports, func(p *Port) bool { return p.Setting == s.cfg.Ports.EPMD.Setting })
	}
	return taken(ports)
}

// Start starts processes and waits until they can be used. The brokers wait for each other, so that all begin at once and are
// waited for in order. What already runs is only waited for.
func (s *System) Start(ctx context.Context, fresh bool, names ...string) error {
	if err := errors.Join(os.MkdirAll(s.CredentialsDir(), 0o700), access.Ensure(s.CredentialsDir())); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if s.cfg.Broker == RabbitMQ {
		// A queue of RabbitMQ is on the nodes that there are when it is declared: nobody may come before all of them have.
		last := 0
		for last < len(names) && slices.Contains(s.Cluster()[:Nodes], names[last]) {
			last++
		}
		if last > 0 && last < len(names) {
			if err := s.Start(ctx, fresh, names[:last]...); err != nil {
				return err
			}
			if _, err := s.rabbit.Ctl(ctx, 0, "import_definitions", s.credential(access.DefinitionsFile)); err != nil {
				return err
			}
			names = names[last:]
		}
	}
	for _, name := range names {
		p := s.process(name)
		if !p.hasEnded() { // a script that is about to become RabbitMQ has no pid yet
			continue
		}
		if err := p.start(fresh); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for _, name := range names {
		p := s.process(name)
		if err := p.await(ctx); err != nil {
			return err
		}
		fmt.Fprintf(s.cfg.Out, "  %-11s ready  %s\n", name, p.logFile)
	}
	return nil
}

// Ready waits until everything can be used.
func (s *System) Ready(ctx context.Context) error {
	for _, p := range s.processes {
		if err := poll(ctx, p.ready); err != nil {
			return fmt.Errorf("%s is not ready: %w", p.name, err)
		}
	}
	return nil
}

// Restart implements Brokers, for any process.
func (s *System) Restart(ctx context.Context, name string, starve bool) error {
	if err := s.Stop(ctx, name); err != nil {
		return err
	}
	var env []string
	if starve {
		env = append(env, s.memoryAlarm())
	}
	if err := s.process(name).start(false, env...); err != nil {
		return err
	}
	return s.Start(ctx, false, name)
}

// Freeze stops a process where it is, as if its machine were cut off; Thaw lets it go on.
func (s *System) Freeze(name string) error { return s.process(name).signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *System) Thaw(name string) error { return s.process(name).signal(syscall.SIGCONT) }

// Stop stops processes, all at once, and waits until they are gone.
func (s *System) Stop(ctx context.Context, names ...string) error {
	return s.end(ctx, syscall.SIGTERM, names)
}

// Kill ends processes as a power cut would.
func (s *System) Kill(ctx context.Context, names ...string) error {
	return s.end(ctx, syscall.SIGKILL, names)
}

func (s *System) end(ctx context.Context, signal syscall.Signal, names []string) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		p := s.process(name)
		wg.Go(func() {
			ran := p.pid() != 0
			if errs[i] = p.stop(ctx, signal); errs[i] == nil && ran {
				fmt.Fprintf(s.cfg.Out, "  %-11s stopped\n", name)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Down stops everything in order: services, balancer, brokers, and last the trace store, which hears the others' last words.
func (s *System) Down(ctx context.Context) error {
	return errors.Join(
		s.Stop(ctx, Order, Payment, Product, Shipment),
		s.Stop(ctx, Balancer),
		s.Stop(ctx, s.Cluster()[:Nodes]...),
		s.Stop(ctx, TraceStore),
		s.closeBrokers(),
	)
}

// process panics for a name that does not exist: names come from this package.
func (s *System) process(name string) *process {
	for _, p := range s.processes {
		if p.name == name {
			return p
		}
	}
	panic("system: no process " + name)
}

func names(ps []*process) []string {
	out := make([]string, 0, len(ps))
	for _, p := range ps {
		out = append(out, p.name)
	}
	return out
}

// Build builds every binary of the workspace at root into bin.
func Build(ctx context.Context, root, bin string, out io.Writer) error {
	if err := os.MkdirAll(bin, 0o750); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "./broker/cmd/...", "./libs/cmd/...", "./services/...")
	cmd.Dir, cmd.Stdout, cmd.Stderr = root, out, out
	return cmd.Run()
}
