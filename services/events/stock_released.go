package events

// StockReleased says that what was set aside is for sale again.
type StockReleased struct {
	OrderID string `json:"order_id"`
	Items   []Item `json:"items"`
}

// Type implements Event.
func (StockReleased) Type() string { return "StockReleased" }

// Destination implements Event.
func (StockReleased) Destination() string { return "stock.released" }

// Key implements Event.
func (e StockReleased) Key() string { return e.OrderID }

// Validate implements Event.
func (e StockReleased) Validate() error { return requireOrder(e.OrderID) }
