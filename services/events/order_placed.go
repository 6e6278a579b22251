package events

import (
	"errors"
	"time"
)

// OrderPlaced begins everything: payment asks for the money, product sets the goods aside.
type OrderPlaced struct {
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	Currency   string       `json:"currency"`
	Items      []PricedItem `json:"items"`
	Total      int64        `json:"total"`
	PlacedAt   time.Time    `json:"placed_at"`
}

// Type implements Event.
func (OrderPlaced) Type() string { return "OrderPlaced" }

// Destination implements Event.
func (OrderPlaced) Destination() string { return "order.placed" }

// Key implements Event.
func (e OrderPlaced) Key() string { return e.OrderID }

// Validate implements Event.
func (e OrderPlaced) Validate() error {
	return errors.Join(requireOrder(e.OrderID), requireMoney(e.Total, e.Currency), requireItems(e.Items))
}
