package main

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/product/internal/product"
)

type productBody struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Price     int64  `json:"price" doc:"In the currency's minor unit"`
	Currency  string `json:"currency"`
	Stock     int64  `json:"stock" doc:"Pieces in the house"`
	Reserved  int64  `json:"reserved" doc:"Of these, set aside for orders"`
	Available int64  `json:"available" doc:"Stock that is not set aside"`
}

type productOutput struct{ Body productBody }

// routes registers the API.
func routes(api huma.API, products *product.Service) {
	huma.Get(api, "/products", func(ctx context.Context, in *chassis.PageInput) (*chassis.PageOutput[productBody], error) {
		return chassis.Page(ctx, in, products.List, toBody, func(p product.Product) string { return p.SKU })
	})
	huma.Get(api, "/products/{sku}", func(ctx context.Context, in *struct {
		SKU string `path:"sku"`
	}) (*productOutput, error) {
		p, err := products.Get(ctx, in.SKU)
		if errors.Is(err, product.ErrNotFound) {
			return nil, huma.Error404NotFound("no product " + in.SKU)
		}
		if err != nil {
			return nil, err
		}
		return &productOutput{Body: toBody(p)}, nil
	})
}

func toBody(p product.Product) productBody {
	return productBody{
		SKU: p.SKU, Name: p.Name, Price: p.Price, Currency: p.Currency, Stock: p.Stock, Reserved: p.Reserved, Available: p.Stock - p.Reserved,
	}
}
