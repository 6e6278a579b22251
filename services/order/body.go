package main

import (
	"time"

	"github.com/warren-mq/warren/services/order/internal/order"
)

type itemBody struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price" doc:"In the currency's minor unit"`
	Amount    int64  `json:"amount" doc:"quantity × unit_price"`
}

type orderBody struct {
	ID                    string     `json:"id"`
	CustomerID            string     `json:"customer_id"`
	Status                string     `json:"status" enum:"pending,confirmed,cancelling,shipped,delivered,returned,rejected,cancelled,expired"`
	Reason                string     `json:"reason,omitempty" doc:"Why it ended without a delivery"`
	CancellationRequested bool       `json:"cancellation_requested,omitempty"`
	Currency              string     `json:"currency"`
	Total                 int64      `json:"total" doc:"In the currency's minor unit"`
	Items                 []itemBody `json:"items"`
	PlacedAt              time.Time  `json:"placed_at"`
	UpdatedAt             time.Time  `json:"updated_at"`
	TraceID               string     `json:"trace_id,omitempty" doc:"Of the request that placed it"`
	Trace                 string     `json:"trace,omitempty" doc:"Where that trace can be looked at"`
}

type entryBody struct {
	Seq    int64     `json:"seq"`
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
	Status string    `json:"status" doc:"Of the order, afterwards"`
	Detail string    `json:"detail,omitempty"`
}

func (a api) toBody(o order.Order) orderBody {
	b := orderBody{
		ID: o.ID, CustomerID: o.CustomerID, Status: string(o.Status()), Reason: o.Reason, CancellationRequested: !o.CancelAt.IsZero(),
		Currency: o.Currency, Total: o.Total, Items: make([]itemBody, 0, len(o.Items)), PlacedAt: o.PlacedAt, UpdatedAt: o.UpdatedAt, TraceID: o.TraceID,
	}
	if a.traceURL != "" && o.TraceID != "" {
		b.Trace = a.traceURL + "/trace/" + o.TraceID
	}
	for _, it := range o.Items {
		b.Items = append(b.Items, itemBody{
			SKU: it.SKU, Name: it.Name, Quantity: it.Quantity, UnitPrice: it.UnitPrice, Amount: it.Quantity * it.UnitPrice,
		})
	}
	return b
}

func toEntry(e order.Entry) entryBody {
	return entryBody{Seq: e.Seq, At: e.At, Event: e.Event, Status: string(e.Status), Detail: e.Detail}
}
