package shipment

import (
	"context"
	"database/sql"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

const (
	dispatchBatch = 64              // parcels per look
	dispatchPoll  = 5 * time.Second // longest wait between looks; a commit ends it earlier
	dispatchRetry = time.Second     // pause after a failure
)

// Dispatch sends what is packed until ctx ends. Several may run on one database.
func (s *Service) Dispatch(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	s.db.OnCommit(func() {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	})
	for ctx.Err() == nil {
		pause, err := s.DispatchDue(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "dispatch", "error", err)
			pause = dispatchRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// DispatchDue sends what is packed by now and returns how long there is nothing more to do.
func (s *Service) DispatchDue(ctx context.Context, now time.Time) (time.Duration, error) {
	due, err := s.packed(ctx, dispatchBatch)
	if err != nil {
		return 0, err
	}
	for _, p := range due {
		if wait := p.DueAt.Sub(now); wait > 0 {
			return min(wait, dispatchPoll), nil
		}
		if err := s.send(ctx, p); err != nil {
			return 0, err
		}
	}
	if len(due) == dispatchBatch {
		return 0, nil
	}
	return dispatchPoll, nil
}

// send dispatches one parcel, in the trace of the message that began its packing. It may have been cancelled since it was found.
func (s *Service) send(ctx context.Context, p Shipment) error {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": p.traceparent})
	ctx, span := otel.Tracer("shipment").Start(ctx, "dispatch parcel")
	defer span.End()
	return s.db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.apply(ctx, tx, p.OrderID, dispatch, "") })
}

// traceparent is ctx's trace as a header's value, "" when there is none.
func traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}
