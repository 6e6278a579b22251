package events

// Groups of the services; their queues are <destination>.<group>.
const (
	GroupOrder    = "order"
	GroupPayment  = "payment"
	GroupProduct  = "product"
	GroupShipment = "shipment"
)

// subscribers is the choreography on one page: who acts on what.
var subscribers = map[string][]string{
	ProductListed{}.Destination():              {GroupOrder},
	OrderPlaced{}.Destination():                {GroupPayment, GroupProduct},
	PaymentAuthorized{}.Destination():          {GroupOrder, GroupShipment},
	PaymentDeclined{}.Destination():            {GroupOrder, GroupProduct, GroupShipment},
	PaymentRefunded{}.Destination():            {GroupOrder},
	StockReserved{}.Destination():              {GroupOrder, GroupShipment},
	StockRejected{}.Destination():              {GroupOrder, GroupPayment, GroupShipment},
	StockReleased{}.Destination():              {GroupOrder},
	OrderCancellationRequested{}.Destination(): {GroupShipment},
	ShipmentCancelled{}.Destination():          {GroupOrder},
	OrderCancelled{}.Destination():             {GroupPayment, GroupProduct},
	ShipmentDispatched{}.Destination():         {GroupOrder, GroupProduct},
}

// Subscribers returns the groups that act on a destination's events. A publisher declares their queues, so that an event waits
// for a service that was never started yet instead of passing it by.
func Subscribers(destination string) []string {
	return append([]string(nil), subscribers[destination]...)
}
