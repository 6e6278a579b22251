package main

import (
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

const defaultExpiry = 5 * time.Minute

type config struct {
	chassis.Config
	// Expiry is how long money and goods may take before an order is stopped: ORDER_EXPIRY.
	Expiry time.Duration
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{Config: chassis.Read(e, "order", "8080"), Expiry: e.Duration("ORDER_EXPIRY", defaultExpiry)}
	return cfg, e.Err()
}
