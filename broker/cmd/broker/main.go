// Command broker runs one node of the Warren broker.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/internal/process"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// Exit statuses.

type cli struct {
	Run    runCmd    `cmd:"" default:"withargs" help:"Run the node (default)."`
	Health healthCmd `cmd:"" help:"Ask a running node whether it can serve clients; exit status 1 if not."`
}

type runCmd struct {
	Name          string        `help:"Name of the node, unique in the cluster." default:"broker-1" env:"WARREN_NAME"`
	Data          string        `help:"Data directory." default:".warren/data/broker-1" env:"WARREN_DATA" type:"path"`
	Amqp          string        `help:"Address for AMQP clients." default:"127.0.0.1:5672" env:"WARREN_AMQP"`
	Http          string        `help:"Address of the management API." default:"127.0.0.1:15672" env:"WARREN_HTTP"`
	Peer          string        `help:"Address for other nodes." default:"127.0.0.1:25672" env:"WARREN_PEER"`
	PeerAdvertise string        `help:"Address at which other nodes reach this one, if not --peer." env:"WARREN_PEER_ADVERTISE"`
	AmqpAdvertise string        `help:"AMQP address to show to tools, if not --amqp." env:"WARREN_AMQP_ADVERTISE"`
	HttpAdvertise string        `help:"Management address to show to tools, if not --http." env:"WARREN_HTTP_ADVERTISE"`
	Peers         []string      `help:"Peer addresses of all first members, this node's included." env:"WARREN_PEERS" sep:","`
	Join          string        `help:"Peer address of a member of the cluster to join, instead of --peers." env:"WARREN_JOIN"`
	SecretFile    string        `help:"File with the secret that all nodes of the cluster share." env:"WARREN_SECRET_FILE" type:"path"`
	GuestPassword string        `help:"Password of user guest when the cluster is formed." default:"guest" env:"WARREN_GUEST_PASSWORD"`
	GuestRemote   bool          `help:"Let user guest connect from other machines." env:"WARREN_GUEST_REMOTE"`
	AmqpTls       string        `name:"amqp-tls" help:"Address for AMQP clients with TLS, such as 0.0.0.0:5671; empty: none." env:"WARREN_AMQP_TLS"`
	TlsCert       string        `name:"tls-cert" help:"The node's certificate with its chain, PEM; read again when it changes." env:"WARREN_TLS_CERT" type:"path"`
	TlsKey        string        `name:"tls-key" help:"Its key, PEM." env:"WARREN_TLS_KEY" type:"path"`
	HttpTls       bool          `name:"http-tls" help:"Serve the management API with TLS only." env:"WARREN_HTTP_TLS"`
	PeerTls       bool          `name:"peer-tls" help:"Speak with other nodes with TLS only; each shows a certificate that --tls-ca signs." env:"WARREN_PEER_TLS"`
	TlsCa         string        `name:"tls-ca" help:"Certificates of who signs clients' certificates, and other nodes', PEM." env:"WARREN_TLS_CA" type:"path"`
	TlsVerify     string        `name:"tls-verify" help:"Clients' certificates: none, peer (good if there is one), require." enum:"none,peer,require" default:"none" env:"WARREN_TLS_VERIFY"`
	TlsMin        string        `name:"tls-min" help:"Least version of TLS: ${enum}." enum:"1.2,1.3" default:"1.2" env:"WARREN_TLS_MIN"`
	TlsLogin      string        `name:"tls-login" help:"What of a certificate names the user of mechanism EXTERNAL: ${enum}." enum:"distinguished_name,common_name,san_dns,san_email,san_uri" default:"distinguished_name" env:"WARREN_TLS_LOGIN"`
	ProxyFrom     []string      `help:"Networks (CIDR) of proxies that may send a PROXY protocol header." env:"WARREN_PROXY_FROM" sep:","`
	ConnectionMax int           `help:"Most client connections to this node; 0: any number." env:"WARREN_CONNECTION_MAX"`
	ChannelMax    int           `name:"channel-max-per-node" help:"Most channels of all connections to this node; 0: any number." env:"WARREN_CHANNEL_MAX_PER_NODE"`
	ConsumerMax   int           `name:"consumer-max-per-channel" help:"Most consumers of one channel; 0: any number." env:"WARREN_CONSUMER_MAX_PER_CHANNEL"`
	VhostMax      int           `help:"Most virtual hosts of the cluster; 0: any number." env:"WARREN_VHOST_MAX"`
	MemoryLimit   size          `help:"Memory in use, such as 512MiB, past which nobody may publish; 0: 60% of what there is." default:"0" env:"WARREN_MEMORY_LIMIT"`
	DiskFreeLimit size          `help:"Free disk space below which nobody may publish." default:"200MiB" env:"WARREN_DISK_FREE_LIMIT"`
	Definitions   string        `help:"File with definitions, as the management API exports them, to import when the node has come up; once for each content." env:"WARREN_DEFINITIONS" type:"path"`
	Traces        string        `help:"OTLP/HTTP address for the broker's own spans of sampled messages, such as http://127.0.0.1:4318; empty: none." env:"WARREN_TRACES"`
	MetricsTop    int           `help:"Of how many queues, those with the most messages, the metrics tell one by one; -1: of none." default:"20" env:"WARREN_METRICS_TOP"`
	MetricsQueues string        `help:"Expression of names of queues of which the metrics always tell." env:"WARREN_METRICS_QUEUES"`
	MetricsListen string        `name:"metrics" help:"Address that serves metrics and nothing else, such as 127.0.0.1:15692, where RabbitMQ has them; empty: none (--http has them anyway)." env:"WARREN_METRICS"`
	Memtable      size          `name:"memtable-size" help:"Messages kept in memory, besides the log, until they are written to files of their own." default:"32MiB" env:"WARREN_MEMTABLE_SIZE"`
	MessageMax    size          `name:"max-message-size" help:"Largest message body." default:"16MiB" env:"WARREN_MAX_MESSAGE_SIZE"`
	AckTimeout    time.Duration `name:"consumer-timeout" help:"How long a delivery may wait for its acknowledgement; 0: for ever." default:"30m" env:"WARREN_CONSUMER_TIMEOUT"`
	LogLevel      string        `help:"Least level that is logged: ${enum}." enum:"debug,info,warn,error" default:"info" env:"WARREN_LOG_LEVEL"`
	LogFormat     string        `help:"Format of log lines: ${enum}." enum:"text,json" default:"text" env:"WARREN_LOG_FORMAT"`
}

