package saga

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
)

// States of the goods of an order.
const (
	StockNone      State = "none"
	StockHeld      State = "reserved"
	StockExpiring  State = "expiring"
	StockRefused   State = "rejected"
	StockFreed     State = "released"
	StockFulfilled State = "fulfilled"
	StockBack      State = "returned"
	StockVoid      State = "voided"
)

// What a reservation's transitions do to the shelves and their ledger.
const (
	Reserve = "reserve"
	Release = "release"
	Ship    = "ship"
	Restock = "restock"
)

// Stock sets goods aside for an order, takes them off the shelf when the parcel leaves and has them again when the order fails. A
// hold that has run out is not released by the clock: the parcel may be leaving this moment. Shipment is asked, as for a
// cancellation, and the goods stay aside until it has decided.
var Stock = &Machine{
	Name: events.GroupProduct, Subject: "reservation", Initial: StockNone,
	States: []Info{
		{State: StockNone, Means: "nothing is known of the order"},
		{State: StockHeld, Means: "everything ordered is set aside", Awaits: []Message{HoldEnd}},
		{State: StockExpiring, Means: "set aside for too long; shipment decides"},
		{State: StockFulfilled, Means: "gone with the parcel, unless it comes back"},
		{State: StockRefused, Means: "something was short, nothing is set aside", Final: true},
		{State: StockFreed, Means: "it was set aside, and is for sale again", Final: true},
		{State: StockBack, Means: "it was gone, and is on the shelf again", Final: true},
		{State: StockVoid, Means: "the order failed before; nothing ever will be set aside", Final: true},
	},
	Rows: slices.Concat(
		[]Row{
			{From: StockNone, On: OrderPlaced, To: StockHeld, Do: Reserve, Emit: StockReserved},
			{From: StockNone, On: OrderPlacedShort, To: StockRefused, Emit: StockRejected},
			{From: StockNone, On: PaymentDeclined, To: StockVoid},
			{From: StockNone, On: OrderCancelled, To: StockVoid},
			{From: StockHeld, On: HoldEnd, To: StockExpiring, Emit: StockExpired},
		},
		each([]State{StockHeld, StockExpiring}, PaymentDeclined, StockFreed, Release, StockReleased),
		each([]State{StockHeld, StockExpiring}, OrderCancelled, StockFreed, Release, StockReleased),
		each([]State{StockHeld, StockExpiring}, ShipmentDispatched, StockFulfilled, Ship, ""),
		// The parcel came back before it was heard that it had left: for the shelves it never did.
		each([]State{StockHeld, StockExpiring}, ShipmentFailed, StockFreed, Release, StockReleased),
		each([]State{StockFulfilled}, ShipmentFailed, StockBack, Restock, StockReturned),
	),
	Effects: map[string]string{
		Reserve: "reserved + n", Release: "reserved − n", Ship: "stock − n, reserved − n", Restock: "stock + n",
	},
}
