package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/warren-mq/warren/libs/rabbitmq"
	"github.com/warren-mq/warren/services/internal/access"
)

// Broker is what the nodes are.
type Broker string

// The brokers that the system runs on.
const (
	Warren   Broker = "warren" // the bundled one
	RabbitMQ Broker = "rabbitmq"
)

// BrokerSetting is the name of the setting that says which one.
const BrokerSetting = "BROKER"

// ReadBroker returns the broker that the environment asks for, Warren when it asks for none. RabbitMQ has to be installed.
func ReadBroker(getenv func(string) string) (Broker, error) {
	switch b := Broker(getenv(BrokerSetting)); b {
	case "", Warren:
		return Warren, nil
	case RabbitMQ:
		return b, rabbitmq.Installed()
	default:
		return "", fmt.Errorf("%s=%q: want %s or %s", BrokerSetting, b, Warren, RabbitMQ)
	}
}

// cluster returns the brokers and the balancer.
func (s *System) cluster() []*process {
	var out []*process
	for i := range Nodes {
		if s.cfg.Broker == RabbitMQ {
			out = append(out, s.rabbitNode(i))
		} else {
			out = append(out, s.warrenNode(i))
		}
	}
	return append(out, s.balancer())
}

func (s *System) warrenNode(i int) *process {
	p := s.program(BrokerName(i+1), "broker")
	peers := make([]string, 0, Nodes)
	for k := range Nodes {
		if k == i || !s.cfg.Alone {
			peers = append(peers, s.cfg.Ports.Peer[k].Address())
		}
	}
	p.env = []string{
		"WARREN_NAME=" + p.name, "WARREN_DATA=" + p.dataDir,
		"WARREN_HTTP=" + s.cfg.Ports.Management[i].Address(), "WARREN_PEER=" + s.cfg.Ports.Peer[i].Address(),
		"WARREN_PEERS=" + strings.Join(peers, ","),
		"WARREN_PROXY_FROM=127.0.0.1", // the balancer's
		"WARREN_TRACES=http://" + s.cfg.Ports.OTLPHTTP.Address(),
		"WARREN_DEFINITIONS=" + s.credential(access.DefinitionsFile), "WARREN_SECRET_FILE=" + s.credential(access.ClusterSecretFile),
	}
	p.env = append(p.env, s.brokerListeners(i)...)
	p.ready = s.answers(s.ManagementURL(i+1) + "/api/health/checks/ready-to-serve-clients")
	return p
}

func (s *System) rabbitNode(i int) *process {
	p := s.program(BrokerName(i+1), "")
	p.program, p.becomes, p.env = s.rabbit.Server(), rabbitmq.Emulator, s.rabbit.Env(i)
	p.prepare = func() error { return s.rabbit.Write(i) }
	listens, answer := s.speaksAMQP(s.cfg.Ports.AMQP[i].Address()), s.answers("http://guest:guest@"+s.cfg.Ports.Management[i].Address()+"/api/whoami")
	p.ready = func(ctx context.Context) error {
		if err := listens(ctx); err != nil {
			return err
		}
		return answer(ctx)
	}
	return p
}

// newRabbit describes the nodes as RabbitMQ's.
func newRabbit(cfg Config) *rabbitmq.Cluster {
	c := &rabbitmq.Cluster{Dir: filepath.Join(cfg.State, "data", string(RabbitMQ)), EPMD: cfg.Ports.EPMD.Address(), Alone: cfg.Alone}
	for i := range Nodes {
		c.Nodes = append(c.Nodes, rabbitmq.Node{
			Name: BrokerName(i + 1), AMQP: cfg.Ports.AMQP[i].Address(), Peer: cfg.Ports.Peer[i].Address(), Management: cfg.Ports.Management[i].Address(),
		})
	}
	return c
}

