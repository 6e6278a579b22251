package events

// StockExpired says that goods have been set aside for longer than they may be. They stay so until shipment, which alone knows whether
// the parcel has left, has decided.
type StockExpired struct {
	OrderID string `json:"order_id"`
}

// Type implements Event.
func (StockExpired) Type() string { return "StockExpired" }

// Destination implements Event.
func (StockExpired) Destination() string { return "stock.expired" }

// Key implements Event.
func (e StockExpired) Key() string { return e.OrderID }

// Validate implements Event.
func (e StockExpired) Validate() error { return requireOrder(e.OrderID) }
