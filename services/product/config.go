package main

import (
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

// defaultHold is longer than an order may take to be confirmed.
const defaultHold = 15 * time.Minute

type config struct {
	chassis.Config
	// Hold is how long goods may stay aside for an order: PRODUCT_HOLD.
	Hold time.Duration
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{Config: chassis.Read(e, "product", "8082"), Hold: e.Duration("PRODUCT_HOLD", defaultHold)}
	return cfg, e.Err()
}
