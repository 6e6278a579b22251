package events

// StockReserved says that everything ordered is set aside.
type StockReserved struct {
	OrderID string `json:"order_id"`
	Items   []Item `json:"items"`
}

// Type implements Event.
func (StockReserved) Type() string { return "StockReserved" }

// Destination implements Event.
func (StockReserved) Destination() string { return "stock.reserved" }

// Key implements Event.
func (e StockReserved) Key() string { return e.OrderID }

// Validate implements Event.
func (e StockReserved) Validate() error { return requireOrder(e.OrderID) }
