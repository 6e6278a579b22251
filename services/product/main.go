// Command product is the service that keeps the catalogue and the stock.
package main

import (
	"context"
	"io"
	"os"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/product/internal/product"
)

func main() { os.Exit(run.Main("product", serve)) }

// serve puts the service together and runs it until ctx ends.
func serve(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	if done, err := chassis.Command(ctx, cfg.Config, args); done {
		return err
	}
	s, err := chassis.Open(ctx, cfg.Config, product.Migrations(), stderr)
	if err != nil {
		return err
	}
	products := product.New(s.Core, cfg.Hold)
	s.Bind(saga.Stock, products.Subscriptions(), events.ProductListed{}.Destination())
	routes(s.Server.API, products)
	seed := func(ctx context.Context) error { return products.Seed(ctx, int64(cfg.StockTimes)) }
	return s.Run(ctx, run.Component{Name: "catalogue", Start: seed}, run.Component{Name: "holds", Run: products.Expiring})
}
