package main

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/shipment/internal/shipment"
)

type shipmentBody struct {
	OrderID   string    `json:"order_id"`
	ID        string    `json:"id"`
	Status    string    `json:"status" enum:"none,paid,reserved,packing,dispatched,delivered,failed,cancelled,expired,abandoned"`
	Reason    string    `json:"reason,omitempty" doc:"Why it was stopped, abandoned or brought back"`
	UpdatedAt time.Time `json:"updated_at"`
}

type shipmentOutput struct{ Body shipmentBody }

// routes registers the API.
func routes(api huma.API, shipments *shipment.Service) {
	huma.Get(api, "/shipments", func(ctx context.Context, in *chassis.PageInput) (*chassis.PageOutput[shipmentBody], error) {
		return chassis.Page(ctx, in, shipments.List, toBody, func(p shipment.Shipment) string { return p.OrderID })
	})
	huma.Get(api, "/shipments/{order_id}", func(ctx context.Context, in *struct {
		OrderID string `path:"order_id"`
	}) (*shipmentOutput, error) {
		p, err := shipments.Get(ctx, in.OrderID)
		if errors.Is(err, shipment.ErrNotFound) {
			return nil, huma.Error404NotFound("no shipment for order " + in.OrderID)
		}
		if err != nil {
			return nil, err
		}
		return &shipmentOutput{Body: toBody(p)}, nil
	})
}

func toBody(p shipment.Shipment) shipmentBody {
	return shipmentBody{OrderID: p.OrderID, ID: p.ID, Status: string(p.State), Reason: p.Reason, UpdatedAt: p.UpdatedAt}
}
