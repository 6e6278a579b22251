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
		out := tries(ctx, b, retry, m, f)
		if out.Action == ActionDeadLetter && b.Consumer.ErrorHandler != nil && !isMarked(out.Err) {
			return handled(ctx, b.Consumer, m, out.Err)
		}
		if out.Action == ActionAccept && m.Delivery.settle != nil && out.Err == nil {
			out.Action = ActionManual
		}
		return out
	}
}

// tries calls f until there is a verdict. Should the binding stop in a pause, somebody else shall try, with all attempts again.
func tries(ctx context.Context, b Binding, retry onRetry, m Raw, f func(context.Context, Raw) error) Outcome {
	p := backOff{next: b.Consumer.BackOffInitialInterval}
	for n := 1; ; n++ {
		m.Delivery.Attempt = n
		err := guarded(ctx, m, f)
		out, final := verdict(b.Consumer, n, m, err)
		if final {
			return stopped(ctx, out)
		}
		if !p.wait(ctx, b, retry, n, err) {
			return Outcome{Action: ActionRequeue, Err: err}
		}
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
		p := backOff{next: b.Consumer.BackOffInitialInterval}
		for number := 1; ; number++ {
			part := make([]Raw, len(open))
			for n, i := range open {
				part[n] = ms[i]
				part[n].Delivery.Attempt = number
			}
			var again []int
			var errs []error
			for n, err := range guardedBatch(ctx, part, f) {
				i := open[n]
				out, final := verdict(b.Consumer, number, part[n], err)
				if outs[i] = stopped(ctx, out); !final {
					outs[i] = Outcome{Action: ActionRequeue, Err: err}
					again, errs = append(again, i), append(errs, err)
				}
			}
			if open = again; len(open) == 0 || !p.wait(ctx, b, retry, number, errors.Join(errs...)) {
				break
			}
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

// backOff is the growing pause between attempts.
type backOff struct{ next time.Duration }

// wait pauses after attempt n failed; false when ctx ended.
func (p *backOff) wait(ctx context.Context, b Binding, retry onRetry, n int, err error) bool {
	pause := min(p.next, b.Consumer.BackOffMaxInterval)
	p.next = time.Duration(float64(pause) * b.Consumer.BackOffMultiplier)
	if retry != nil {
		retry(ctx, b, n, err, pause)
	}
	return sleep(ctx, pause)
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
	if p.requeues() && !p.RepublishToDLQ.Or(true) {
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
	err := guarded(ctx, m, func(ctx context.Context, m Raw) error { return p.ErrorHandler(ctx, m, cause) })
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
func guarded(ctx context.Context, m Raw, f func(context.Context, Raw) error) (err error) {
	defer recovered(&err)
	return f(ctx, m)
}

func guardedBatch(ctx context.Context, ms []Raw, f func(context.Context, []Raw) []error) []error {
	errs, err := func() (errs []error, err error) {
		defer recovered(&err)
		return f(ctx, ms), nil
	}()
	if err != nil {
		return sameError(err, len(ms))
	}
	return errs
}

// recovered is deferred.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: debug.Stack()}
	}
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
