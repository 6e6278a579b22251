package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Command changes the state of a binding at run time.
type Command string

// The commands, Spring's words.
const (
	CommandStart  Command = "STARTED" // bind what was stopped, or never started because of AutoStartup
	CommandStop   Command = "STOPPED" // end it: running handlers finish, an anonymous queue goes
	CommandPause  Command = "PAUSED"  // take no message; the queue keeps them
	CommandResume Command = "RESUMED" // take messages again
)

// ErrNoBinding says that no binding has the name.
var ErrNoBinding = errors.New("stream: no such binding")

// BindingInfo is a binding as it runs.
type BindingInfo struct {
	Binding Binding
	Input   bool // a consumer; else a producer
	Paused  bool
	Running bool
	Health  []Health // one for each destination and partition
}

// Bindings returns all bindings, by name.
func (a *App) Bindings() []BindingInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []BindingInfo
	for _, in := range a.inputs {
		all = append(all, BindingInfo{Binding: in.binding, Input: true, Paused: in.paused, Running: in.running != nil, Health: in.health()})
	}
	for _, o := range a.outputs {
		all = append(all, BindingInfo{Binding: o.binding, Running: o.publisher != nil, Health: []Health{o.health()}})
	}
	slices.SortFunc(all, func(x, y BindingInfo) int {
		if x.Binding.Name < y.Binding.Name {
			return -1
		}
		return 1
	})
	return all
}

// Control starts, stops, pauses or resumes a binding. A state that it has already is no error. A stop waits for running handlers
// until ctx ends. Producers can be started and stopped only.
func (a *App) Control(ctx context.Context, binding string, c Command) error {
	a.mu.Lock()
	if a.state != appRunning || a.stopping {
		a.mu.Unlock()
		return ErrNotStarted
	}
	for _, in := range a.inputs {
		if in.binding.Name == binding {
			return a.controlInput(ctx, in, c)
		}
	}
	o := a.outputs[binding]
	if o == nil {
		a.mu.Unlock()
		return fmt.Errorf("%w: %q", ErrNoBinding, binding)
	}
	return a.controlOutput(ctx, o, c)
}

// controlOutput is called with a.mu, and lets it go before it waits for a supplier, which may be about to send.
func (a *App) controlOutput(ctx context.Context, o *output, c Command) error {
	if c == CommandStop {
		stopped := *o
		o.publisher = nil
		a.mu.Unlock()
		if stopped.publisher == nil {
			return nil
		}
		return stopped.close(ctx)
	}
	defer a.mu.Unlock()
	switch c {
	case CommandStart:
		if o.publisher == nil {
			return a.open(ctx, o)
		}
		return nil
	case CommandPause, CommandResume:
		return fmt.Errorf("stream: %s is a producer, which can only be started and stopped", o.binding.Name)
	}
	return unknownCommand(c)
}

// controlInput is called with a.mu, and lets it go before it waits for handlers, which may want to send.
func (a *App) controlInput(ctx context.Context, in *input, c Command) error {
	if c == CommandStop {
		stopped := in.running
		in.running, in.paused, in.since = nil, false, time.Now()
		a.mu.Unlock()
		if stopped == nil {
			return nil
		}
		return stopped.close(ctx)
	}
	defer a.mu.Unlock()
	switch c {
	case CommandStart:
		if in.running == nil {
			return a.subscribe(ctx, in)
		}
	case CommandPause, CommandResume:
		if in.running == nil {
			return fmt.Errorf("stream: %s is stopped", in.binding.Name)
		}
		in.paused = c == CommandPause
		for _, sub := range in.running.subs {
			if in.paused {
				sub.Pause()
			} else {
				sub.Resume()
			}
		}
	default:
		return unknownCommand(c)
	}
	return nil
}

func unknownCommand(c Command) error {
	return fmt.Errorf("stream: %q is not a state: use %s, %s, %s or %s", c, CommandStart, CommandStop, CommandPause, CommandResume)
}
