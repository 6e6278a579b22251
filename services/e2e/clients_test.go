package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

const services = 4 // order, payment, product, shipment

// seesClients says that the brokers know the services' own addresses, though all of them
// come through the balancer: to them, a connection leads to the balancer's port.
func (r run) seesClients(ctx context.Context) error {
	var conns []struct {
		Name string
		Port int
	}
	if _, err := call(ctx, http.MethodGet, r.ManagementURL(1)+"/api/connections", nil, &conns); err != nil {
		return err
	}
	proxy, err := url.Parse(r.AMQPURL())
	if err != nil {
		return err
	}
	for _, c := range conns {
		if strconv.Itoa(c.Port) != proxy.Port() {
			return fmt.Errorf("connection %q does not lead to the balancer", c.Name)
		}
	}
	if len(conns) < services {
		return fmt.Errorf("%d connections, fewer than there are services", len(conns))
	}
	return nil
}
