package saga

// The events, as messages.
const (
	OrderPlaced           Message = "OrderPlaced"
	OrderPlacedShort      Message = "OrderPlaced:short" // to product, when there is not enough on the shelf
	CancellationRequested Message = "OrderCancellationRequested"
	ExpiryRequested       Message = "OrderCancellationRequested:expired"
	OrderCancelled        Message = "OrderCancelled"
	PaymentAuthorized     Message = "PaymentAuthorized"
	PaymentDeclined       Message = "PaymentDeclined"
	PaymentCaptured       Message = "PaymentCaptured"
	PaymentVoided         Message = "PaymentVoided"
	PaymentRefunded       Message = "PaymentRefunded"
	StockReserved         Message = "StockReserved"
	StockRejected         Message = "StockRejected"
	StockExpired          Message = "StockExpired"
	StockReleased         Message = "StockReleased"
	StockReturned         Message = "StockReturned"
	ShipmentDispatched    Message = "ShipmentDispatched"
	ShipmentDelivered     Message = "ShipmentDelivered"
	ShipmentFailed        Message = "ShipmentFailed"
	ShipmentCancelled     Message = "ShipmentCancelled"
	ShipmentExpired       Message = "ShipmentCancelled:expired"
)

// What comes from outside the services.
const (
	Cancel  Message = "customer:cancel"
	Expire  Message = "clock:expire"    // money or goods have not come in time
	GiveUp  Message = "clock:give-up"   // the gateway has not answered in time
	HoldEnd Message = "clock:hold-end"  // goods have been set aside for too long
	Packed  Message = "clock:packed"    // the parcel leaves
	Arrived Message = "carrier:arrived" // at the customer
	Bounced Message = "carrier:bounced" // back at the shop

	// Requests to the gateway. They may come again: who asks does not know whether it was heard.
	AskAuthorize        Message = "payment:authorize"
	AskAuthorizeRefused Message = "payment:authorize:refused" // and the bank says no
	AskCapture          Message = "payment:capture"
	AskReverse          Message = "payment:reverse" // give back whatever is held or taken, and take nothing any more

	// Its answers, which may come late and twice.
	Authorized Message = "gateway:authorized"
	Declined   Message = "gateway:declined"
	Captured   Message = "gateway:captured"
	Voided     Message = "gateway:voided"
	Refunded   Message = "gateway:refunded"
)