type healthCmd struct {
	Http    string `help:"Address of the node's management API." default:"127.0.0.1:15672" env:"WARREN_HTTP"`
	HttpTls bool   `name:"http-tls" help:"It has TLS." env:"WARREN_HTTP_TLS"`
}

// errUsage marks what the caller can mend in the command line.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited, status := false, 0
	parser, err := kong.New(&c, kong.Name("broker"), kong.Description("One node of the Warren broker."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited, status = true, code }))
	if err != nil {
		fmt.Fprintln(stderr, "broker:", err)
		return process.ExitError
	}
	k, err := parser.Parse(args)
	if exited {
		return status
	}
	if err != nil {
		fmt.Fprintln(stderr, "broker:", err)
		return process.ExitUsage
	}
	switch strings.Fields(k.Command())[0] {
	case "health":
		err = c.Health.run(ctx)
	default:
		err = c.Run.run(ctx, stderr)
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "broker:", strings.TrimPrefix(err.Error(), "usage: "))
		return process.ExitUsage
	case err != nil:
		fmt.Fprintln(stderr, "broker:", err)
		return process.ExitError
	}
	return 0
}

func (r *runCmd) run(ctx context.Context, stderr io.Writer) error {
	cfg, err := r.config(stderr)
	if err != nil {
		return err
	}
	n, err := broker.New(cfg)
	if err != nil {
		return explain(err)
	}
	cfg.Logger.Info("listening", "amqp", n.AMQPAddr(), "amqp_tls", n.TLSAddr(), "http", n.HTTPAddr(), "peer", n.PeerAddr())
	return n.Run(ctx)
}

// explain names the setting that moves a port already taken.
func explain(err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	for prefix, flag := range map[string]string{
		"AMQP ": "--amqp or WARREN_AMQP", "AMQPS ": "--amqp-tls or WARREN_AMQP_TLS", "HTTP": "--http or WARREN_HTTP", "metrics": "--metrics or WARREN_METRICS", "peer": "--peer or WARREN_PEER",
	} {
		if strings.HasPrefix(err.Error(), prefix) {
			return fmt.Errorf("%w: %w; %s moves it", errUsage, err, flag)
		}
	}
	return err
}

