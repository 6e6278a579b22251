package main

import (
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

// defaultHold is longer than an order may take to be confirmed.
const defaultHold = 15 * time.Minute

const stockTimesMax = 10_000

type config struct {
	chassis.Config
	// Hold is how long goods may stay aside for an order: PRODUCT_HOLD.
	Hold time.Duration
	// StockTimes is how many times its stock a new catalogue begins with: PRODUCT_STOCK_TIMES. Long loads sell it out else.
	StockTimes int
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{Config: chassis.Read(e, "product", "8082"), Hold: e.Duration("PRODUCT_HOLD", defaultHold), StockTimes: e.Int("PRODUCT_STOCK_TIMES", 1, 1, stockTimesMax)}
	return cfg, e.Err()
}
