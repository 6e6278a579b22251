package events

// OrderCancelled is final: nothing will be shipped. Who holds money or stock for the order gives it back.
type OrderCancelled struct {
	OrderID string `json:"order_id"`
	Reason  string `json:"reason,omitempty"`
}

// Type implements Event.
func (OrderCancelled) Type() string { return "OrderCancelled" }

// Destination implements Event.
func (OrderCancelled) Destination() string { return "order.cancelled" }

// Key implements Event.
func (e OrderCancelled) Key() string { return e.OrderID }

// Validate implements Event.
func (e OrderCancelled) Validate() error { return requireOrder(e.OrderID) }
