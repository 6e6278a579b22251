package system

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/warren-mq/warren/services/internal/access"
)

// services returns the trace store and the four services.
func (s *System) services() []*process {
	apis := []struct {
		name string
		port Port
	}{{Product, s.cfg.Ports.Product}, {Payment, s.cfg.Ports.Payment}, {Shipment, s.cfg.Ports.Shipment}, {Order, s.cfg.Ports.Order}}
	out := make([]*process, 0, 1+len(apis))
	out = append(out, s.traceStore())
	for _, x := range apis {
		p := s.program(x.name, x.name)
		prefix := strings.ToUpper(x.name)
		p.env = []string{
			prefix + "_HTTP=" + x.port.Address(), prefix + "_DATA=" + p.dataDir, "TRACE_URL=" + s.TracesURL(),
			"AMQP_ADDRESSES=" + s.scheme("amqp") + "://" + x.name + "@" + s.cfg.Ports.Proxy.Address() + "/", "AMQP_PASSWORD_FILE=" + s.credential(access.PasswordFile(x.name)),
			"FAILURES=true", "PAYMENT_URL=" + s.URL(Payment), "PRODUCT_URL=" + s.URL(Product), "SHIPMENT_URL=" + s.URL(Shipment),
			"CONDUCTOR_URL=" + s.ConductorURL(), "BROKER_URLS=" + s.managementURLs(), "BROKER_PASSWORD_FILE=" + s.credential(access.PasswordFile(access.Observer)), "CONSOLE_URL=" + s.ManagementURL(1),
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + s.cfg.Ports.OTLPHTTP.Address(), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=200",
		}
		p.env = append(p.env, s.serviceTLS(x.name)...)
		p.ready = s.answers(s.URL(x.name) + "/health/ready")
		out = append(out, p)
	}
	return out
}

// traceStore is Jaeger when there is one.
func (s *System) traceStore() *process {
	query, grpc, http := s.cfg.Ports.Traces.Address(), s.cfg.Ports.OTLPGRPC.Address(), s.cfg.Ports.OTLPHTTP.Address()
	p := s.program(TraceStore, "tracestore")
	p.args = []string{"--query=" + query, "--otlp-grpc=" + grpc, "--otlp-http=" + http}
	if s.cfg.Jaeger != "" {
		p.program = s.cfg.Jaeger
		p.args = []string{
			"--set=extensions.jaeger_query.http.endpoint=" + query,
			"--set=receivers.otlp.protocols.grpc.endpoint=" + grpc,
			"--set=receivers.otlp.protocols.http.endpoint=" + http,
		}
	}
	p.ready = s.answers(s.TracesURL() + "/api/services")
	return p
}

func (s *System) program(name, binary string) *process {
	return &process{name: name, program: filepath.Join(s.cfg.Bin, binary), dataDir: filepath.Join(s.cfg.State, "data", name)}
}

// credential is where a file of the credentials is.
func (s *System) credential(file string) string { return filepath.Join(s.CredentialsDir(), file) }

// CredentialsDir is where the passwords are; package access reads them.
func (s *System) CredentialsDir() string { return filepath.Join(s.cfg.State, "credentials") }

// AMQPURL is the balancer's address, for people: guest gets in from this machine.
func (s *System) AMQPURL() string {
	return s.scheme("amqp") + "://guest:guest@" + s.cfg.Ports.Proxy.Address() + "/"
}

// NodeURL is the AMQP address of node n, from 1.
func (s *System) NodeURL(n int) string {
	return s.scheme("amqp") + "://guest:guest@" + s.cfg.Ports.AMQP[n-1].Address() + "/"
}

// TracesURL is where traces are looked at, and the trace store's API.
func (s *System) TracesURL() string { return "http://" + s.cfg.Ports.Traces.Address() }

// URL is the address of a service's API.
func (s *System) URL(name string) string {
	port := map[string]Port{
		Order: s.cfg.Ports.Order, Payment: s.cfg.Ports.Payment, Product: s.cfg.Ports.Product, Shipment: s.cfg.Ports.Shipment,
	}[name]
	return s.scheme("http") + "://" + port.Address()
}

// ManagementURL is the address of the management API of node n, from 1.
func (s *System) ManagementURL(n int) string {
	return s.scheme("http") + "://" + s.cfg.Ports.Management[n-1].Address()
}

// ConductorURL is where failures of the brokers are switched on while the demo runs.
func (s *System) ConductorURL() string { return "http://" + s.cfg.Ports.Conductor.Address() }

// ConductorAddress is where the demo itself listens.
func (s *System) ConductorAddress() string { return s.cfg.Ports.Conductor.Address() }

// managementURLs are those of all nodes, with the user that may look.
func (s *System) managementURLs() string {
	out := make([]string, 0, Nodes)
	for _, p := range s.cfg.Ports.Management {
		out = append(out, s.scheme("http")+"://"+access.Observer+"@"+p.Address())
	}
	return strings.Join(out, ",")
}

// StatisticsURL is the balancer's page.
func (s *System) StatisticsURL() string { return "http://" + s.cfg.Ports.ProxyStats.Address() }

const (
	probeTimeout    = 3 * time.Second
	probeBytesShown = 300
)

// answers says that GET url is answered with 200.
func (s *System) answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := s.client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, probeBytesShown))
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
		}
		return err
	}
}
