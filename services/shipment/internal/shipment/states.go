package shipment

// State of an order's shipment.
type State string

// The states. The last three are final.
const (
	None       State = "none"       // nothing is known yet
	Paid       State = "paid"       // the money is there, the goods are not
	Reserved   State = "reserved"   // the goods are there, the money is not
	Packing    State = "packing"    // both are; the parcel leaves when it is packed
	Dispatched State = "dispatched" // it has left
	Cancelled  State = "cancelled"  // the customer changed their mind in time
	Abandoned  State = "abandoned"  // money or goods will never come
)

// command is what a message, or the clock, asks of a shipment.
type command string

const (
	pay      command = "pay"
	reserve  command = "reserve"
	fail     command = "fail"
	cancel   command = "cancel"
	dispatch command = "dispatch" // the clock: the parcel is packed
)

// transitions is all that can happen to a shipment. What is not in it changes nothing. Dispatch and cancel meet here and nowhere
// else: whichever comes first in this table's row decides for the whole system.
var transitions = map[State]map[command]State{
	None:       {pay: Paid, reserve: Reserved, fail: Abandoned, cancel: Cancelled},
	Paid:       {reserve: Packing, fail: Abandoned, cancel: Cancelled},
	Reserved:   {pay: Packing, fail: Abandoned, cancel: Cancelled},
	Packing:    {dispatch: Dispatched, cancel: Cancelled},
	Dispatched: {},
	Cancelled:  {},
	Abandoned:  {},
}
