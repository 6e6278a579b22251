package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// input is a registered consumer. Exactly one of handle and handleBatch is set.
type input struct {
	binding     Binding
	binder      Binder
	handle      func(context.Context, Raw) error
	handleBatch func(context.Context, []Raw) []error

	running *subscribed // nil while it is not bound
	paused  bool
	since   time.Time // of its last start or stop by Control
}

// subscribed is an input that runs.
type subscribed struct {
	name     string
	receiver *Receiver
	subs     []Subscription
}

func (a *App) bindInput(in *input) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in.binding = in.binding.withDefaults()
	a.errs = append(a.errs, in.binding.validateInput(in.handleBatch != nil))
	var err error
	if in.binder, err = a.binderOf(in.binding); err != nil {
		a.errs = append(a.errs, err)
	}
	if a.claim(in.binding) {
		a.inputs = append(a.inputs, in)
	}
}

// parts are the bindings of one destination and one partition each, that make up b.
func (b Binding) parts() []Binding {
	var parts []Binding
	for d := range strings.SplitSeq(b.Destination, ",") {
		part := b
		part.Destination = strings.TrimSpace(d)
		indexes := b.Consumer.InstanceIndexes
		if len(indexes) == 0 {
			indexes = []int{b.Consumer.InstanceIndex}
		}
		for _, i := range indexes {
			part.Consumer.InstanceIndex = i
			parts = append(parts, part)
		}
	}
	return parts
}

// subscribe binds in; the caller holds a.mu.
func (a *App) subscribe(ctx context.Context, in *input) error {
	one, batch := a.handlers(in)
	r := &subscribed{name: in.binding.Name, receiver: NewReceiver(in.binding, one, batch, a.log)}
	r.receiver.settled, r.receiver.system = a.instr.Settled, in.binder.Describe()
	for _, part := range in.binding.parts() {
		sub, err := in.binder.BindConsumer(ctx, part, r.receiver)
		if err != nil {
			return errors.Join(fmt.Errorf("stream: bind consumer %s: %w", in.binding.Name, err), r.close(ctx))
		}
		r.subs = append(r.subs, sub)
	}
	in.running, in.paused, in.since = r, false, time.Now()
	return nil
}

// handlers are the whole way of a delivery: instrumentation, attempts, then the registered function.
func (a *App) handlers(in *input) (Handler, BatchHandler) {
	retry := func(ctx context.Context, b Binding, attempt int, err error, pause time.Duration) {
		a.log.WarnContext(ctx, "attempt failed", "binding", b.Name, "attempt", attempt, "pause", pause, "error", err)
		if a.instr.Retry != nil {
			a.instr.Retry(ctx, b, attempt, err, pause)
		}
	}
	tell := func(ctx context.Context, m Raw, out Outcome) {
		if out.Err != nil {
			a.log.ErrorContext(ctx, "message failed", "binding", in.binding.Name, "message_id", m.ID, "action", out.Action.String(), "error", out.Err)
		}
	}
	if in.handleBatch != nil {
		inner := batchAttempts(in.binding, retry, in.handleBatch)
		h := func(ctx context.Context, ms []Raw) []Outcome {
			outs := inner(ctx, ms)
			for i, out := range outs {
				tell(ctx, ms[i], out)
			}
			return outs
		}
		if a.instr.ConsumeBatch != nil {
			return nil, a.instr.ConsumeBatch(in.binder.Describe(), in.binding, h)
		}
		return nil, h
	}
	inner := attempts(in.binding, retry, in.handle)
	h := func(ctx context.Context, m Raw) Outcome {
		out := inner(ctx, m)
		tell(ctx, m, out)
		return out
	}
	if a.instr.Consume != nil {
		return a.instr.Consume(in.binder.Describe(), in.binding, h), nil
	}
	return h, nil
}

// close takes no new message, waits for running handlers until ctx ends, then cancels their contexts and waits a little more.
func (r *subscribed) close(ctx context.Context) error {
	r.receiver.stop()
	defer context.AfterFunc(ctx, func() {
		r.receiver.abandon()
		r.receiver.manual.requeueAll()
	})()
	graceful, cancel := extended(ctx, handlerGrace)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(r.subs))
	for i, sub := range r.subs {
		wg.Go(func() { errs[i] = sub.Close(graceful) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("stream: close %s: %w", r.name, err)
	}
	r.receiver.Close(err == nil)
	return err
}

func (in *input) health() []Health {
	if in.running == nil {
		return []Health{{Binding: in.binding.Name, Destination: in.binding.Destination, Group: in.binding.Group, State: StateStopped, Since: in.since}}
	}
	all := make([]Health, len(in.running.subs))
	for i, sub := range in.running.subs {
		all[i] = sub.Health()
	}
	return all
}

func (o *output) health() Health {
	if o.publisher == nil {
		return Health{Binding: o.binding.Name, Destination: o.binding.Destination, State: StateStopped}
	}
	return o.publisher.Health()
}
