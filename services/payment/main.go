// Command payment is the service that takes money for orders.
package main

import (
	"context"
	"io"
	"os"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/payment/internal/gateway"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

func main() { os.Exit(run.Main("payment", serve)) }

// serve puts the service together and runs it until ctx ends.
func serve(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	if done, err := chassis.Command(ctx, cfg.Config, args); done {
		return err
	}
	s, err := chassis.Open(ctx, cfg.Config, payment.Migrations(), stderr)
	if err != nil {
		return err
	}
	payments := payment.New(s.Core, gateway.New(s.DB, s.Failures), cfg.Patience)
	s.Bind(saga.Payment, payments.Subscriptions())
	routes(s.Server.API, payments)
	return s.Run(ctx, run.Component{Name: "gateway", Run: payments.Asking})
}
