package product

// State of an order's reservation.
type State string

// The states. All but None and Reserved are final.
const (
	None      State = "none"      // nothing has been asked yet
	Reserved  State = "reserved"  // everything ordered is set aside
	Rejected  State = "rejected"  // something was short, nothing is set aside
	Released  State = "released"  // it was set aside, and is for sale again
	Fulfilled State = "fulfilled" // it has left the house
	Voided    State = "voided"    // the order failed before the stock was asked for, and now nothing ever will be set aside
)

// command is what a message asks of a reservation.
type command string

const (
	reserve command = "reserve"
	refuse  command = "refuse" // asked to reserve, but there is not enough
	undo    command = "undo"   // the order failed: leave nothing set aside
	fulfil  command = "fulfil" // the parcel has left
)

// transitions is all that can happen to a reservation. What is not in it changes nothing: messages of different queues come in
// any order, and a compensation may overtake what it compensates.
var transitions = map[State]map[command]State{
	None:      {reserve: Reserved, refuse: Rejected, undo: Voided},
	Reserved:  {undo: Released, fulfil: Fulfilled},
	Rejected:  {},
	Released:  {},
	Fulfilled: {},
	Voided:    {},
}

// effect is what a transition into a state does to each product, per piece ordered.
type effect struct {
	kind            string
	stock, reserved int64
}

var effects = map[State]effect{
	Reserved:  {kind: "reserve", reserved: +1},
	Released:  {kind: "release", reserved: -1},
	Fulfilled: {kind: "ship", stock: -1, reserved: -1},
}
