package order

import (
	"context"
	"database/sql"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

// Cancel asks for an order to be stopped. Whether there is still time, shipment says; the order's status tells. Asking again
// changes nothing. ErrTooLate comes with the order as it is.
func (s *Service) Cancel(ctx context.Context, id, reason string) (o Order, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if o, err = s.lock(ctx, tx, id); err != nil {
			return err
		}
		switch {
		case o.State == Shipped || o.State == Rejected:
			return ErrTooLate
		case o.State == Cancelled || !o.CancelAt.IsZero():
			return nil
		}
		o.CancelAt = time.Now().UTC()
		e := events.OrderCancellationRequested{OrderID: id, Reason: reason}
		if err := s.note(ctx, tx, &o, e.Type(), reason); err != nil {
			return err
		}
		return chassis.Emit(ctx, tx, s.outbox, e)
	})
	return o, err
}
