package events

import "errors"

// PaymentAuthorized says that the bank holds the amount for us; it is taken when the parcel leaves.
type PaymentAuthorized struct {
	OrderID   string `json:"order_id"`
	PaymentID string `json:"payment_id"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
}

// Type implements Event.
func (PaymentAuthorized) Type() string { return "PaymentAuthorized" }

// Destination implements Event.
func (PaymentAuthorized) Destination() string { return "payment.authorized" }

// Key implements Event.
func (e PaymentAuthorized) Key() string { return e.OrderID }

// Validate implements Event.
func (e PaymentAuthorized) Validate() error {
	return errors.Join(requireOrder(e.OrderID), requireMoney(e.Amount, e.Currency))
}
