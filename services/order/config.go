package main

import (
	"strings"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/failure"
)

const defaultExpiry = 5 * time.Minute

type config struct {
	chassis.Config
	// Expiry is how long money and goods may take before an order is stopped: ORDER_EXPIRY.
	Expiry time.Duration
	// Peers are the APIs that the page shows: PAYMENT_URL, PRODUCT_URL, SHIPMENT_URL, and CONDUCTOR_URL where there is one.
	Peers map[string]string
	// Brokers are the nodes' management APIs, with user and password: BROKER_URLS, with BROKER_PASSWORD.
	Brokers []string
	// Console is where people look at the brokers: CONSOLE_URL.
	Console string
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	cfg := config{Config: chassis.Read(e, "order", "8080"), Expiry: e.Duration("ORDER_EXPIRY", defaultExpiry), Peers: map[string]string{}}
	for name, fallback := range map[string]string{
		events.GroupPayment: "http://127.0.0.1:8081", events.GroupProduct: "http://127.0.0.1:8082", events.GroupShipment: "http://127.0.0.1:8083",
		failure.Conductor: "",
	} {
		if url := e.URL(strings.ToUpper(name)+"_URL", fallback, "http", "https"); url != "" {
			cfg.Peers[name] = url
		}
	}
	if e.String("BROKER_URLS", "") != "" {
		cfg.Brokers = e.WithPassword("BROKER_PASSWORD", e.URLs("BROKER_URLS", "", "http", "https")...)
	}
	cfg.Console = e.URL("CONSOLE_URL", "", "http", "https")
	return cfg, e.Err()
}
