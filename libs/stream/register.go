package stream

import (
	"context"
	"fmt"
)

// Consume registers a consumer. Mistakes are reported by App.Start.
func Consume[T any](a *App, b Binding, f Consumer[T]) {
	b = b.withDefaults()
	a.bindInput(b, func(ctx context.Context, raw Raw) error {
		m, err := decode[T](a.converter, b, raw)
		if err != nil {
			return err
		}
		return f(ctx, m)
	})
}

// Apply registers a function between two destinations. The result keeps the correlation id of its cause unless it has one.
func Apply[A, B any](a *App, in, out Binding, f Function[A, B]) {
	out.Name = or(out.Name, out.Destination)
	a.bindOutput(out)
	Consume(a, in, func(ctx context.Context, m Message[A]) error {
		r, err := f(ctx, m)
		if err != nil || r == nil {
			return err
		}
		r.CorrelationID = or(r.CorrelationID, m.CorrelationID)
		return Send(ctx, a, out.Name, *r)
	})
}

// Supply registers a supplier, asked every b.Producer.PollInterval. A message that could not be sent is kept and tried again at
// the next turn, with the same id, before the supplier is asked for another.
func Supply[T any](a *App, b Binding, f Supplier[T]) {
	o := a.bindOutput(b)
	var kept *Message[T]
	o.poll = func(ctx context.Context) error {
		if kept == nil {
			m, err := f(ctx)
			if err != nil || m == nil {
				return err
			}
			m.ID = or(m.ID, NewID())
			kept = m
		}
		err := Send(ctx, a, b.Name, *kept)
		if err == nil {
			kept = nil
		}
		return err
	}
}

// Sender sends one type through one binding.
type Sender[T any] struct {
	app  *App
	name string
}

// NewSender registers an output and returns the way to use it.
func NewSender[T any](a *App, b Binding) Sender[T] {
	a.bindOutput(b)
	return Sender[T]{app: a, name: b.Name}
}

// Send publishes m; see [Send] for the errors.
func (s Sender[T]) Send(ctx context.Context, m Message[T]) error { return Send(ctx, s.app, s.name, m) }

// SendBatch publishes in order without waiting between messages; one error per message, nil for success.
func (s Sender[T]) SendBatch(ctx context.Context, ms []Message[T]) []error {
	return SendBatch(ctx, s.app, s.name, ms)
}

func (a *App) bindInput(b Binding, handle func(context.Context, Raw) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := b.Consumer
	switch {
	case p.Partitioned && b.Group == "":
		a.errs = append(a.errs, fmt.Errorf("stream: binding %q is partitioned and needs a group", b.Name))
	case p.MaxAttempts < 1, p.Concurrency < 1, p.Prefetch < 1, p.BackOffMultiplier < 1:
		a.errs = append(a.errs, fmt.Errorf("stream: binding %q: MaxAttempts, Concurrency, Prefetch and BackOffMultiplier are at least 1", b.Name))
	}
	if a.claim(b) {
		a.inputs = append(a.inputs, &input{binding: b, handle: handle})
	}
}
