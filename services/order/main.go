// Command order is the service that takes orders and follows them.
package main

import (
	"context"
	"io"
	"os"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/order/internal/order"
	"github.com/warren-mq/warren/services/order/internal/page"
)

func main() { os.Exit(run.Main("order", serve)) }

// serve puts the service together and runs it until ctx ends.
func serve(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	if done, err := chassis.Command(ctx, cfg.Config, args); done {
		return err
	}
	s, err := chassis.Open(ctx, cfg.Config, order.Migrations(), stderr)
	if err != nil {
		return err
	}
	orders := order.New(s.Core, cfg.Expiry)
	s.Bind(saga.Order, orders.Subscriptions())
	s.Ready["catalogue"] = orders.CatalogueKnown
	routes(s.Server.API, orders, cfg.TraceURL)
	p := page.New(page.Config{
		Orders: orders, Peers: cfg.Peers, Brokers: cfg.Brokers, Console: cfg.Console, Traces: cfg.TraceURL, Failures: s.Failures, Trust: s.Trust, Log: s.Log,
	})
	p.Routes(s.Server.Router)
	return s.Run(ctx, run.Component{Name: "expiry", Run: orders.Expiring}, run.Component{Name: "page", Run: p.Run})
}
