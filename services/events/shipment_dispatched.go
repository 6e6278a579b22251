package events

import "time"

// ShipmentDispatched says that the parcel has left. From here on nobody can cancel.
type ShipmentDispatched struct {
	OrderID      string    `json:"order_id"`
	ShipmentID   string    `json:"shipment_id"`
	DispatchedAt time.Time `json:"dispatched_at"`
}

// Type implements Event.
func (ShipmentDispatched) Type() string { return "ShipmentDispatched" }

// Destination implements Event.
func (ShipmentDispatched) Destination() string { return "shipment.dispatched" }

// Key implements Event.
func (e ShipmentDispatched) Key() string { return e.OrderID }

// Validate implements Event.
func (e ShipmentDispatched) Validate() error { return requireOrder(e.OrderID) }
