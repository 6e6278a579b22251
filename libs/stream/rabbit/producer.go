package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/warren-mq/warren/libs/stream"
)

// outlet keeps a confirm channel with a declared topology open on a link. It belongs to one producer binding, or to the dead
// letters of one consumer: a channel exception of one (an exchange that is gone, say) then never touches another.
type outlet struct {
	link *link
	topo *Topology
	cfg  Config
	cond *condition

	mu      sync.Mutex
	open    *confirms // nil while there is none
	lastErr error
	changed chan struct{} // closed and replaced when open changes
}

func newOutlet(l *link, cfg Config, topo *Topology, cond *condition) *outlet {
	return &outlet{link: l, cfg: cfg, topo: topo, cond: cond, changed: make(chan struct{})}
}

// run keeps the outlet open until ctx ends.
func (o *outlet) run(ctx context.Context) {
	b := newBackoff(o.cfg)
	for ctx.Err() == nil {
		up, err := o.session(ctx)
		if up {
			b.reset()
		}
		if ctx.Err() == nil {
			o.set(nil, err)
			o.cond.set(stream.StateDown, err.Error())
			b.pause(ctx)
		}
	}
	o.set(nil, ctx.Err())
	o.cond.set(stream.StateStopped, "")
}

// session is the life of one channel; up tells whether it was usable.
func (o *outlet) session(ctx context.Context) (up bool, err error) {
	l, err := o.link.await(ctx)
	if err != nil {
		return false, err
	}
	odd, err := declare(ctx, l.conn, o.topo, o.cfg.Logger)
	if err != nil {
		return false, err
	}
	c, err := openConfirms(l, o.cfg.InFlightMax)
	if err != nil {
		return false, err
	}
	defer c.close()
	o.cond.set(stream.StateUp, odd)
	o.set(c, nil)
	select {
	case <-c.dead:
		return true, c.cause
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

func (o *outlet) set(c *confirms, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = c
	if err != nil {
		o.lastErr = err
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// await returns a confirm channel on which the broker welcomes messages.
func (o *outlet) await(ctx context.Context) (*confirms, error) {
	for {
		o.mu.Lock()
		c, changed, last := o.open, o.changed, o.lastErr
		o.mu.Unlock()
		blocked, linkErr, linkChanged := o.link.status()
		if c != nil && blocked == "" {
			return c, nil
		}
		select {
		case <-changed:
		case <-linkChanged:
		case <-ctx.Done():
			switch {
			case blocked != "":
				last = errors.New(blocked)
			case last == nil:
				last = linkErr
			}
			return nil, fmt.Errorf("%w: %w (%w)", stream.ErrUnavailable, last, ctx.Err())
		}
	}
}

// deliver publishes the letters in order and returns when each has its fate or ctx ends. A letter whose channel died before
// the confirm is sent again, with the same message id: it may then be there twice, and never not at all.
func (o *outlet) deliver(ctx context.Context, letters []*letter) []error {
	errs := make([]error, len(letters))
	sent := make([]bool, len(letters)) // written at least once, so perhaps stored
	open := make([]int, len(letters))
	for i := range open {
		open[i] = i
	}
	for len(open) > 0 {
		c, err := o.await(ctx)
		if err != nil {
			for _, i := range open {
				errs[i] = err
				if sent[i] {
					errs[i] = fmt.Errorf("%w: %w", stream.ErrUnknownOutcome, err)
				}
			}
			return errs
		}
		open = o.round(ctx, c, letters, open, sent, errs)
	}
	return errs
}

// round writes the open letters on c and returns those to be sent again.
func (o *outlet) round(ctx context.Context, c *confirms, letters []*letter, open []int, sent []bool, errs []error) (again []int) {
	g := newGroup()
	written := 0
	var sendErr error
	for _, i := range open {
		if sent[i] {
			letters[i] = letters[i].again()
		}
		letters[i].group = g
		if sendErr = c.send(ctx, letters[i]); sendErr != nil {
			break
		}
		sent[i] = true
		written++
	}
	g.less()
	select {
	case <-g.done: // all have their fate, or the channel died and every one was told so
	case <-ctx.Done():
	}
	for n, i := range open {
		switch l := letters[i]; {
		case n >= written && errors.Is(sendErr, errUnsettled):
			again = append(again, i)
		case n >= written && sent[i]:
			errs[i] = fmt.Errorf("%w: %w", stream.ErrUnknownOutcome, sendErr)
		case n >= written:
			errs[i] = fmt.Errorf("%w: %w", stream.ErrUnavailable, sendErr)
		case !l.settled.Load():
			errs[i] = fmt.Errorf("%w: %w", stream.ErrUnknownOutcome, ctx.Err())
		case errors.Is(l.err, errUnsettled):
			again = append(again, i)
		default:
			errs[i] = l.err
		}
	}
	return again
}

// producer is the outlet of a binding.
type producer struct {
	*outlet
	binding  stream.Binding
	exchange string
	stop     context.CancelFunc
	done     chan struct{} // closed when run has returned

	mu       sync.Mutex
	closed   bool
	underWay sync.WaitGroup
}

var _ stream.Publisher = (*producer)(nil)

// PublishBatch implements [stream.Publisher].
func (p *producer) PublishBatch(ctx context.Context, ms []stream.Raw) []error {
	errs := make([]error, len(ms))
	if !p.enter() {
		for i := range errs {
			errs[i] = stream.ErrNotStarted
		}
		return errs
	}
	defer p.underWay.Done()
	letters := make([]*letter, 0, len(ms))
	index := make([]int, 0, len(ms))
	for i, m := range ms {
		msg, err := publishing(m, p.binding.Producer.Transient)
		if err != nil {
			errs[i] = err
			continue
		}
		letters = append(letters, newLetter(p.exchange, m.RoutingKey, p.binding.Producer.Mandatory.Or(true), msg))
		index = append(index, i)
	}
	for i, err := range p.deliver(ctx, letters) {
		errs[index[i]] = err
	}
	return errs
}

func (p *producer) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.underWay.Add(1)
	return true
}

// Health implements [stream.Publisher].
func (p *producer) Health() stream.Health {
	h := p.cond.get()
	if blocked, _, _ := p.link.status(); blocked != "" && h.State == stream.StateUp {
		h.State, h.Detail = stream.StateBlocked, blocked
	}
	return h
}

// Close implements [stream.Publisher].
func (p *producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() { // ends when the last PublishBatch does, which its own deadline ensures
		p.underWay.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("rabbit: close producer %s: %w", p.binding.Name, ctx.Err())
	}
	p.stop()
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	return err
}
