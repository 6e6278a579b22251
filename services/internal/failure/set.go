package failure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// How long a failure may be on.
const (
	DefaultTime = 30 * time.Second
	TimeMax     = 10 * time.Minute
)

// Errors of switching.
var (
	ErrUnknown = errors.New("failure: there is none of this kind here")
	ErrValue   = errors.New("failure: value out of range")
)

// Set is the switches of one process. A nil Set has all of them off for ever.
type Set struct {
	at string
	// Die ends the process at once. Tests put something else here.
	Die func()
	now func() time.Time

	mu      sync.Mutex
	on      map[Kind]State
	changed chan struct{} // closed at the next change
}

// State is the position of a switch.
type State struct {
	Value int64     `json:"value,omitempty"`
	Until time.Time `json:"until"`
	// Hits counts how often it has made a difference since it was turned on.
	Hits int64 `json:"hits"`
}

// New returns the switches of a process, all off.
func New(at string) *Set {
	return &Set{at: at, Die: die, now: time.Now, on: map[Kind]State{}, changed: make(chan struct{})}
}

// die is what a power cut does: no deferred function runs.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// TurnOn switches a failure on for a time, 0 for the default ones.
func (s *Set) TurnOn(k Kind, value int64, d time.Duration) error {
	spec, ok := find(k, s.at)
	if !ok {
		return fmt.Errorf("%w: %s at %s", ErrUnknown, k, s.at)
	}
	if value == 0 {
		value = spec.Default
	}
	if value < 0 || value > spec.Max {
		return fmt.Errorf("%w: %d %s, allowed are 1 to %d", ErrValue, value, spec.Unit, spec.Max)
	}
	if d == 0 {
		d = DefaultTime
	}
	if d < 0 || d > TimeMax {
		return fmt.Errorf("%w: on for %s, at most %s", ErrValue, d, TimeMax)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[k] = State{Value: value, Until: s.now().Add(d)}
	s.change()
	return nil
}

// TurnOff switches a failure off.
func (s *Set) TurnOff(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.on, k)
	s.change()
}

// change tells those who wait. The caller holds mu.
func (s *Set) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Changed is closed when somebody turns a switch.
func (s *Set) Changed() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// All returns the switches that are on.
func (s *Set) All() map[Kind]State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[Kind]State{}
	for k, x := range s.on {
		if x.Until.After(s.now()) {
			out[k] = x
		}
	}
	return out
}

// Value returns a failure's value while it is on.
func (s *Set) Value(k Kind) (value int64, on bool) {
	if s == nil {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x, on := s.on[k]
	if !on || !x.Until.After(s.now()) {
		return 0, false
	}
	return x.Value, true
}

// Hit says whether a failure is on, and counts that it makes a difference now.
func (s *Set) Hit(k Kind) bool {
	if _, on := s.Value(k); !on {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.on[k]
	x.Hits++
	s.on[k] = x
	return true
}

// Kill ends the process if the failure is on.
func (s *Set) Kill(k Kind) {
	if s.Hit(k) {
		s.TurnOff(k)
		s.Die()
	}
}

// Delay waits for as many milliseconds as the failure's value says.
func (s *Set) Delay(ctx context.Context, k Kind) error {
	ms, on := s.Value(k)
	if !on {
		return nil
	}
	s.Hit(k)
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Now is the process's clock, which ClockSkew puts ahead.
func (s *Set) Now() time.Time {
	seconds, _ := s.Value(ClockSkew)
	return time.Now().Add(time.Duration(seconds) * time.Second)
}