// balancer is HAProxy when there shall be one. Only the bundled broker says whether it is ready for clients and is told of their
// addresses; the other's nodes are connected to, to see whether they are there.
func (s *System) balancer() *process {
	if s.cfg.HAProxy != "" {
		return s.haproxy()
	}
	p := s.program(Balancer, "balancer")
	var backends []string
	for i := range Nodes {
		check := s.cfg.Ports.Management[i]
		if s.cfg.Broker == RabbitMQ {
			check = s.cfg.Ports.AMQP[i]
		}
		backends = append(backends, fmt.Sprintf("%s=%s/%s", BrokerName(i+1), s.cfg.Ports.AMQP[i].Address(), check))
	}
	p.args = []string{"--listen=" + s.cfg.Ports.Proxy.Address(), "--stats=" + s.cfg.Ports.ProxyStats.Address(), "--backend=" + strings.Join(backends, ",")}
	if s.cfg.Broker == RabbitMQ {
		p.args = append(p.args, "--check-path=")
	} else {
		p.args = append(p.args, "--send-proxy")
	}
	if s.cfg.Certs != "" {
		p.args = append(p.args, "--check-ca="+s.authority())
	}
	p.ready = s.speaksAMQP(s.cfg.Ports.Proxy.Address())
	return p
}

// haproxy balances as in the talk's listing.
func (s *System) haproxy() *process {
	p := s.program(Balancer, "")
	p.program = s.cfg.HAProxy
	file := filepath.Join(p.dataDir, "haproxy.cfg")
	p.args = []string{"-db", "-f", file}
	p.prepare = func() error {
		var b strings.Builder
		b.WriteString("defaults\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n")
		fmt.Fprintf(&b, "listen rabbitmq\n bind %s\n mode tcp\n balance roundrobin\n", s.cfg.Ports.Proxy.Address())
		for i := range Nodes {
			fmt.Fprintf(&b, " server %s %s check inter 5000 rise 2 fall 3\n", BrokerName(i+1), s.cfg.Ports.AMQP[i].Address())
		}
		fmt.Fprintf(&b, "listen stats\n bind %s\n mode http\n stats enable\n stats uri /\n", s.cfg.Ports.ProxyStats.Address())
		return os.WriteFile(file, []byte(b.String()), 0o640)
	}
	p.ready = s.speaksAMQP(s.cfg.Ports.Proxy.Address())
	return p
}

// memoryAlarm is the setting with which a node has less memory than it needs when it does nothing.
func (s *System) memoryAlarm() string {
	if s.cfg.Broker == RabbitMQ {
		return rabbitmq.MemoryAlarm(1 << 20)
	}
	return "WARREN_MEMORY_LIMIT=1MiB"
}

// NodeName is the name of a process that the brokers call so.
func (s *System) NodeName(broker string) string { return rabbitmq.ShortName(broker) }

// Ctl runs the tool of the brokers, brokerctl or rabbitmqctl, on node n, from 1, and returns what it prints.
func (s *System) Ctl(ctx context.Context, n int, args ...string) (string, error) {
	if s.cfg.Broker == RabbitMQ {
		return s.rabbit.Ctl(ctx, n-1, args...)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.cfg.Bin, "brokerctl"), append([]string{"-q", "-n", BrokerName(n)}, args...)...)
	cmd.Env = append(os.Environ(), s.Settings()...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("brokerctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// Settings let other programs find this system: the demo's commands, and brokerctl.
func (s *System) Settings() []string {
	out := []string{"WARREN_STATE=" + s.cfg.State, "WARREN_BIN=" + s.cfg.Bin}
	for _, p := range s.cfg.Ports.all() {
		out = append(out, p.Setting+"="+p.String())
	}
	nodes := make([]string, 0, Nodes)
	for i := range Nodes {
		nodes = append(nodes, BrokerName(i+1)+"="+s.cfg.Ports.Management[i].Address())
	}
	return append(out, "WARREN_NODES="+strings.Join(nodes, ","))
}

// closeBrokers ends what the nodes share, when none runs.
func (s *System) closeBrokers() error {
	if s.cfg.Broker == RabbitMQ {
		return s.rabbit.Close()
	}
	return nil
}
