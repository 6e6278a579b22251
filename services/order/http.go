package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// api answers requests.
type api struct {
	orders   *order.Service
	traceURL string
}

type placeInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"The same request with the same key places one order and gets the same answer, for a day"`
	Body           struct {
		CustomerID string `json:"customer_id" minLength:"1" maxLength:"64" example:"c-1"`
		Currency   string `json:"currency" pattern:"^[A-Z]{3}$" patternDescription:"ISO 4217 code, like EUR" example:"EUR"`
		Items      []struct {
			SKU      string `json:"sku" minLength:"1" maxLength:"64" example:"SKU-001"`
			Quantity int64  `json:"quantity" minimum:"1" maximum:"1000" example:"2"`
		} `json:"items" minItems:"1" maxItems:"50" nullable:"false"`
	}
}

type placeOutput struct {
	Location string `header:"Location"`
	Replayed string `header:"Idempotency-Replayed" doc:"true when the answer was given before"`
	Body     orderBody
}

type orderInput struct {
	ID string `path:"id"`
}

type orderOutput struct {
	Status int
	Body   orderBody
}

type timelineOutput struct {
	Body struct {
		Items []entryBody `json:"items"`
	}
}

type listInput struct {
	chassis.PageInput
	Status string `query:"status" enum:"pending,confirmed,cancelling,shipped,delivered,returned,rejected,cancelled,expired"`
}

// routes registers the API.
func routes(h huma.API, orders *order.Service, traceURL string) {
	a := api{orders: orders, traceURL: strings.TrimRight(traceURL, "/")}
	huma.Register(h, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: "/orders", DefaultStatus: http.StatusCreated, Summary: "Place an order",
		Errors: []int{http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}, a.place)
	huma.Register(h, huma.Operation{OperationID: "get-order", Method: http.MethodGet, Path: "/orders/{id}", Summary: "Get an order", Errors: []int{http.StatusNotFound}}, a.get)
	huma.Register(h, huma.Operation{OperationID: "list-orders", Method: http.MethodGet, Path: "/orders", Summary: "List orders, the newest first"}, a.list)
	huma.Register(h, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: "/orders/{id}/cancel", DefaultStatus: http.StatusAccepted, Summary: "Ask for an order to be cancelled",
		Description: "202: asked for; the order's status becomes cancelled unless its parcel leaves first. 200: it was stopped already.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, a.cancel)
	huma.Register(h, huma.Operation{
		OperationID: "get-timeline", Method: http.MethodGet, Path: "/orders/{id}/timeline", Summary: "What happened to an order", Errors: []int{http.StatusNotFound},
	}, a.timeline)
	huma.Register(h, huma.Operation{
		OperationID: "follow-order", Method: http.MethodGet, Path: "/orders/{id}/events", Summary: "Follow an order's timeline as server-sent events", Errors: []int{http.StatusNotFound},
		Responses: map[string]*huma.Response{"200": {Description: "One event per line of the timeline", Content: map[string]*huma.MediaType{eventStreamType: {}}}},
	}, a.follow)
}

func (a api) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	r := order.Request{CustomerID: in.Body.CustomerID, Currency: in.Body.Currency}
	for _, it := range in.Body.Items {
		r.Items = append(r.Items, events.Item{SKU: it.SKU, Quantity: it.Quantity})
	}
	o, replayed, err := a.orders.Place(ctx, in.IdempotencyKey, r)
	if err != nil {
		return nil, problem(err, "")
	}
	out := &placeOutput{Location: "/orders/" + o.ID, Body: a.toBody(o)}
	if replayed {
		out.Replayed = "true"
	}
	return out, nil
}

func (a api) get(ctx context.Context, in *orderInput) (*orderOutput, error) {
	o, err := a.orders.Get(ctx, in.ID)
	if err != nil {
		return nil, problem(err, in.ID)
	}
	return &orderOutput{Status: http.StatusOK, Body: a.toBody(o)}, nil
}

func (a api) list(ctx context.Context, in *listInput) (*chassis.PageOutput[orderBody], error) {
	list := func(ctx context.Context, after string, limit int) ([]order.Order, error) {
		return a.orders.List(ctx, order.Status(in.Status), after, limit)
	}
	return chassis.Page(ctx, &in.PageInput, list, a.toBody, func(o order.Order) string { return o.ID })
}

func (a api) cancel(ctx context.Context, in *orderInput) (*orderOutput, error) {
	o, err := a.orders.Cancel(ctx, in.ID, "asked for by the customer")
	if errors.Is(err, order.ErrTooLate) {
		return nil, huma.Error409Conflict(fmt.Sprintf("order %s is %s and can no longer be cancelled", in.ID, o.Status()))
	}
	if err != nil {
		return nil, problem(err, in.ID)
	}
	out := &orderOutput{Status: http.StatusAccepted, Body: a.toBody(o)}
	if o.Status() != order.StatusCancelling {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (a api) timeline(ctx context.Context, in *orderInput) (*timelineOutput, error) {
	if _, err := a.orders.Get(ctx, in.ID); err != nil {
		return nil, problem(err, in.ID)
	}
	entries, err := a.orders.Timeline(ctx, in.ID, 0)
	if err != nil {
		return nil, err
	}
	out := &timelineOutput{}
	out.Body.Items = make([]entryBody, 0, len(entries))
	for _, e := range entries {
		out.Body.Items = append(out.Body.Items, toEntry(e))
	}
	return out, nil
}

// problem is the one table from the domain's errors to HTTP's.
func problem(err error, id string) error {
	var invalid order.ItemErrors
	switch {
	case errors.Is(err, order.ErrNotFound):
		return huma.Error404NotFound("no order " + id)
	case errors.Is(err, order.ErrKeyReused):
		return huma.Error422UnprocessableEntity("this Idempotency-Key came before with another request; a new request needs a new key")
	case errors.As(err, &invalid):
		details := make([]error, 0, len(invalid))
		for _, m := range invalid {
			details = append(details, &huma.ErrorDetail{
				Message: m.Reason, Location: fmt.Sprintf("body.items[%d].%s", m.Index, m.Field), Value: m.Value,
			})
		}
		return huma.Error422UnprocessableEntity(fmt.Sprintf("%s: %v", invalid[0].Reason, invalid[0].Value), details...)
	}
	return err
}
