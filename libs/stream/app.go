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

// App is the set of bindings of one service on one binder. Register with [Consume], [Apply], [Supply], [NewSender] and
// App.Bind, then Start. It has no global state; a service may run several.
type App struct {
	binder    Binder
	converter Converter
	instr     Instrumentation
	log       *slog.Logger
	drain     time.Duration

	mu          sync.Mutex
	state       appState
	stopping    bool
	names       map[string]bool
	inputs      []*input
	outputs     map[string]*output
	errs        []error // of registration, reported by Start
	polling     sync.WaitGroup
	stopPolling context.CancelFunc
}

type appState uint8

const (
	appNew appState = iota
	appRunning
	appStopped
)

// input is a registered consumer.
type input struct {
	binding Binding
	handle  func(context.Context, Raw) error
	sub     Subscription
}

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

// New returns an App without bindings.
func New(b Binder, opts ...Option) *App {
	a := &App{
		binder: b, converter: JSON{}, log: slog.Default(), drain: DefaultDrainTimeout,
		names: map[string]bool{}, outputs: map[string]*output{}, stopPolling: func() {},
	}
	for _, o := range opts {
		o(a)
	}
	return a
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
	if err := a.begin(ctx); err != nil {
		return err
	}
	if err := a.bindAll(ctx); err != nil {
		return errors.Join(err, a.closeAll(ctx))
	}
	pollCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stopPolling = cancel
	for _, o := range a.outputs {
		if o.poll != nil {
			a.polling.Go(func() { a.pollLoop(pollCtx, o) })
		}
	}
	return nil
}

func (a *App) begin(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != appNew {
		return errors.New("stream: an App starts once")
	}
	if err := errors.Join(a.errs...); err != nil {
		return err
	}
	if err := a.binder.Start(ctx); err != nil {
		return fmt.Errorf("stream: start binder: %w", err)
	}
	a.state = appRunning
	return nil
}

// bindAll opens outputs first: a handler may send as soon as it runs.
func (a *App) bindAll(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.outputs {
		if err := a.open(ctx, o); err != nil {
			return err
		}
	}
	for _, in := range a.inputs {
		sub, err := a.binder.BindConsumer(ctx, in.binding, a.handler(in))
		if err != nil {
			return fmt.Errorf("stream: bind consumer %s: %w", in.binding.Name, err)
		}
		in.sub = sub
	}
	return nil
}

// handler is the whole way of a delivery: instrumentation, attempts, then the registered function.
func (a *App) handler(in *input) Handler {
	retry := func(ctx context.Context, b Binding, attempt int, err error, pause time.Duration) {
		a.log.WarnContext(ctx, "attempt failed", "binding", b.Name, "attempt", attempt, "pause", pause, "error", err)
		if a.instr.Retry != nil {
			a.instr.Retry(ctx, b, attempt, err, pause)
		}
	}
	inner := attempts(in.binding, retry, in.handle)
	h := func(ctx context.Context, m Raw) Outcome {
		out := inner(ctx, m)
		if out.Err != nil {
			a.log.ErrorContext(ctx, "message failed", "binding", in.binding.Name, "message_id", m.ID, "action", out.Action.String(), "error", out.Err)
		}
		return out
	}
	if a.instr.Consume != nil {
		return a.instr.Consume(a.binder.Describe(), in.binding, h)
	}
	return h
}

// pollLoop asks a supplier until ctx ends.
func (a *App) pollLoop(ctx context.Context, o *output) {
	for sleep(ctx, o.binding.Producer.PollInterval) {
		if err := o.poll(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "supplier failed", "binding", o.binding.Name, "error", err)
		}
	}
}

// Stop takes no new message, waits for running handlers up to the drain timeout (or ctx's earlier deadline), flushes
// publishers and ends the binder. Calling it again does nothing.
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

// closeAll ends in the order in which nothing is lost: what makes messages, what handles them, what publishes, the broker.
func (a *App) closeAll(ctx context.Context) error {
	a.stopPolling()
	a.polling.Wait()
	var wg sync.WaitGroup
	errs := make([]error, len(a.inputs))
	for i, in := range a.inputs {
		if in.sub != nil {
			wg.Go(func() { errs[i] = in.sub.Close(ctx) })
		}
	}
	wg.Wait()
	for _, o := range a.stopOutputs() {
		errs = append(errs, o.publisher.Close(ctx))
	}
	return errors.Join(append(errs, a.binder.Stop(ctx))...)
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
		if in.sub != nil {
			all = append(all, in.sub.Health())
		}
	}
	for _, o := range a.outputs {
		if o.publisher != nil {
			all = append(all, o.publisher.Health())
		}
	}
	return all
}

// Ready is nil while every binding is up, or was up less than 15 s ago: what a readiness probe asks.
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
		if h.State == StateUp || h.State == StateBlocked || h.State == StateDown && time.Since(h.Since) < grace {
			continue
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
