package main

import (
	"strings"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
)

// everyMin leaves a failure time to be seen, and the system to recover.
const everyMin = 20 * time.Second

type config struct {
	// address of the switches: CONDUCTOR_HTTP.
	address string
	// management are the nodes' management APIs, with user and password: BROKER_URLS, with BROKER_PASSWORD. An agent listens at each
	// of their hosts.
	management []string
	// every is the time between failures that are switched on by themselves; 0: none is. CHAOS_EVERY.
	every time.Duration
	// peers are the services at which failures can be switched on: ORDER_URL, PAYMENT_URL, PRODUCT_URL, SHIPMENT_URL.
	peers map[string]string
}

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (config, error) {
	e := chassis.NewEnv(getenv)
	c := config{
		address:    e.Address("CONDUCTOR_HTTP", "127.0.0.1:8084"),
		management: e.WithPassword("BROKER_PASSWORD", e.URLs("BROKER_URLS", "http://guest:guest@127.0.0.1:15672", "http")...),
		every:      e.Duration("CHAOS_EVERY", 0),
		peers:      map[string]string{},
	}
	if c.every > 0 && c.every < everyMin {
		e.Bad("CHAOS_EVERY", c.every.String(), "want 0 for never, or at least "+everyMin.String())
	}
	for _, name := range []string{events.GroupOrder, events.GroupPayment, events.GroupProduct, events.GroupShipment} {
		if url := e.URL(strings.ToUpper(name)+"_URL", "", "http", "https"); url != "" {
			c.peers[name] = url
		}
	}
	return c, e.Err()
}
