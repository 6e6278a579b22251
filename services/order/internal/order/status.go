package order

import "github.com/warren-mq/warren/services/internal/saga"

// Status is what an order's state looks like from outside.
type Status string

// The statuses.
const (
	StatusPending    Status = "pending"
	StatusConfirmed  Status = "confirmed"
	StatusCancelling Status = "cancelling"
	StatusShipped    Status = "shipped"
	StatusDelivered  Status = "delivered"
	StatusReturned   Status = "returned"
	StatusRejected   Status = "rejected"
	StatusCancelled  Status = "cancelled"
	StatusExpired    Status = "expired"
)

var statuses = map[saga.State]Status{
	saga.OrderNew: StatusPending, saga.OrderPaid: StatusPending, saga.OrderReserved: StatusPending, saga.OrderConfirmed: StatusConfirmed,
	saga.OrderStopping: StatusCancelling, saga.OrderShipped: StatusShipped, saga.OrderDelivered: StatusDelivered, saga.OrderReturned: StatusReturned,
	saga.OrderRejected: StatusRejected, saga.OrderStopped: StatusCancelled, saga.OrderExpired: StatusExpired,
}
