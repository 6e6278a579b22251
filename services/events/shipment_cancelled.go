package events

// ShipmentCancelled answers OrderCancellationRequested or StockExpired: there was time, the parcel will never leave.
type ShipmentCancelled struct {
	OrderID string `json:"order_id"`
	// Cause is that of the request which came first.
	Cause string `json:"cause,omitempty"`
}

// Type implements Event.
func (ShipmentCancelled) Type() string { return "ShipmentCancelled" }

// Destination implements Event.
func (ShipmentCancelled) Destination() string { return "shipment.cancelled" }

// Key implements Event.
func (e ShipmentCancelled) Key() string { return e.OrderID }

// Validate implements Event.
func (e ShipmentCancelled) Validate() error { return requireOrder(e.OrderID) }
