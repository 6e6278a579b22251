package events

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// The wire form of every event. Add to it; a line that changes breaks somebody.
func TestWireForm(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	items := []Item{{SKU: "S", Quantity: 2}}
	unseen := map[string]bool{}
	for _, e := range All() {
		unseen[e.Type()] = true
	}
	for _, c := range []struct {
		e    Event
		name string
		want string
	}{
		{ProductListed{SKU: "S", Name: "N", Price: 5, Currency: "EUR", Revision: 1, Entries: 9}, "product.listed", `{"sku":"S","name":"N","price":5,"currency":"EUR","revision":1,"entries":9}`},
		{
			OrderPlaced{OrderID: "o", CustomerID: "c", Currency: "EUR", Items: []PricedItem{{SKU: "S", Quantity: 2, UnitPrice: 5}}, Total: 10, PlacedAt: at}, "order.placed",
			`{"order_id":"o","customer_id":"c","currency":"EUR","items":[{"sku":"S","quantity":2,"unit_price":5}],"total":10,"placed_at":"2026-01-02T03:04:05Z"}`,
		},
		{OrderCancellationRequested{OrderID: "o", Reason: "r"}, "order.cancellation-requested", `{"order_id":"o","reason":"r"}`},
		{OrderCancelled{OrderID: "o", Reason: "r"}, "order.cancelled", `{"order_id":"o","reason":"r"}`},
		{PaymentAuthorized{OrderID: "o", PaymentID: "p", Amount: 10, Currency: "EUR"}, "payment.authorized", `{"order_id":"o","payment_id":"p","amount":10,"currency":"EUR"}`},
		{PaymentDeclined{OrderID: "o", Reason: "r"}, "payment.declined", `{"order_id":"o","reason":"r"}`},
		{PaymentRefunded{OrderID: "o", PaymentID: "p", Amount: 10, Currency: "EUR"}, "payment.refunded", `{"order_id":"o","payment_id":"p","amount":10,"currency":"EUR"}`},
		{StockReserved{OrderID: "o", Items: items}, "stock.reserved", `{"order_id":"o","items":[{"sku":"S","quantity":2}]}`},
		{StockRejected{OrderID: "o", SKU: "S", Reason: "r"}, "stock.rejected", `{"order_id":"o","sku":"S","reason":"r"}`},
		{StockReleased{OrderID: "o", Items: items}, "stock.released", `{"order_id":"o","items":[{"sku":"S","quantity":2}]}`},
		{ShipmentDispatched{OrderID: "o", ShipmentID: "s", DispatchedAt: at}, "shipment.dispatched", `{"order_id":"o","shipment_id":"s","dispatched_at":"2026-01-02T03:04:05Z"}`},
		{ShipmentCancelled{OrderID: "o"}, "shipment.cancelled", `{"order_id":"o"}`},
		{ShipmentCancelled{OrderID: "o", Cause: CauseExpired}, "shipment.cancelled", `{"order_id":"o","cause":"expired"}`},
		{OrderCancellationRequested{OrderID: "o", Cause: CauseExpired}, "order.cancellation-requested", `{"order_id":"o","cause":"expired"}`},
		{PaymentCaptured{OrderID: "o", PaymentID: "p", Amount: 10, Currency: "EUR"}, "payment.captured", `{"order_id":"o","payment_id":"p","amount":10,"currency":"EUR"}`},
		{PaymentVoided{OrderID: "o", PaymentID: "p"}, "payment.voided", `{"order_id":"o","payment_id":"p"}`},
		{StockExpired{OrderID: "o"}, "stock.expired", `{"order_id":"o"}`},
		{StockReturned{OrderID: "o", Items: items}, "stock.returned", `{"order_id":"o","items":[{"sku":"S","quantity":2}]}`},
		{ShipmentDelivered{OrderID: "o", ShipmentID: "s", DeliveredAt: at}, "shipment.delivered", `{"order_id":"o","shipment_id":"s","delivered_at":"2026-01-02T03:04:05Z"}`},
		{ShipmentFailed{OrderID: "o", ShipmentID: "s", Reason: "r"}, "shipment.failed", `{"order_id":"o","shipment_id":"s","reason":"r"}`},
	} {
		delete(unseen, c.e.Type())
		got, err := json.Marshal(c.e)
		if err != nil || string(got) != c.want || c.e.Destination() != c.name {
			t.Errorf("%s %s %v, want %s %s", c.e.Destination(), got, err, c.name, c.want)
		}
		if c.e.Type() != reflect.TypeOf(c.e).Name() || c.e.Key() == "" || c.e.Validate() != nil {
			t.Errorf("%T: type %q, key %q, %v", c.e, c.e.Type(), c.e.Key(), c.e.Validate())
		}
		empty := reflect.Zero(reflect.TypeOf(c.e)).Interface().(Event)
		if empty.Validate() == nil {
			t.Errorf("%T: nothing is missing in an empty one", c.e)
		}
	}
	if len(unseen) > 0 {
		t.Errorf("no wire form is fixed for %v", unseen)
	}
}
