package events

import "time"

// ShipmentDelivered is final: the customer has the parcel.
type ShipmentDelivered struct {
	OrderID     string    `json:"order_id"`
	ShipmentID  string    `json:"shipment_id"`
	DeliveredAt time.Time `json:"delivered_at"`
}

// Type implements Event.
func (ShipmentDelivered) Type() string { return "ShipmentDelivered" }

// Destination implements Event.
func (ShipmentDelivered) Destination() string { return "shipment.delivered" }

// Key implements Event.
func (e ShipmentDelivered) Key() string { return e.OrderID }

// Validate implements Event.
func (e ShipmentDelivered) Validate() error { return requireOrder(e.OrderID) }
