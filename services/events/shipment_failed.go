package events

// Undeliverable is the SKU of a product that always comes back, for demonstrations and tests.
const Undeliverable = "SKU-013"

// ShipmentFailed is final: the parcel could not be delivered and came back. Who took money gives it back, who sold goods has them again.
type ShipmentFailed struct {
	OrderID    string `json:"order_id"`
	ShipmentID string `json:"shipment_id"`
	Reason     string `json:"reason"`
}

// Type implements Event.
func (ShipmentFailed) Type() string { return "ShipmentFailed" }

// Destination implements Event.
func (ShipmentFailed) Destination() string { return "shipment.failed" }

// Key implements Event.
func (e ShipmentFailed) Key() string { return e.OrderID }

// Validate implements Event.
func (e ShipmentFailed) Validate() error { return requireOrder(e.OrderID) }
