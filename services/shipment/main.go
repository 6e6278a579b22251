// Command shipment is the service that sends parcels.
package main

import (
	"context"
	"io"
	"os"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/shipment/internal/shipment"
)

func main() { os.Exit(run.Main("shipment", serve)) }

// serve puts the service together and runs it until ctx ends.
func serve(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	if done, err := chassis.Command(ctx, cfg.Config, args); done {
		return err
	}
	s, err := chassis.Open(ctx, cfg.Config, shipment.Migrations(), stderr)
	if err != nil {
		return err
	}
	shipments := shipment.New(s.Core, cfg.Packing, cfg.Delivery)
	s.Bind(saga.Shipment, shipments.Subscriptions())
	routes(s.Server.API, shipments)
	return s.Run(ctx, run.Component{Name: "parcels", Run: shipments.Moving})
}
