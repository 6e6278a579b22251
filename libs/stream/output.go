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
	binder    Binder
	publisher Publisher   // nil while it is not bound
	publish   PublishFunc // publisher behind the instrumentation
	batcher   *batcher    // with ProducerProperties.Batching
	poll      *poller     // of a supplier
}

// Bind registers an output for [Send] by name.
func (a *App) Bind(b Binding) { a.bindOutput(b) }

func (a *App) bindOutput(b Binding) *output {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &output{binding: b.withDefaults()}
	a.errs = append(a.errs, o.binding.validateOutput())
	var err error
	if o.binder, err = a.binderOf(o.binding); err != nil {
		a.errs = append(a.errs, err)
	}
	if a.claim(b) {
		a.outputs[b.Name] = o
	}
	return o
}

// open binds o; the caller holds a.mu.
func (a *App) open(ctx context.Context, o *output) error {
	p, err := o.binder.BindProducer(ctx, o.binding)
	if err != nil {
		return fmt.Errorf("stream: bind producer %s: %w", o.binding.Name, err)
	}
	o.publisher = p
	o.publish = p.PublishBatch
	if o.binding.Producer.Compress {
		o.publish = compressing(o.binding.Producer.CompressionLevel, o.publish)
	}
	plain := o.publish
	if a.instr.Publish != nil {
		o.publish = a.instr.Publish(o.binder.Describe(), o.binding, plain)
	}
	if o.binding.Producer.Batching {
		o.batcher = newBatcher(o.binding, o.publish, a.packed(o, plain))
		o.publish = o.batcher.publish
	}
	if o.poll != nil {
		o.poll.start(a, o)
	}
	return nil
}

// packed publishes a message that holds several.
func (a *App) packed(o *output, plain PublishFunc) PackedFunc {
	if a.instr.PublishPacked != nil {
		return a.instr.PublishPacked(o.binder.Describe(), o.binding, plain)
	}
	return func(ctx context.Context, m Raw, _ []context.Context) error { return plain(ctx, []Raw{m})[0] }
}

// close ends what open began, and returns when everything under way has its fate or ctx ends.
func (o *output) close(ctx context.Context) error {
	if o.poll != nil {
		o.poll.stop()
	}
	if o.batcher != nil {
		o.batcher.flush()
	}
	return o.publisher.Close(ctx)
}

func compressing(level int, next PublishFunc) PublishFunc {
	return func(ctx context.Context, ms []Raw) []error {
		packed := make([]Raw, len(ms))
		for i, m := range ms {
			var err error
			if packed[i], err = compress(m, level); err != nil {
				return sameError(err, len(ms))
			}
		}
		return next(ctx, packed)
	}
}

// output finds the binding called name; an unknown one is a dynamic destination, bound on first use.
func (a *App) output(ctx context.Context, name string) (Binding, PublishFunc, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != appRunning {
		return Binding{}, nil, ErrNotStarted
	}
	if o := a.outputs[name]; o != nil {
		if o.publisher == nil {
			return Binding{}, nil, fmt.Errorf("%w: binding %s is stopped", ErrNotStarted, name)
		}
		return o.binding, o.publish, nil
	}
	if name == "" || a.names[name] {
		return Binding{}, nil, fmt.Errorf("stream: %q is not an output", name)
	}
	o, err := a.dynamic(ctx, name)
	if err != nil {
		return Binding{}, nil, err
	}
	return o.binding, o.publish, nil
}

// dynamic binds a destination that nobody registered; the caller holds a.mu.
func (a *App) dynamic(ctx context.Context, name string) (*output, error) {
	if a.dynamicAllowed != nil && !a.dynamicAllowed[name] {
		return nil, fmt.Errorf("stream: %q is neither an output nor an allowed dynamic destination", name)
	}
	if a.dynamicCount >= dynamicDestinationsMax {
		return nil, fmt.Errorf("stream: more than %d dynamic destinations", dynamicDestinationsMax)
	}
	b := a.dynamicDefaults
	b.Name, b.Destination = name, ""
	o := &output{binding: b.withDefaults()}
	var err error
	if o.binder, err = a.binderOf(o.binding); err != nil {
		return nil, err
	}
	if err := errors.Join(o.binding.validateOutput(), a.open(context.WithoutCancel(ctx), o)); err != nil {
		return nil, err
	}
	a.outputs[name] = o
	a.dynamicCount++
	return o, nil
}

