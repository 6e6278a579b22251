package events

// StockReturned says that what could not be delivered is on the shelf again.
type StockReturned struct {
	OrderID string `json:"order_id"`
	Items   []Item `json:"items"`
}

// Type implements Event.
func (StockReturned) Type() string { return "StockReturned" }

// Destination implements Event.
func (StockReturned) Destination() string { return "stock.returned" }

// Key implements Event.
func (e StockReturned) Key() string { return e.OrderID }

// Validate implements Event.
func (e StockReturned) Validate() error { return requireOrder(e.OrderID) }
