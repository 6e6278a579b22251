package events

// Groups of the services; their queues are <destination>.<group>.
const (
	GroupOrder    = "order"
	GroupPayment  = "payment"
	GroupProduct  = "product"
	GroupShipment = "shipment"
)

// All returns an empty event of every type.
func All() []Event {
	return []Event{
		ProductListed{},
		OrderPlaced{}, OrderCancellationRequested{}, OrderCancelled{},
		PaymentAuthorized{}, PaymentDeclined{}, PaymentCaptured{}, PaymentVoided{}, PaymentRefunded{},
		StockReserved{}, StockRejected{}, StockExpired{}, StockReleased{}, StockReturned{},
		ShipmentDispatched{}, ShipmentDelivered{}, ShipmentFailed{}, ShipmentCancelled{},
	}
}
