package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// agentAddress is reached on the containers' own network only; it is published nowhere.
	agentAddress      = "0.0.0.0:7000"
	agentPort         = "7000"
	agentBodyBytesMax = 4 << 10
	agentStopPatience = 15 * time.Second // then the child is killed
	agentReadTimeout  = 5 * time.Second
	// settingPrefix is what a restart may add to the child's environment.
	settingPrefix = "WARREN_"
)

// order is what an agent is told.
type order struct {
	Do  string   `json:"do"`            // start, stop, kill, freeze or thaw
	Env []string `json:"env,omitempty"` // of a start, for this once
}

// agent is the parent of one program.
type agent struct {
	command []string
	log     *slog.Logger
	ended   chan error // the child has ended, and nobody had asked for it

	mu    sync.Mutex
	child *exec.Cmd     // nil: it does not run
	over  chan struct{} // closed when child has ended
	asked bool          // its end was asked for
}

func newAgent(command []string, log *slog.Logger) *agent {
	return &agent{command: command, log: log, ended: make(chan error, 1)}
}

// run starts the program and does as it is told until ctx ends or the program does by itself; the engine starts both again then.
func (a *agent) run(ctx context.Context, address string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: agentReadTimeout, ReadTimeout: agentReadTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }() // ends with Close
	if err = a.start(nil); err == nil {
		select {
		case <-ctx.Done():
		case err = <-a.ended:
		}
	}
	err = errors.Join(err, server.Close(), a.end(syscall.SIGTERM))
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// ServeHTTP takes an order as JSON.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, agentBodyBytesMax)).Decode(&o); err != nil || r.Method != http.MethodPost {
		http.Error(w, `want POST with {"do":"kill"}`, http.StatusBadRequest)
		return
	}
	if err := a.obey(o); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	a.log.Info("done as told", "do", o.Do, "env", strings.Join(o.Env, " "))
	w.WriteHeader(http.StatusNoContent)
}

func (a *agent) obey(o order) error {
	switch o.Do {
	case "start":
		if i := slices.IndexFunc(o.Env, func(s string) bool { return !strings.HasPrefix(s, settingPrefix) }); i >= 0 {
			return fmt.Errorf("setting %q: want one that begins with %s", o.Env[i], settingPrefix)
		}
		return a.start(o.Env)
	case "stop":
		return a.end(syscall.SIGTERM)
	case "kill":
		return a.end(syscall.SIGKILL)
	case "freeze":
		return a.signal(syscall.SIGSTOP)
	case "thaw":
		return a.signal(syscall.SIGCONT)
	}
	return fmt.Errorf("%q: want start, stop, kill, freeze or thaw", o.Do)
}

// start runs the program unless it runs.
func (a *agent) start(env []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child != nil {
		return nil
	}
	cmd := exec.Command(a.command[0], a.command[1:]...) //nolint:gosec,noctx // the program is this command's argument; end ends it
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	over := make(chan struct{})
	a.child, a.over, a.asked = cmd, over, false
	go func() { // ends with the child, for which end waits
		err := cmd.Wait()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.child = nil
		if !a.asked {
			a.ended <- fmt.Errorf("%s has ended: %w", a.command[0], err)
		}
		close(over)
	}()
	return nil
}

// end ends the program and waits for it. One that is frozen is thawed, or it would not hear.
func (a *agent) end(s syscall.Signal) error {
	a.mu.Lock()
	child, over := a.child, a.over
	a.asked = true
	a.mu.Unlock()
	if child == nil {
		return nil
	}
	_ = child.Process.Signal(s) // it may have ended just now
	_ = child.Process.Signal(syscall.SIGCONT)
	timer := time.NewTimer(agentStopPatience)
	defer timer.Stop()
	select {
	case <-over:
		return nil
	case <-timer.C:
	}
	_ = child.Process.Kill()
	<-over
	return nil
}

func (a *agent) signal(s syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child == nil {
		return errors.New("it does not run")
	}
	return a.child.Process.Signal(s)
}
