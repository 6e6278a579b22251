package events

// Causes of a cancellation.
const (
	CauseCustomer = ""        // the customer changed their mind
	CauseExpired  = "expired" // money or goods took too long
)

// OrderCancellationRequested says that the order shall be stopped. Shipment decides whether there is still time: it is the only
// one that knows whether the parcel has left.
type OrderCancellationRequested struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason,omitempty"`
	Cause   string `json:"cause,omitempty"`
}

// Type implements Event.
func (OrderCancellationRequested) Type() string { return "OrderCancellationRequested" }

// Destination implements Event.
func (OrderCancellationRequested) Destination() string { return "order.cancellation-requested" }

// Key implements Event.
func (e OrderCancellationRequested) Key() string { return e.OrderID }

// Validate implements Event.
func (e OrderCancellationRequested) Validate() error { return requireOrder(e.OrderID) }