func (r *runCmd) config(stderr io.Writer) (broker.Config, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(r.LogLevel)); err != nil {
		return broker.Config{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(stderr, opts)
	if r.LogFormat == "json" {
		h = slog.NewJSONHandler(stderr, opts)
	}
	cfg := broker.Config{
		Name: r.Name, DataDir: r.Data, Listen: r.Amqp, HTTPListen: r.Http, PeerListen: r.Peer,
		PeerAdvertise: r.PeerAdvertise, AMQPAdvertise: r.AmqpAdvertise, HTTPAdvertise: r.HttpAdvertise,
		Peers: r.Peers, Join: r.Join, GuestPassword: r.GuestPassword, GuestRemote: r.GuestRemote, Logger: slog.New(h), LogLevel: level,
		TLS: broker.TLS{
			Listen: r.AmqpTls, Cert: r.TlsCert, Key: r.TlsKey, CA: r.TlsCa, Verify: r.TlsVerify, Min: r.TlsMin, Login: r.TlsLogin,
			HTTP: r.HttpTls, Peers: r.PeerTls,
		},
		TrustedProxies: r.ProxyFrom,
		MemoryLimit:    uint64(r.MemoryLimit), DiskFreeLimit: uint64(r.DiskFreeLimit),
		Definitions:   r.Definitions,
		Traces:        r.Traces,
		MetricsTop:    r.MetricsTop,
		MetricsQueues: r.MetricsQueues,
		MetricsListen: r.MetricsListen,
		MemtableBytes: int64(r.Memtable), MessageBytesMax: int(r.MessageMax), ConsumerTimeout: r.AckTimeout,
		ConnectionsMax: r.ConnectionMax, ChannelsMax: r.ChannelMax, ConsumersMax: r.ConsumerMax, VHostsMax: r.VhostMax,
	}
	switch {
	case r.AckTimeout < 0:
		return cfg, fmt.Errorf("%w: --consumer-timeout is %s, allowed are 0 (for ever) and more", errUsage, r.AckTimeout)
	case r.AckTimeout == 0:
		cfg.ConsumerTimeout = -1
	case r.MessageMax == 0 || r.MessageMax > broker.MessageBytesLimit:
		return cfg, fmt.Errorf("%w: --max-message-size is %d bytes, allowed are 1 to %d", errUsage, r.MessageMax, broker.MessageBytesLimit)
	}
	if len(r.Peers) > 0 && r.Join != "" {
		return cfg, fmt.Errorf("%w: --peers and --join exclude each other", errUsage)
	}
	for flag, addr := range map[string]string{"--amqp": r.Amqp, "--http": r.Http, "--peer": r.Peer, "--metrics": r.MetricsListen} {
		if flag == "--metrics" && addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return cfg, fmt.Errorf("%w: %s %q: want host:port: %w", errUsage, flag, addr, err)
		}
	}
	switch {
	case (r.AmqpTls != "" || r.HttpTls || r.PeerTls) && (r.TlsCert == "" || r.TlsKey == ""):
		return cfg, fmt.Errorf("%w: --amqp-tls, --http-tls and --peer-tls need --tls-cert and --tls-key", errUsage)
	case r.PeerTls && r.TlsCa == "":
		return cfg, fmt.Errorf("%w: --peer-tls needs --tls-ca", errUsage)
	case r.TlsVerify != "none" && r.TlsCa == "":
		return cfg, fmt.Errorf("%w: --tls-verify needs --tls-ca", errUsage)
	}
	if r.SecretFile != "" {
		b, err := os.ReadFile(r.SecretFile)
		if err != nil {
			return cfg, fmt.Errorf("%w: --secret-file: %w", errUsage, err)
		}
		cfg.Secret = strings.TrimSpace(string(b))
	}
	return cfg, nil
}

const healthTimeout = 3 * time.Second

// run asks the node on this machine; an address without a host means that.
func (h *healthCmd) run(ctx context.Context) error {
	host, port, err := net.SplitHostPort(h.Http)
	if err != nil {
		return fmt.Errorf("%w: --http %q: want host:port: %w", errUsage, h.Http, err)
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		// Nothing secret is said, and this machine's address need not be in the certificate.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	scheme := "http"
	if h.HttpTls {
		scheme = "https"
	}
	url := scheme + "://" + net.JoinHostPort(host, port) + "/api/health/checks/ready-to-serve-clients"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	}
	return nil
}
