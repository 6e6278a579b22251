package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// output is a registered producer.
type output struct {
	binding   Binding
	publisher Publisher
	publish   PublishFunc                 // publisher behind the instrumentation
	poll      func(context.Context) error // of a supplier
}

// Bind registers an output for [Send] by name.
func (a *App) Bind(b Binding) { a.bindOutput(b) }

func (a *App) bindOutput(b Binding) *output {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &output{binding: b.withDefaults()}
	if b.Producer.PartitionCount > 1 && b.Producer.PartitionKey == nil {
		a.errs = append(a.errs, fmt.Errorf("stream: binding %q is partitioned without a PartitionKey", b.Name))
	}
	if a.claim(b) {
		a.outputs[b.Name] = o
	}
	return o
}

// open binds o; the caller holds a.mu.
func (a *App) open(ctx context.Context, o *output) error {
	p, err := a.binder.BindProducer(ctx, o.binding)
	if err != nil {
		return fmt.Errorf("stream: bind producer %s: %w", o.binding.Name, err)
	}
	o.publisher, o.publish = p, p.PublishBatch
	if a.instr.Publish != nil {
		o.publish = a.instr.Publish(a.binder.Describe(), o.binding, p.PublishBatch)
	}
	return nil
}

// output finds the binding called name; an unknown one is a dynamic destination, bound on first use.
func (a *App) output(ctx context.Context, name string) (*output, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != appRunning {
		return nil, ErrNotStarted
	}
	if o := a.outputs[name]; o != nil {
		return o, nil
	}
	if name == "" || a.names[name] {
		return nil, fmt.Errorf("stream: %q is not an output", name)
	}
	if len(a.outputs) >= dynamicDestinationsMax {
		return nil, fmt.Errorf("stream: more than %d destinations", dynamicDestinationsMax)
	}
	o := &output{binding: Binding{Name: name}.withDefaults()}
	if err := a.open(context.WithoutCancel(ctx), o); err != nil {
		return nil, err
	}
	a.outputs[name] = o
	return o, nil
}

// PublishRaw publishes encoded messages through a binding (or to a dynamic destination), pipelined and in order. The result
// has one entry per message; nil means the broker has it safely.
func (a *App) PublishRaw(ctx context.Context, binding string, ms []Raw) []error {
	o, err := a.output(ctx, binding)
	if err != nil {
		return sameError(err, len(ms))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultSendTimeout)
		defer cancel()
	}
	out := make([]Raw, len(ms))
	for i, m := range ms {
		if out[i], err = complete(o.binding, m); err != nil {
			return sameError(err, len(ms))
		}
	}
	return o.publish(ctx, out)
}

// complete sets what every message on the wire has: id, timestamp, content type, routing key.
func complete(b Binding, m Raw) (Raw, error) {
	m.ID = or(m.ID, NewID())
	if m.Timestamp.IsZero() {
		m.Timestamp = time.Now()
	}
	m.ContentType = or(m.ContentType, b.ContentType)
	headers := make(Headers, len(m.Headers)+headersOfTrace)
	for k, v := range m.Headers {
		if !BrokerOwned(k) {
			headers[k] = v
		}
	}
	m.Headers = headers
	m.RoutingKey = or(m.RoutingKey, or(b.Producer.RoutingKey, b.Destination))
	if b.Producer.PartitionCount > 1 {
		i, err := Partition(b.Producer.PartitionKey(m), b.Producer.PartitionCount)
		if err != nil {
			return m, err
		}
		m.RoutingKey = fmt.Sprintf("%s-%d", m.RoutingKey, i)
	}
	return m, nil
}

// headersOfTrace is the room left in a header map for the instrumentation.
const headersOfTrace = 4

func sameError(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Send publishes m through the output binding called name, or to the dynamic destination of that name when there is none
// (Spring's StreamBridge). It returns nil once the broker has the message safely; for other outcomes see [ErrReturned],
// [ErrNacked] and [ErrUnknownOutcome]. Without a deadline in ctx it gives up after 30 s.
func Send[T any](ctx context.Context, a *App, name string, m Message[T]) error {
	return errors.Join(SendBatch(ctx, a, name, []Message[T]{m})...)
}

// SendBatch is Send for many messages, in order and without waiting between them. One error per message, nil for success.
func SendBatch[T any](ctx context.Context, a *App, name string, ms []Message[T]) []error {
	o, err := a.output(ctx, name)
	if err != nil {
		return sameError(err, len(ms))
	}
	raws := make([]Raw, len(ms))
	for i, m := range ms {
		if raws[i], err = encode(a.converter, o.binding, m); err != nil {
			return sameError(err, len(ms))
		}
	}
	return a.PublishRaw(ctx, name, raws)
}
