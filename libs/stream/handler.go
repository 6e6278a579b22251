package stream

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// attempts makes a Handler of a function: bounded attempts with a growing pause, then the verdict of binder.md B6.
func attempts(b Binding, onRetry func(context.Context, Binding, int, error, time.Duration), f func(context.Context, Raw) error) Handler {
	p := b.Consumer
	return func(ctx context.Context, m Raw) Outcome {
		pause := p.BackOffInitialInterval
		for attempt := 1; ; attempt++ {
			m.Delivery.Attempt = attempt
			err := guarded(ctx, m, f)
			if out, final := verdict(p, attempt, err); final {
				return out
			}
			pause = min(pause, p.BackOffMaxInterval)
			if onRetry != nil {
				onRetry(ctx, b, attempt, err, pause)
			}
			if !sleep(ctx, pause) {
				// The binding is stopping: somebody else shall try, with all attempts again.
				return Outcome{Action: ActionRequeue, Err: err}
			}
			pause = time.Duration(float64(pause) * p.BackOffMultiplier)
		}
	}
}

// verdict says what to do after an attempt; final is false when another attempt follows.
func verdict(p ConsumerProperties, attempt int, err error) (out Outcome, final bool) {
	var m *marked
	switch {
	case err == nil:
		return Outcome{Action: ActionAccept}, true
	case errors.As(err, &m):
		return Outcome{Action: m.action, Err: err}, true
	case errors.Is(err, ErrUndecodable):
		return Outcome{Action: ActionDeadLetter, Err: err}, true
	case attempt < p.MaxAttempts:
		return Outcome{}, false
	case p.MaxAttempts == 1 && p.RequeueRejected:
		return Outcome{Action: ActionRequeue, Err: err}, true
	}
	return Outcome{Action: ActionDeadLetter, Err: err}, true
}

// guarded calls f and turns a panic into a *PanicError, so that one message cannot end the service.
func guarded(ctx context.Context, m Raw, f func(context.Context, Raw) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f(ctx, m)
}

// sleep pauses for d; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
