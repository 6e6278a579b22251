package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Limits and pauses of an App.
const (
	// DefaultDrainTimeout is how long Stop waits for running handlers when its context has no earlier deadline.
	DefaultDrainTimeout = 10 * time.Second
	// DefaultSendTimeout bounds a send whose context has no deadline.
	DefaultSendTimeout = 30 * time.Second
	// dynamicDestinationsMax bounds the destinations that Send creates on first use.
	dynamicDestinationsMax = 1000
	// readyGrace is how long a binding that was up may be down before Ready reports it: a broker's fail-over is no reason to
	// take a service out of rotation.
	readyGrace   = 15 * time.Second
	readyPolling = 10 * time.Millisecond
)

// App is the set of bindings of one service. Register with [Consume], [Apply], [Supply], [NewSender] and App.Bind, then Start.
// It has no global state; a service may run several.
type App struct {
	binder    Binder
	binders   map[string]Binder
	converter Converter
	instr     Instrumentation
	log       *slog.Logger
	drain     time.Duration

	dynamicAllowed  map[string]bool // nil: all
	dynamicDefaults Binding

	mu           sync.Mutex
	state        appState
	stopping     bool
	names        map[string]bool
	inputs       []*input
	outputs      map[string]*output
	dynamicCount int
	errs         []error // of registration, reported by Start
}

type appState uint8

const (
	appNew appState = iota
	appRunning
	appStopped
)

// Option changes an App.
type Option func(*App)

// WithConverter replaces the [JSON] converter.
func WithConverter(c Converter) Option { return func(a *App) { a.converter = c } }

// WithInstrumentation observes every message, see stream/oteltrace.
func WithInstrumentation(i Instrumentation) Option { return func(a *App) { a.instr = i } }

// WithLogger is where the App tells of failed attempts; slog.Default when absent.
func WithLogger(l *slog.Logger) Option { return func(a *App) { a.log = l } }

// WithDrainTimeout replaces [DefaultDrainTimeout].
func WithDrainTimeout(d time.Duration) Option { return func(a *App) { a.drain = d } }

// WithBinder adds a binder for bindings that name it, beside the one of New.
func WithBinder(name string, b Binder) Option { return func(a *App) { a.binders[name] = b } }

// WithDynamicDestinations says how destinations that [Send] creates on first use are bound, and which there may be; all when
// none is named.
func WithDynamicDestinations(defaults Binding, allowed ...string) Option {
	return func(a *App) {
		a.dynamicDefaults = defaults
		for _, name := range allowed {
			if a.dynamicAllowed == nil {
				a.dynamicAllowed = map[string]bool{}
			}
			a.dynamicAllowed[name] = true
		}
	}
}

// New returns an App without bindings. b is the binder of bindings that name none.
func New(b Binder, opts ...Option) *App {
	a := &App{
		binder: b, binders: map[string]Binder{}, converter: JSON{}, log: slog.Default(), drain: DefaultDrainTimeout,
		names: map[string]bool{}, outputs: map[string]*output{},
	}
	for _, o := range opts {
		o(a)
	}
	return a
}

// binderOf finds a binding's binder.
func (a *App) binderOf(b Binding) (Binder, error) {
	if b.Binder == "" {
		return a.binder, nil
	}
	if found := a.binders[b.Binder]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("stream: binding %q: there is no binder %q", b.Name, b.Binder)
}

// allBinders are the binders to start and stop.
func (a *App) allBinders() []Binder {
	var all []Binder
	if a.binder != nil {
		all = append(all, a.binder)
	}
	for _, b := range a.binders {
		all = append(all, b)
	}
	return all
}

// claim registers the binding's name; false (and an error for Start) when it cannot be.
func (a *App) claim(b Binding) bool {
	switch {
	case a.state != appNew:
		a.errs = append(a.errs, fmt.Errorf("stream: binding %q registered after Start", b.Name))
	case b.Name == "":
		a.errs = append(a.errs, errors.New("stream: a binding needs a name"))
	case a.names[b.Name]:
		a.errs = append(a.errs, fmt.Errorf("stream: two bindings are called %q", b.Name))
	default:
		a.names[b.Name] = true
		return true
	}
	return false
}

// Start binds everything. It returns without waiting for the broker (see WaitReady): bindings come up when it does.
func (a *App) Start(ctx context.Context) error {
	a.mu.Lock()
	err := a.begin(ctx)
	failed := err != nil && a.state == appRunning
	a.mu.Unlock()
	if failed {
		return errors.Join(err, a.closeAll(ctx))
	}
	return err
}

