package order

import "github.com/warren-mq/warren/services/events"

// State of an order, finer than its status.
type State string

// The states. The last three are final.
const (
	Placed    State = "placed"    // neither money nor goods yet
	Paid      State = "paid"      // the money is there
	Reserved  State = "reserved"  // the goods are there
	Confirmed State = "confirmed" // both are
	Shipped   State = "shipped"
	Rejected  State = "rejected"  // money or goods will never be there
	Cancelled State = "cancelled" // by the customer, in time
)

// Status is what an order's state looks like from outside.
type Status string

// The statuses.
const (
	StatusPending   Status = "pending"
	StatusConfirmed Status = "confirmed"
	StatusShipped   Status = "shipped"
	StatusRejected  Status = "rejected"
	StatusCancelled Status = "cancelled"
)

var statuses = map[State]Status{
	Placed: StatusPending, Paid: StatusPending, Reserved: StatusPending, Confirmed: StatusConfirmed,
	Shipped: StatusShipped, Rejected: StatusRejected, Cancelled: StatusCancelled,
}

// Final says that the order's status will not change any more.
func (s Status) Final() bool {
	return s == StatusShipped || s == StatusRejected || s == StatusCancelled
}

// transitions is all that can happen to an order: state and event to state. What is not in it changes nothing; it is noted in the
// timeline, no more. A dispatch may be heard of before the news that led to it, which waits in other queues.
//
// The order compensates nothing itself: who holds money or goods hears of the failure directly. Only a cancellation goes through
// here, when shipment has said that there was time, and OrderCancelled tells the others.
var transitions = map[State]map[string]State{
	Placed: {
		authorized: Paid, reserved: Reserved, declined: Rejected, refused: Rejected, dispatched: Shipped, stopped: Cancelled,
	},
	Paid:      {reserved: Confirmed, refused: Rejected, dispatched: Shipped, stopped: Cancelled},
	Reserved:  {authorized: Confirmed, declined: Rejected, dispatched: Shipped, stopped: Cancelled},
	Confirmed: {dispatched: Shipped, stopped: Cancelled},
	Shipped:   {},
	Rejected:  {},
	Cancelled: {},
}

// The events of the table.
var (
	authorized = events.PaymentAuthorized{}.Type()
	declined   = events.PaymentDeclined{}.Type()
	reserved   = events.StockReserved{}.Type()
	refused    = events.StockRejected{}.Type()
	dispatched = events.ShipmentDispatched{}.Type()
	stopped    = events.ShipmentCancelled{}.Type()
)
