package events

import "errors"

// PaymentCaptured says that the authorized amount has been taken: the parcel is on its way.
type PaymentCaptured struct {
	OrderID   string `json:"order_id"`
	PaymentID string `json:"payment_id"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
}

// Type implements Event.
func (PaymentCaptured) Type() string { return "PaymentCaptured" }

// Destination implements Event.
func (PaymentCaptured) Destination() string { return "payment.captured" }

// Key implements Event.
func (e PaymentCaptured) Key() string { return e.OrderID }

// Validate implements Event.
func (e PaymentCaptured) Validate() error {
	return errors.Join(requireOrder(e.OrderID), requireMoney(e.Amount, e.Currency))
}
