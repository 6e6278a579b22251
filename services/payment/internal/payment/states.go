package payment

// State of a payment.
type State string

// The states. All but None and Authorized are final; Authorized is, too, once the order has been shipped.
const (
	None       State = "none"       // nothing has been asked yet
	Authorized State = "authorized" // the money is ours
	Declined   State = "declined"   // it never will be
	Refunded   State = "refunded"   // it was, and went back
	Voided     State = "voided"     // the order failed before the money was asked for, and now it never will be
)

// command is what a message asks of a payment.
type command string

const (
	authorize command = "authorize"
	decline   command = "decline"
	undo      command = "undo" // the order failed: leave no money taken
)

// transitions is all that can happen to a payment. What is not in it changes nothing: messages of different queues come in any
// order, and a compensation may overtake what it compensates.
var transitions = map[State]map[command]State{
	None:       {authorize: Authorized, decline: Declined, undo: Voided},
	Authorized: {undo: Refunded},
	Declined:   {},
	Refunded:   {},
	Voided:     {},
}
