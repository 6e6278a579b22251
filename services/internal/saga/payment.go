package saga

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
)

// States of a payment.
const (
	PaymentNone        State = "none"
	PaymentAuthorizing State = "authorizing"
	PaymentHeld        State = "authorized"
	PaymentCapturing   State = "capturing"
	PaymentTaken       State = "captured"
	PaymentReversing   State = "reversing"
	PaymentRefused     State = "declined"
	PaymentVoid        State = "voided"
	PaymentGivenBack   State = "refunded"
)

// What a payment's transitions do to its ledger.
const (
	BookCapture = "book capture"
	BookRefund  = "book refund"
)

// Payment holds the money while an order is open, takes it when the parcel leaves and gives it back when the order fails. The
// gateway is asked by state, not by message: in authorizing, capturing and reversing it is asked again and again until it
// answers, so that a crash forgets nothing. A reversal asks for whatever is right, void or refund: who asks need not know whether
// the capture before got through.
var Payment = &Machine{
	Name: events.GroupPayment, Subject: "payment", Initial: PaymentNone,
	States: []Info{
		{State: PaymentNone, Means: "nothing is known of the order"},
		{State: PaymentAuthorizing, Means: "the gateway is asked to hold the money", Awaits: []Message{AskAuthorize, GiveUp}},
		{State: PaymentHeld, Means: "the bank holds it for us"},
		{State: PaymentCapturing, Means: "the parcel has left; the gateway is asked for the money", Awaits: []Message{AskCapture}},
		{State: PaymentTaken, Means: "the money is ours, unless the parcel comes back"},
		{State: PaymentReversing, Means: "the order has failed; the gateway is asked to give everything back", Awaits: []Message{AskReverse}},
		{State: PaymentRefused, Means: "the bank has said no", Final: true},
		{State: PaymentVoid, Means: "nothing was taken, nothing will be", Final: true},
		{State: PaymentGivenBack, Means: "it was taken, and went back", Final: true},
	},
	Rows: slices.Concat(
		[]Row{
			{From: PaymentNone, On: OrderPlaced, To: PaymentAuthorizing},
			{From: PaymentAuthorizing, On: Authorized, To: PaymentHeld, Emit: PaymentAuthorized},
			{From: PaymentAuthorizing, On: Declined, To: PaymentRefused, Emit: PaymentDeclined},
			{From: PaymentAuthorizing, On: GiveUp, To: PaymentReversing, Emit: PaymentDeclined},
			{From: PaymentHeld, On: ShipmentDispatched, To: PaymentCapturing},
			{From: PaymentCapturing, On: Captured, To: PaymentTaken, Do: BookCapture, Emit: PaymentCaptured},
		},
		each([]State{PaymentNone}, StockRejected, PaymentVoid, "", ""),
		each([]State{PaymentNone}, OrderCancelled, PaymentVoid, "", ""),
		each([]State{PaymentAuthorizing, PaymentHeld}, StockRejected, PaymentReversing, "", ""),
		each([]State{PaymentAuthorizing, PaymentHeld}, OrderCancelled, PaymentReversing, "", ""),
		each([]State{PaymentHeld, PaymentCapturing, PaymentTaken}, ShipmentFailed, PaymentReversing, "", ""),
		[]Row{
			{From: PaymentReversing, On: Voided, To: PaymentVoid, Emit: PaymentVoided},
			{From: PaymentReversing, On: Refunded, To: PaymentGivenBack, Do: BookRefund, Emit: PaymentRefunded},
		},
	),
	Effects: map[string]string{
		BookCapture: "the ledger gets the amount, once",
		BookRefund:  "the ledger gets the amount and its opposite, each once: the news of the capture may have been overtaken",
	},
}

// States of an order's money at the gateway.
const (
	GatewayNone    State = "unknown"
	GatewayHeld    State = "held"
	GatewayTaken   State = "taken"
	GatewayRefused State = "refused"
	GatewayClosed  State = "closed"
	GatewayBack    State = "returned"
)

// Gateway is the payment gateway, which belongs to somebody else and keeps its own books. It knows a payment by its id: a
// request that comes again gets the same answer again and moves no money. A reversal of what it does not know closes it, so
// that a request for money that was under way comes too late.
var Gateway = &Machine{
	Name: "gateway", Subject: "money", Initial: GatewayNone,
	States: []Info{
		{State: GatewayNone, Means: "never heard of"},
		{State: GatewayHeld, Means: "held on the customer's account"},
		{State: GatewayTaken, Means: "on ours"},
		{State: GatewayRefused, Means: "the bank said no", Final: true},
		{State: GatewayClosed, Means: "given up before it was taken", Final: true},
		{State: GatewayBack, Means: "back on the customer's account", Final: true},
	},
	Rows: []Row{
		{From: GatewayNone, On: AskAuthorize, To: GatewayHeld, Emit: Authorized},
		{From: GatewayNone, On: AskAuthorizeRefused, To: GatewayRefused, Emit: Declined},
		{From: GatewayNone, On: AskReverse, To: GatewayClosed, Emit: Voided},
		{From: GatewayHeld, On: AskAuthorize, To: GatewayHeld, Emit: Authorized},
		{From: GatewayHeld, On: AskCapture, To: GatewayTaken, Emit: Captured},
		{From: GatewayHeld, On: AskReverse, To: GatewayClosed, Emit: Voided},
		{From: GatewayTaken, On: AskCapture, To: GatewayTaken, Emit: Captured},
		{From: GatewayTaken, On: AskReverse, To: GatewayBack, Emit: Refunded},
		{From: GatewayRefused, On: AskAuthorizeRefused, To: GatewayRefused, Emit: Declined},
		{From: GatewayRefused, On: AskReverse, To: GatewayRefused, Emit: Voided},
		{From: GatewayClosed, On: AskReverse, To: GatewayClosed, Emit: Voided},
		{From: GatewayBack, On: AskReverse, To: GatewayBack, Emit: Refunded},
	},
}
