package stream

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// batcher puts messages of one binding together until there are enough of them, in number or bytes, or the first has waited
// long enough. A message with another routing key, content type or encoding goes into a batch of its own.
type batcher struct {
	p      ProducerProperties
	single PublishFunc
	packed PackedFunc

	sending sync.Mutex // one batch after another, so that order stays; taken before mu
	mu      sync.Mutex
	open    []item
	bytes   int
	timer   *time.Timer
}

// item is a message that waits, and the way to tell its fate.
type item struct {
	ctx  context.Context // of its trace
	m    Raw
	fate chan error
}

func newBatcher(b Binding, single PublishFunc, packed PackedFunc) *batcher {
	return &batcher{p: b.Producer, single: single, packed: packed}
}

// publish is a PublishFunc. A caller with several messages has no more to add: they do not wait for others.
func (b *batcher) publish(ctx context.Context, ms []Raw) []error {
	fates := make([]chan error, len(ms))
	for i, m := range ms {
		fates[i] = make(chan error, 1)
		b.add(item{ctx: ctx, m: m, fate: fates[i]})
	}
	if len(ms) > 1 {
		b.flush()
	}
	errs := make([]error, len(ms))
	for i, f := range fates {
		select {
		case errs[i] = <-f:
		case <-ctx.Done():
			errs[i] = fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
	}
	return errs
}

func (b *batcher) add(it item) {
	b.mu.Lock()
	for !b.fits(it.m) {
		b.mu.Unlock()
		b.flush()
		b.mu.Lock()
	}
	b.open = append(b.open, it)
	b.bytes += lengthBytes + len(it.m.Payload)
	full := len(b.open) >= b.p.BatchSize || b.bytes >= b.p.BatchBytes
	if len(b.open) == 1 && !full {
		b.timer = time.AfterFunc(b.p.BatchTimeout, b.flush)
	}
	b.mu.Unlock()
	if full {
		b.flush()
	}
}

// fits says whether m may join what is open; the caller holds mu.
func (b *batcher) fits(m Raw) bool {
	if len(b.open) == 0 {
		return true
	}
	first := b.open[0].m
	return b.bytes+lengthBytes+len(m.Payload) <= b.p.BatchBytes &&
		m.RoutingKey == first.RoutingKey && m.ContentType == first.ContentType && m.ContentEncoding == first.ContentEncoding
}

// flush publishes what is open, after what was flushed before.
func (b *batcher) flush() {
	b.sending.Lock()
	defer b.sending.Unlock()
	b.mu.Lock()
	items := b.open
	b.open, b.bytes = nil, 0
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.mu.Unlock()
	if len(items) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), DefaultSendTimeout)
	defer cancel()
	var err error
	if len(items) == 1 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(items[0].ctx), DefaultSendTimeout)
		defer cancel()
		err = b.single(ctx, []Raw{items[0].m})[0]
	} else {
		ms, parts := make([]Raw, len(items)), make([]context.Context, len(items))
		for i, it := range items {
			ms[i], parts[i] = it.m, it.ctx
		}
		err = b.packed(ctx, pack(ms), parts)
	}
	for _, it := range items {
		it.fate <- err
	}
}
