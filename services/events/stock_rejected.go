package events

// StockRejected is final: SKU cannot be supplied, nothing is set aside. Who holds money for the order gives it back.
type StockRejected struct {
	OrderID string `json:"order_id"`
	SKU     string `json:"sku"`
	Reason  string `json:"reason"`
}

// Type implements Event.
func (StockRejected) Type() string { return "StockRejected" }

// Destination implements Event.
func (StockRejected) Destination() string { return "stock.rejected" }

// Key implements Event.
func (e StockRejected) Key() string { return e.OrderID }

// Validate implements Event.
func (e StockRejected) Validate() error { return requireOrder(e.OrderID) }
