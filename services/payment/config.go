package main

import (
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

const defaultPatience = 30 * time.Second

type config struct {
	chassis.Config
	// Patience is how long the gateway may take for an authorization before the order is refused: PAYMENT_PATIENCE.
	Patience time.Duration
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{Config: chassis.Read(e, "payment", "8081"), Patience: e.Duration("PAYMENT_PATIENCE", defaultPatience)}
	return cfg, e.Err()
}