// begin starts the binders and binds; the caller holds a.mu.
func (a *App) begin(ctx context.Context) error {
	if a.state != appNew {
		return errors.New("stream: an App starts once")
	}
	if err := errors.Join(a.errs...); err != nil {
		return err
	}
	if a.binder == nil {
		return errors.New("stream: an App needs a binder")
	}
	a.state = appRunning
	return a.bindAll(ctx)
}

// bindAll opens outputs first: a handler may send as soon as it runs. The caller holds a.mu.
func (a *App) bindAll(ctx context.Context) error {
	for _, b := range a.allBinders() {
		if err := b.Start(ctx); err != nil {
			return fmt.Errorf("stream: start binder: %w", err)
		}
	}
	for _, o := range a.outputs {
		if !o.binding.Producer.AutoStartup.Or(true) {
			continue
		}
		if err := a.open(ctx, o); err != nil {
			return err
		}
	}
	for _, in := range a.inputs {
		if !in.binding.Consumer.AutoStartup.Or(true) {
			continue
		}
		if err := a.subscribe(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// Stop takes no new message, waits for running handlers up to the drain timeout (or ctx's earlier deadline), flushes
// publishers and ends the binders. Calling it again does nothing.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	running := a.state == appRunning && !a.stopping
	a.stopping = true
	a.mu.Unlock()
	if !running {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.drain)
	defer cancel()
	return a.closeAll(ctx)
}

// closeAll ends in the order in which nothing is lost: what makes messages, what handles them, what publishes, the brokers.
func (a *App) closeAll(ctx context.Context) error {
	for _, p := range a.pollers() {
		p.stop()
	}
	var wg sync.WaitGroup
	running := a.detach()
	errs := make([]error, len(running))
	for i, r := range running {
		wg.Go(func() { errs[i] = r.close(ctx) })
	}
	wg.Wait()
	// What must end even when ctx has.
	ctx, cancel := extended(ctx, handlerGrace)
	defer cancel()
	for _, o := range a.stopOutputs() {
		errs = append(errs, o.close(ctx))
	}
	for _, b := range a.allBinders() {
		errs = append(errs, b.Stop(ctx))
	}
	return errors.Join(errs...)
}

func (a *App) pollers() (all []*poller) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outputs {
		if o.poll != nil {
			all = append(all, o.poll)
		}
	}
	return all
}

// detach takes the running subscriptions off their inputs.
func (a *App) detach() (all []*subscribed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, in := range a.inputs {
		if in.running != nil {
			all = append(all, in.running)
			in.running = nil
		}
	}
	return all
}

// extended is a context with ctx's deadline and d more.
func extended(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || ctx.Err() != nil {
		deadline = time.Now()
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(d))
}

// stopOutputs makes further sends fail and returns what is open.
func (a *App) stopOutputs() (open []*output) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = appStopped
	for _, o := range a.outputs {
		if o.publisher != nil {
			open = append(open, o)
		}
	}
	return open
}

// Health returns the state of every binding.
func (a *App) Health() []Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Health
	for _, in := range a.inputs {
		all = append(all, in.health()...)
	}
	for _, o := range a.outputs {
		all = append(all, o.health())
	}
	return all
}

// Ready is nil while every binding that shall run is up, or was up less than 15 s ago: what a readiness probe asks.
func (a *App) Ready(context.Context) error { return a.ready(readyGrace) }

func (a *App) ready(grace time.Duration) error {
	a.mu.Lock()
	state := a.state
	a.mu.Unlock()
	if state != appRunning {
		return ErrNotStarted
	}
	var errs []error
	for _, h := range a.Health() {
		switch h.State {
		case StateUp, StateBlocked, StatePaused, StateStopped:
			continue
		case StateDown:
			if time.Since(h.Since) < grace {
				continue
			}
		case StateStarting:
		}
		errs = append(errs, fmt.Errorf("binding %s is %s: %s", h.Binding, h.State, h.Detail))
	}
	return errors.Join(errs...)
}

// WaitReady waits until every binding is up.
func (a *App) WaitReady(ctx context.Context) error {
	for {
		err := a.ready(0)
		if err == nil {
			return nil
		}
		if !sleep(ctx, readyPolling) {
			return errors.Join(ctx.Err(), err)
		}
	}
}
