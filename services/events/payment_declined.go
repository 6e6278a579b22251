package events

// PaymentDeclined is final: the order will not be paid for. Who holds stock for it gives it back.
type PaymentDeclined struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason"`
}

// Type implements Event.
func (PaymentDeclined) Type() string { return "PaymentDeclined" }

// Destination implements Event.
func (PaymentDeclined) Destination() string { return "payment.declined" }

// Key implements Event.
func (e PaymentDeclined) Key() string { return e.OrderID }

// Validate implements Event.
func (e PaymentDeclined) Validate() error { return requireOrder(e.OrderID) }
