package saga

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
)

// States of a shipment.
const (
	ShipmentNone      State = "none"
	ShipmentPaid      State = "paid"
	ShipmentReserved  State = "reserved"
	ShipmentPacking   State = "packing"
	ShipmentGone      State = "dispatched"
	ShipmentArrived   State = "delivered"
	ShipmentBack      State = "failed"
	ShipmentStopped   State = "cancelled"
	ShipmentLapsed    State = "expired"
	ShipmentAbandoned State = "abandoned"
)

// Shipment sends the parcel once money and goods are there. Leaving and stopping meet here and nowhere else: whichever comes
// first in this table decides for the whole system.
var Shipment = &Machine{
	Name: events.GroupShipment, Subject: "shipment", Initial: ShipmentNone,
	States: []Info{
		{State: ShipmentNone, Means: "nothing is known of the order"},
		{State: ShipmentPaid, Means: "the money is there, the goods are not"},
		{State: ShipmentReserved, Means: "the goods are there, the money is not"},
		{State: ShipmentPacking, Means: "both are; the parcel leaves when it is packed", Awaits: []Message{Packed}},
		{State: ShipmentGone, Means: "it is with the carrier", Awaits: []Message{Arrived, Bounced}},
		{State: ShipmentArrived, Means: "the customer has it", Final: true},
		{State: ShipmentBack, Means: "it could not be delivered and came back", Final: true},
		{State: ShipmentStopped, Means: "the customer changed their mind in time", Final: true},
		{State: ShipmentLapsed, Means: "the clock stopped it in time", Final: true},
		{State: ShipmentAbandoned, Means: "money or goods will never come", Final: true},
	},
	Rows: slices.Concat(
		[]Row{
			{From: ShipmentNone, On: PaymentAuthorized, To: ShipmentPaid},
			{From: ShipmentNone, On: StockReserved, To: ShipmentReserved},
			{From: ShipmentPaid, On: StockReserved, To: ShipmentPacking},
			{From: ShipmentReserved, On: PaymentAuthorized, To: ShipmentPacking},
			{From: ShipmentPacking, On: Packed, To: ShipmentGone, Emit: ShipmentDispatched},
			{From: ShipmentGone, On: Arrived, To: ShipmentArrived, Emit: ShipmentDelivered},
			{From: ShipmentGone, On: Bounced, To: ShipmentBack, Emit: ShipmentFailed},
		},
		each([]State{ShipmentNone, ShipmentReserved}, PaymentDeclined, ShipmentAbandoned, "", ""),
		each([]State{ShipmentNone, ShipmentPaid}, StockRejected, ShipmentAbandoned, "", ""),
		each([]State{ShipmentNone, ShipmentPaid, ShipmentReserved, ShipmentPacking}, CancellationRequested, ShipmentStopped, "", ShipmentCancelled),
		each([]State{ShipmentNone, ShipmentPaid, ShipmentReserved, ShipmentPacking}, ExpiryRequested, ShipmentLapsed, "", ShipmentExpired),
		each([]State{ShipmentNone, ShipmentPaid, ShipmentReserved, ShipmentPacking}, StockExpired, ShipmentLapsed, "", ShipmentExpired),
	),
}
