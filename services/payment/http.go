package main

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

type paymentBody struct {
	OrderID   string    `json:"order_id"`
	ID        string    `json:"id"`
	Status    string    `json:"status" enum:"none,authorizing,authorized,capturing,captured,reversing,declined,refunded,voided"`
	Amount    int64     `json:"amount" doc:"In the currency's minor unit"`
	Currency  string    `json:"currency"`
	Reason    string    `json:"reason,omitempty" doc:"Why it was declined or given back"`
	UpdatedAt time.Time `json:"updated_at"`
}

type paymentOutput struct{ Body paymentBody }

// routes registers the API.
func routes(api huma.API, payments *payment.Service) {
	huma.Get(api, "/payments", func(ctx context.Context, in *chassis.PageInput) (*chassis.PageOutput[paymentBody], error) {
		return chassis.Page(ctx, in, payments.List, toBody, func(p payment.Payment) string { return p.OrderID })
	})
	huma.Get(api, "/payments/{order_id}", func(ctx context.Context, in *struct {
		OrderID string `path:"order_id"`
	}) (*paymentOutput, error) {
		p, err := payments.Get(ctx, in.OrderID)
		if errors.Is(err, payment.ErrNotFound) {
			return nil, huma.Error404NotFound("no payment for order " + in.OrderID)
		}
		if err != nil {
			return nil, err
		}
		return &paymentOutput{Body: toBody(p)}, nil
	})
}

func toBody(p payment.Payment) paymentBody {
	return paymentBody{
		OrderID: p.OrderID, ID: p.ID, Status: string(p.State), Amount: p.Amount, Currency: p.Currency, Reason: p.Reason, UpdatedAt: p.UpdatedAt,
	}
}
