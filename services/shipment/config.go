package main

import (
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
)

// Defaults. Packing leaves time to cancel by hand.
const (
	defaultPacking  = 2 * time.Second
	defaultDelivery = 3 * time.Second
)

type config struct {
	chassis.Config
	// Packing is how long a parcel takes from complete to gone: SHIPMENT_PACKING.
	Packing time.Duration
	// Delivery is how long the carrier takes: SHIPMENT_DELIVERY.
	Delivery time.Duration
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{
		Config: chassis.Read(e, "shipment", "8083"), Packing: e.Duration("SHIPMENT_PACKING", defaultPacking),
		Delivery: e.Duration("SHIPMENT_DELIVERY", defaultDelivery),
	}
	return cfg, e.Err()
}
