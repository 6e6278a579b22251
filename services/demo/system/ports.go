package system

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Port is a TCP port on 127.0.0.1 and the setting that moves it.
type Port struct {
	Setting string
	Number  int
	what    string // listens on it
}

func (p Port) String() string { return strconv.Itoa(p.Number) }

// Address is 127.0.0.1 with the port.
func (p Port) Address() string { return net.JoinHostPort("127.0.0.1", p.String()) }

// Ports of the whole system. Index 0 of a broker's is broker-1.
type Ports struct {
	AMQP, Management, Peer            [Nodes]Port
	Proxy, ProxyStats, Conductor      Port
	EPMD                              Port // RabbitMQ's only
	Order, Payment, Product, Shipment Port
	Traces, OTLPGRPC, OTLPHTTP        Port
}

// Nodes is how many brokers there are.
const Nodes = 3

// DefaultPorts are where people look for things.
func DefaultPorts() Ports {
	var p Ports
	for i := range Nodes {
		n := strconv.Itoa(i + 1)
		p.AMQP[i] = Port{"AMQP_PORT_" + n, 5672 + i, BrokerName(i+1) + ", AMQP"}
		p.Management[i] = Port{"MANAGEMENT_PORT_" + n, 15672 + i, BrokerName(i+1) + ", management"}
		p.Peer[i] = Port{"PEER_PORT_" + n, 25672 + i, BrokerName(i+1) + ", other nodes"}
	}
	p.EPMD = Port{"EPMD_PORT", 4370, "RabbitMQ's port mapper"}
	p.Proxy = Port{"PROXY_PORT", 5670, "balancer, AMQP"}
	p.ProxyStats = Port{"PROXY_STATS_PORT", 8100, "balancer, statistics"}
	p.Order = Port{"ORDER_PORT", 8080, "order"}
	p.Payment = Port{"PAYMENT_PORT", 8081, "payment"}
	p.Product = Port{"PRODUCT_PORT", 8082, "product"}
	p.Shipment = Port{"SHIPMENT_PORT", 8083, "shipment"}
	p.Conductor = Port{"CONDUCTOR_PORT", 8084, "conductor"}
	p.Traces = Port{"TRACES_PORT", 16686, "trace store, page and API"}
	p.OTLPGRPC = Port{"OTLP_GRPC_PORT", 4317, "trace store, OTLP over gRPC"}
	p.OTLPHTTP = Port{"OTLP_HTTP_PORT", 4318, "trace store, OTLP over HTTP"}
	return p
}

// ReadPorts are the default ports, moved by what the environment says.
func ReadPorts(getenv func(string) string) (Ports, error) {
	p := DefaultPorts()
	var errs []error
	seen := map[int]string{}
	for _, port := range p.all() {
		if v := getenv(port.Setting); v != "" {
			n, err := strconv.ParseUint(v, 10, 16)
			if err != nil || n == 0 {
				errs = append(errs, fmt.Errorf("%s=%q: want a port, 1 to 65535", port.Setting, v))
				continue
			}
			port.Number = int(n)
		}
		if other := seen[port.Number]; other != "" {
			errs = append(errs, fmt.Errorf("%s and %s are both %d", other, port.Setting, port.Number))
		}
		seen[port.Number] = port.Setting
	}
	return p, errors.Join(errs...)
}

// Free ports are looked for here: below what systems give to outgoing connections, so that a node that comes back finds its own.
const (
	freePortMin = 20000
	freePortMax = 32000
)

// FreePorts are ports that nobody uses now.
func FreePorts() (Ports, error) {
	p := DefaultPorts()
	used := map[int]bool{}
	for _, port := range p.all() {
		for tries := 0; ; tries++ {
			if tries == freePortMax-freePortMin {
				return Ports{}, errors.New("no free port found")
			}
			port.Number = freePortMin + rand.IntN(freePortMax-freePortMin)
			if !used[port.Number] && port.free() {
				used[port.Number] = true
				break
			}
		}
	}
	return p, nil
}

// all returns every port, for changing.
func (p *Ports) all() []*Port { return append(p.cluster(), p.services()...) }

func (p *Ports) cluster() []*Port {
	out := make([]*Port, 0, 3+3*Nodes)
	out = append(out, &p.Proxy, &p.ProxyStats, &p.EPMD)
	for i := range Nodes {
		out = append(out, &p.AMQP[i], &p.Management[i], &p.Peer[i])
	}
	return out
}

func (p *Ports) services() []*Port {
	return []*Port{&p.Order, &p.Payment, &p.Product, &p.Shipment, &p.Conductor, &p.Traces, &p.OTLPGRPC, &p.OTLPHTTP}
}

// taken names every port that somebody else listens on, and the setting that moves it.
func taken(ports []*Port) error {
	var errs []error
	for _, p := range ports {
		if !p.free() {
			errs = append(errs, fmt.Errorf("port %d (%s) is taken: set %s to another one", p.Number, p.what, p.Setting))
		}
	}
	return errors.Join(errs...)
}

func (p Port) free() bool {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", p.Address())
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Settings are the names of the settings that move ports.
func (p Ports) Settings() []string {
	all := p.all()
	out := make([]string, 0, len(all))
	for _, port := range all {
		out = append(out, port.Setting)
	}
	return out
}

// Environment are the settings of all ports, as the demo and the compose file read them.
func (p Ports) Environment() []string {
	all := p.all()
	out := make([]string, 0, len(all))
	for _, port := range all {
		out = append(out, port.Setting+"="+port.String())
	}
	return out
}
