package events

import "errors"

// PaymentRefunded says that an amount that was taken has gone back to the customer.
type PaymentRefunded struct {
	OrderID   string `json:"order_id"`
	PaymentID string `json:"payment_id"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
}

// Type implements Event.
func (PaymentRefunded) Type() string { return "PaymentRefunded" }

// Destination implements Event.
func (PaymentRefunded) Destination() string { return "payment.refunded" }

// Key implements Event.
func (e PaymentRefunded) Key() string { return e.OrderID }

// Validate implements Event.
func (e PaymentRefunded) Validate() error {
	return errors.Join(requireOrder(e.OrderID), requireMoney(e.Amount, e.Currency))
}
