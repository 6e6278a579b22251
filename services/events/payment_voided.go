package events

// PaymentVoided says that nothing was taken for the order, and nothing will be.
type PaymentVoided struct {
	OrderID   string `json:"order_id"`
	PaymentID string `json:"payment_id"`
}

// Type implements Event.
func (PaymentVoided) Type() string { return "PaymentVoided" }

// Destination implements Event.
func (PaymentVoided) Destination() string { return "payment.voided" }

// Key implements Event.
func (e PaymentVoided) Key() string { return e.OrderID }

// Validate implements Event.
func (e PaymentVoided) Validate() error { return requireOrder(e.OrderID) }
