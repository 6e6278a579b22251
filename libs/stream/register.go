package stream

import (
	"context"
)

// Consume registers a consumer. Mistakes are reported by App.Start.
func Consume[T any](a *App, b Binding, f Consumer[T]) {
	b = b.withDefaults()
	a.bindInput(&input{binding: b, handle: func(ctx context.Context, raw Raw) error {
		m, err := decode[T](a.converter, b, raw)
		if err != nil {
			return err
		}
		return f(ctx, m)
	}})
}

// ConsumeBatch registers a consumer of batches. Messages that cannot be decoded are dead-lettered and the others handled.
func ConsumeBatch[T any](a *App, b Binding, f BatchConsumer[T]) {
	b = b.withDefaults()
	a.bindInput(&input{binding: b, handleBatch: func(ctx context.Context, raws []Raw) []error {
		ms, index, errs := decodeAll[T](a.converter, b, raws)
		if len(ms) == 0 {
			return errs
		}
		err := f(ctx, ms)
		each, ok := err.(BatchErrors) //nolint:errorlint // wrapped, it would no longer speak for each message
		for n, i := range index {
			errs[i] = err
			if ok {
				errs[i] = each.at(n)
			}
		}
		return errs
	}})
}

// Apply registers a function between two destinations. The result keeps the correlation id of its cause unless it has one, and
// goes where its header [HeaderSendTo] says, if it has that.
func Apply[A, B any](a *App, in, out Binding, f Function[A, B]) {
	out.Name = or(out.Name, out.Destination)
	a.bindOutput(out)
	Consume(a, in, func(ctx context.Context, m Message[A]) error {
		r, err := f(ctx, m)
		if err != nil || r == nil {
			return err
		}
		r.CorrelationID = or(r.CorrelationID, m.CorrelationID)
		return Send(ctx, a, or(r.Headers.String(HeaderSendTo), out.Name), *r)
	})
}

// ApplyBatch is Apply for batches: the results of a batch are published, in order, before it is settled.
func ApplyBatch[A, B any](a *App, in, out Binding, f BatchFunction[A, B]) {
	out.Name = or(out.Name, out.Destination)
	a.bindOutput(out)
	ConsumeBatch(a, in, func(ctx context.Context, ms []Message[A]) error {
		rs, err := f(ctx, ms)
		if err != nil || len(rs) == 0 {
			return err
		}
		for _, err := range SendBatch(ctx, a, out.Name, rs) {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Supply registers a supplier, asked every b.Producer.PollInterval. A message that could not be sent is kept and tried again at
// the next turn, with the same id, before the supplier is asked for another.
func Supply[T any](a *App, b Binding, f Supplier[T]) {
	o := a.bindOutput(b)
	o.poll = &poller{ask: supply(a, b.Name, f)}
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
