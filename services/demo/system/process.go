package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	stopPatience = 25 * time.Second // after SIGTERM; then SIGKILL
	pollInterval = 20 * time.Millisecond
	// startSlack is how much later than its pid file a process may seem to have started, for clocks that tick coarsely.
	startSlack = 2 * time.Second
)

// process is one program of the system. What it is stands in the fields, whether it runs is asked of the operating system: it
// may have been started by another run, and ended by anybody.
type process struct {
	name    string
	program string // path of the binary
	becomes string // name of the program that the binary, a script, is replaced by; "" for none
	args    []string
	env     []string
	prepare func() error                    // called before every start; may be nil
	ready   func(ctx context.Context) error // nil when it can be used

	pidFile, logFile, dataDir string

	over chan struct{} // closed when the process that this value started has ended; nil: it started none
}

// start runs the program in a process group of its own: a ^C in the terminal is ours to pass on, in order. The log is begun anew
// when fresh is set; env is added to the environment this once.
func (p *process) start(fresh bool, env ...string) error {
	for _, dir := range []string{filepath.Dir(p.pidFile), filepath.Dir(p.logFile), p.dataDir} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	if p.prepare != nil {
		if err := p.prepare(); err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if fresh {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(p.logFile, flags, 0o640)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()        // the child has its own
	cmd := exec.Command(p.program, p.args...) //nolint:noctx // it shall outlive the context it is started in
	cmd.Env = slices.Concat(os.Environ(), p.env, env)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	// Reap it whenever it ends, or it would look alive for ever. Its exit code is of no use: its log says more.
	over := make(chan struct{})
	p.over = over
	go func() {
		_ = cmd.Wait()
		close(over)
	}()
	if err := os.WriteFile(p.pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o640); err != nil {
		return errors.Join(err, cmd.Process.Kill())
	}
	return nil
}

// pid returns the process id, 0 when it does not run. A pid file whose process has ended, or is another program by now, counts
// for nothing.
func (p *process) pid() int {
	data, err := os.ReadFile(p.pidFile)
	if err != nil {
		return 0
	}
	info, err := os.Stat(p.pidFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	program, started, ok := inspect(pid)
	if !ok || filepath.Base(program) != cmp.Or(p.becomes, filepath.Base(p.program)) || started.After(info.ModTime().Add(startSlack)) {
		return 0
	}
	return pid
}

// signal sends a signal to the process, unless it is gone.
func (p *process) signal(s syscall.Signal) error {
	pid := p.pid()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}

// stop asks the process to end and waits until it has; one that does not listen is killed.
func (p *process) stop(ctx context.Context, s syscall.Signal) error {
	if err := p.signal(s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	gone := func(context.Context) error {
		// Who is about to end has no program any more before it closes its sockets.
		if !p.hasEnded() {
			return errors.New("still there")
		}
		return nil
	}
	if poll(ctx, gone) != nil {
		if err := p.signal(syscall.SIGKILL); err != nil {
			return err
		}
		kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
		defer cancel()
		if err := poll(kill, gone); err != nil {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	if err := os.Remove(p.pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// await waits until the process can be used. An end of the process is an error that shows what it said last.
func (p *process) await(ctx context.Context) error {
	ended := errors.New("it has ended")
	err := poll(ctx, func(ctx context.Context) error {
		if p.hasEnded() {
			return fatal{ended}
		}
		return p.ready(ctx)
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s is not ready: %w; last lines of %s:\n%s", p.name, err, p.logFile, tail(p.logFile))
}

// hasEnded reports whether the process is gone. Of its own child a parent knows; another run's is asked of the system, which may
// have followed a child of ours.
func (p *process) hasEnded() bool {
	if p.over != nil {
		select {
		case <-p.over:
		default:
			return false
		}
	}
	return p.pid() == 0
}

// fatal ends a poll.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// poll calls f until it returns nil or a fatal error, or ctx ends; then it returns f's last error.
func poll(ctx context.Context, f func(ctx context.Context) error) error {
	timer := time.NewTicker(pollInterval)
	defer timer.Stop()
	for {
		err := f(ctx)
		if err == nil || errors.As(err, new(fatal)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-timer.C:
		}
	}
}

const tailLines = 8

func tail(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-tailLines):], "\n  ")
}
