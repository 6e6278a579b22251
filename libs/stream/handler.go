package stream

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// onRetry is called before the pause that precedes another attempt.
type onRetry func(ctx context.Context, b Binding, attempt int, err error, pause time.Duration)

// attempts makes a Handler of a function: bounded attempts with a growing pause, then the verdict.
func attempts(b Binding, retry onRetry, f func(context.Context, Raw) error) Handler {
	return func(ctx context.Context, m Raw) Outcome {
		var out Outcome
		for attempt := range pauses(ctx, b, retry) {
			m.Delivery.Attempt = attempt.number
			err := guarded(func() error { return f(ctx, m) })
			var final bool
			if out, final = verdict(b.Consumer, attempt.number, m, err); final {
				out = stopped(ctx, out)
				break
			}
			attempt.failed(err)
			// Should the binding stop in the pause, somebody else shall try, with all attempts again.
			out = Outcome{Action: ActionRequeue, Err: err}
		}
		if out.Action == ActionDeadLetter && b.Consumer.ErrorHandler != nil && !isMarked(out.Err) {
			return handled(ctx, b.Consumer, m, out.Err)
		}
		if out.Action == ActionAccept && m.Delivery.settle != nil && out.Err == nil {
			out.Action = ActionManual
		}
		return out
	}
}

// batchAttempts is attempts for a batch: what failed is tried again, together, until it is settled one way or the other.
func batchAttempts(b Binding, retry onRetry, f func(context.Context, []Raw) []error) BatchHandler {
	return func(ctx context.Context, ms []Raw) []Outcome {
		outs := make([]Outcome, len(ms))
		open := make([]int, len(ms))
		for i := range open {
			open[i] = i
		}
		for attempt := range pauses(ctx, b, retry) {
			part := make([]Raw, len(open))
			for n, i := range open {
				part[n] = ms[i]
				part[n].Delivery.Attempt = attempt.number
			}
			var again []int
			var errs []error
			for n, err := range guardedBatch(ctx, part, f) {
				i := open[n]
				out, final := verdict(b.Consumer, attempt.number, part[n], err)
				if outs[i] = stopped(ctx, out); !final {
					outs[i] = Outcome{Action: ActionRequeue, Err: err}
					again, errs = append(again, i), append(errs, err)
				}
			}
			if open = again; len(open) == 0 {
				break
			}
			attempt.failed(errors.Join(errs...))
		}
		if b.Consumer.ErrorHandler != nil {
			for i, out := range outs {
				if out.Action == ActionDeadLetter && !isMarked(out.Err) {
					outs[i] = handled(ctx, b.Consumer, ms[i], out.Err)
				}
			}
		}
		return outs
	}
}

// attempt is one round of a retry loop.
type attempt struct {
	number int // from 1
	err    error
}

func (a *attempt) failed(err error) { a.err = err }

// pauses yields attempts for as long as the loop's body fails them, with growing pauses between, and ends when ctx does.
func pauses(ctx context.Context, b Binding, retry onRetry) func(yield func(*attempt) bool) {
	p := b.Consumer
	return func(yield func(*attempt) bool) {
		pause := p.BackOffInitialInterval
		for n := 1; ; n++ {
			a := attempt{number: n}
			if !yield(&a) {
				return
			}
			pause = min(pause, p.BackOffMaxInterval)
			if retry != nil {
				retry(ctx, b, n, a.err, pause)
			}
			if !sleep(ctx, pause) {
				return
			}
			pause = time.Duration(float64(pause) * p.BackOffMultiplier)
		}
	}
}

// stopped gives a message back whose handler failed because the binding ended its context: that is no fault of the message.
func stopped(ctx context.Context, out Outcome) Outcome {
	if out.Err != nil && ctx.Err() != nil && !isMarked(out.Err) && errors.Is(out.Err, ctx.Err()) {
		return Outcome{Action: ActionRequeue, Err: out.Err}
	}
	return out
}

// verdict says what to do after an attempt; final is false when another attempt follows.
func verdict(p ConsumerProperties, attempt int, m Raw, err error) (out Outcome, final bool) {
	var mark *marked
	switch {
	case err == nil:
		return Outcome{Action: ActionAccept}, true
	case errors.As(err, &mark):
		return Outcome{Action: mark.action, Err: err}, true
	case errors.Is(err, ErrUndecodable):
		return Outcome{Action: ActionDeadLetter, Err: err}, true
	}
	retryable := p.Retryable == nil || p.Retryable(err)
	if attempt < p.MaxAttempts && retryable {
		return Outcome{}, false
	}
	if retryable {
		if wait, ok := p.DelayedRetry.next(m); ok {
			return Outcome{Action: ActionRetry, Err: err, Wait: wait, Pause: p.DelayedRetry.jittered(wait)}, true
		}
	}
	if p.MaxAttempts == 1 && p.RequeueRejected {
		return Outcome{Action: ActionRequeue, Err: err}, true
	}
	return Outcome{Action: ActionDeadLetter, Err: err}, true
}

// next is the wait of a message that failed once more; false when there is none left, or the message is too old.
func (d DelayedRetry) next(m Raw) (time.Duration, bool) {
	if m.Delivery.Retries >= len(d.Intervals) {
		return 0, false
	}
	wait := d.Intervals[m.Delivery.Retries]
	if first, ok := firstFailure(m); ok && d.MaxAge > 0 && time.Since(first)+wait > d.MaxAge {
		return 0, false
	}
	return wait, true
}

func (d DelayedRetry) jittered(wait time.Duration) time.Duration {
	return wait - time.Duration(rand.Float64()*d.Jitter*float64(wait)) //nolint:gosec // no secret
}

// handled asks the binding's own error handler.
func handled(ctx context.Context, p ConsumerProperties, m Raw, cause error) Outcome {
	err := guarded(func() error { return p.ErrorHandler(ctx, m, cause) })
	var mark *marked
	switch {
	case err == nil:
		return Outcome{Action: ActionAccept, Err: cause}
	case errors.As(err, &mark):
		return Outcome{Action: mark.action, Err: err}
	}
	return Outcome{Action: ActionReject, Err: err}
}

func isMarked(err error) bool {
	var m *marked
	return errors.As(err, &m)
}

// guarded calls f and turns a panic into a *PanicError, so that one message cannot end the service.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

func guardedBatch(ctx context.Context, ms []Raw, f func(context.Context, []Raw) []error) (errs []error) {
	err := guarded(func() error {
		errs = f(ctx, ms)
		return nil
	})
	if err != nil {
		return sameError(err, len(ms))
	}
	return errs
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
