package saga

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
)

// States of an order.
const (
	OrderNew       State = "placed"
	OrderPaid      State = "paid"
	OrderReserved  State = "reserved"
	OrderConfirmed State = "confirmed"
	OrderStopping  State = "stopping"
	OrderShipped   State = "shipped"
	OrderDelivered State = "delivered"
	OrderReturned  State = "returned"
	OrderRejected  State = "rejected"
	OrderStopped   State = "cancelled"
	OrderExpired   State = "expired"
)

// Order follows what the others decide and stops an order that the customer, or the clock, wants stopped. It compensates nothing
// itself: who holds money or goods hears of a failure directly. A cancellation alone goes through here, when shipment has said
// that there was time, and OrderCancelled tells the others. News may be overtaken: a delivery ends an order of whose dispatch
// nothing was heard yet.
var Order = &Machine{
	Name: events.GroupOrder, Subject: "order", Initial: OrderNew,
	States: []Info{
		{State: OrderNew, Means: "neither money nor goods yet", Awaits: []Message{Expire}},
		{State: OrderPaid, Means: "the bank holds the money", Awaits: []Message{Expire}},
		{State: OrderReserved, Means: "the goods are set aside", Awaits: []Message{Expire}},
		{State: OrderConfirmed, Means: "both are"},
		{State: OrderStopping, Means: "shipment has been asked to stop; it knows whether there is time"},
		{State: OrderShipped, Means: "the parcel has left"},
		{State: OrderDelivered, Means: "the customer has it", Final: true},
		{State: OrderReturned, Means: "it could not be delivered: goods and money go back", Final: true},
		{State: OrderRejected, Means: "money or goods will never be there", Final: true},
		{State: OrderStopped, Means: "by the customer, in time", Final: true},
		{State: OrderExpired, Means: "by the clock: money, goods or parcel took too long", Final: true},
	},
	Rows: slices.Concat(
		[]Row{
			{From: OrderNew, On: PaymentAuthorized, To: OrderPaid},
			{From: OrderNew, On: StockReserved, To: OrderReserved},
			{From: OrderPaid, On: StockReserved, To: OrderConfirmed},
			{From: OrderReserved, On: PaymentAuthorized, To: OrderConfirmed},
		},
		each([]State{OrderNew, OrderPaid, OrderReserved, OrderConfirmed}, Cancel, OrderStopping, "", CancellationRequested),
		each([]State{OrderNew, OrderPaid, OrderReserved}, Expire, OrderStopping, "", ExpiryRequested),
		each([]State{OrderNew, OrderReserved, OrderStopping}, PaymentDeclined, OrderRejected, "", ""),
		each([]State{OrderNew, OrderPaid, OrderStopping}, StockRejected, OrderRejected, "", ""),
		each([]State{OrderStopping}, ShipmentCancelled, OrderStopped, "", OrderCancelled),
		each([]State{OrderNew, OrderPaid, OrderReserved, OrderConfirmed, OrderStopping}, ShipmentExpired, OrderExpired, "", OrderCancelled),
		each([]State{OrderNew, OrderPaid, OrderReserved, OrderConfirmed, OrderStopping}, ShipmentDispatched, OrderShipped, "", ""),
		each([]State{OrderNew, OrderPaid, OrderReserved, OrderConfirmed, OrderStopping, OrderShipped}, ShipmentDelivered, OrderDelivered, "", ""),
		each([]State{OrderNew, OrderPaid, OrderReserved, OrderConfirmed, OrderStopping, OrderShipped}, ShipmentFailed, OrderReturned, "", ""),
	),
	Notes: []Message{PaymentCaptured, PaymentVoided, PaymentRefunded, StockExpired, StockReleased, StockReturned},
}