// PublishRaw publishes encoded messages through a binding (or to a dynamic destination), pipelined and in order. The result
// has one entry per message; nil means the broker has it safely.
func (a *App) PublishRaw(ctx context.Context, binding string, ms []Raw) []error {
	b, publish, err := a.output(ctx, binding)
	if err != nil {
		return sameError(err, len(ms))
	}
	return publishAll(ctx, b, publish, ms)
}

func publishAll(ctx context.Context, b Binding, publish PublishFunc, ms []Raw) []error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultSendTimeout)
		defer cancel()
	}
	out := make([]Raw, len(ms))
	for i, m := range ms {
		var err error
		if out[i], err = complete(b, m); err != nil {
			return sameError(err, len(ms))
		}
	}
	return publish(ctx, out)
}

// complete sets what every message on the wire has: id, timestamp, content type, routing key. Headers that name a property
// become that property, headers that must not travel go.
func complete(b Binding, m Raw) (Raw, error) {
	p := b.Producer
	headers := make(Headers, len(m.Headers)+headersOfTrace)
	for k, v := range m.Headers {
		isProperty, err := setProperty(&m, k, v)
		switch {
		case err != nil:
			return m, err
		case isProperty, BrokerOwned(k), neverSent(k):
		default:
			headers[k] = v
		}
	}
	original := m.Headers
	m.ID = or(m.ID, NewID())
	if m.Timestamp.IsZero() {
		m.Timestamp = time.Now()
	}
	m.ContentType = or(m.ContentType, b.ContentType)
	m.Priority, m.TTL = or(m.Priority, p.Priority), or(m.TTL, p.TTL)
	if err := address(b, &m, original); err != nil {
		return m, err
	}
	m.Headers = filterHeaders(headers, p.HeaderPatterns)
	return m, nil
}

// address sets the routing key, with the partition, and the delay.
func address(b Binding, m *Raw, headers Headers) (err error) {
	p := b.Producer
	if m.Delay == 0 && p.DelayFrom != nil {
		if m.Delay, err = p.DelayFrom(*m); err != nil {
			return fmt.Errorf("stream: delay for %s: %w", b.Name, err)
		}
	}
	if m.RoutingKey == "" && p.RoutingKeyFrom != nil {
		if m.RoutingKey, err = p.RoutingKeyFrom(*m); err != nil {
			return fmt.Errorf("stream: routing key for %s: %w", b.Name, err)
		}
	}
	m.RoutingKey = or(m.RoutingKey, or(p.RoutingKey, b.Destination))
	if p.Partitioned() {
		i, err := p.partition(*m, headers)
		if err != nil {
			return fmt.Errorf("stream: partition for %s: %w", b.Name, err)
		}
		m.RoutingKey = fmt.Sprintf("%s-%d", m.RoutingKey, i)
	}
	return nil
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
	return SendBatch(ctx, a, name, []Message[T]{m})[0]
}

// SendBatch is Send for many messages, in order and without waiting between them. One error per message, nil for success.
func SendBatch[T any](ctx context.Context, a *App, name string, ms []Message[T]) []error {
	b, publish, err := a.output(ctx, name)
	if err != nil {
		return sameError(err, len(ms))
	}
	raws := make([]Raw, len(ms))
	for i, m := range ms {
		if raws[i], err = encode(a.converter, b, m); err != nil {
			return sameError(err, len(ms))
		}
	}
	return publishAll(ctx, b, publish, raws)
}
