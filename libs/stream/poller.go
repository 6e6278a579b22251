package stream

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// poller asks a supplier.
type poller struct {
	// ask gets one message and sends it; more is false when there was none.
	ask func(ctx context.Context) (more bool, err error)

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (p *poller) start(a *App, o *output) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.wg.Go(func() { p.run(ctx, o.binding, a.log) })
}

// stop waits for a running ask; calling it again does nothing.
func (p *poller) stop() {
	if p.cancel != nil {
		p.cancel()
		p.wg.Wait()
	}
}

func (p *poller) run(ctx context.Context, b Binding, log *slog.Logger) {
	for pause := b.Producer.InitialDelay; sleep(ctx, pause); pause = b.Producer.PollInterval {
		for range b.Producer.MessagesPerPoll {
			more, err := p.ask(ctx)
			if err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "supplier failed", "binding", b.Name, "error", err)
			}
			if err != nil || !more {
				break
			}
		}
	}
}

// supply is the ask of a Supplier: a message that could not be sent is kept, with its id, and sent before another is asked for.
func supply[T any](a *App, name string, f Supplier[T]) func(context.Context) (bool, error) {
	var kept *Message[T]
	return func(ctx context.Context) (bool, error) {
		if kept == nil {
			m, err := f(ctx)
			if err != nil || m == nil {
				return false, err
			}
			m.ID = or(m.ID, NewID())
			if m.Timestamp.IsZero() {
				m.Timestamp = time.Now()
			}
			kept = m
		}
		if err := Send(ctx, a, name, *kept); err != nil {
			return false, err
		}
		kept = nil
		return true, nil
	}
}
