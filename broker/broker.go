// Package broker is a clustered AMQP 0-9-1 broker that a Go program can embed: a node
// listens for AMQP clients, for the other nodes of its cluster and for tools (HTTP).
// Any RabbitMQ client works on it. A replicated queue confirms a message once it is
// synced to the disks of a majority of its members, and goes on when a node dies.
package broker

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/management"
	"github.com/warren-mq/warren/broker/internal/metrics"
	"github.com/warren-mq/warren/broker/internal/node"
	"github.com/warren-mq/warren/broker/internal/server"
	"github.com/warren-mq/warren/broker/internal/storage"
	"github.com/warren-mq/warren/broker/internal/tracing"
)

// Version is the broker's version, as clients and tools see it.
const Version = management.Version

// Config configures a node. Name and DataDir are required; the zero value of the other
// fields means their default. Addresses are host:port; port 0 takes a free one.
type Config struct {
	Name    string // unique in the cluster
	DataDir string // everything the node keeps; another node must not share it

	Listen     string // for AMQP clients; "127.0.0.1:5672"
	HTTPListen string // for tools; "127.0.0.1:15672"
	PeerListen string // for other nodes; "127.0.0.1:0"
	// PeerAdvertise, AMQPAdvertise and HTTPAdvertise are how others reach the three;
	// default: the listeners' addresses.
	PeerAdvertise string
	AMQPAdvertise string
	HTTPAdvertise string

	// Peers are the peer addresses of all first members of the cluster, this node's
	// included; none: the node is a cluster of its own.
	Peers []string
	// Join is the peer address of a member of the cluster to join, instead of Peers.
	Join string
	// Secret must be the same on all nodes of a cluster.
	Secret string

	// GuestPassword is the password of user guest when the cluster is formed; "guest".
	GuestPassword string
	// GuestRemote lets guest connect from other machines.
	GuestRemote bool
	// TLS is for AMQP clients, on a listener of their own, for the management API and between nodes.
	TLS TLS
	// TrustedProxies are the addresses, as CIDR, of those who may say in a PROXY protocol
	// header (version 1 or 2) whose connection they pass on. From all others such a header
	// is refused.
	TrustedProxies []string

	// MemoryLimit is how many bytes the process may use, DiskFreeLimit how many must be
	// free where the data are. Beyond them, nobody may publish to any node of the cluster
	// until there is room again; 0: 60% of the memory that there is, and 200 MiB.
	MemoryLimit   uint64
	DiskFreeLimit uint64
	// ConsumerTimeout is how long a delivery may wait for its acknowledgement, unless
	// queue or consumer say otherwise: 30 minutes if 0, for ever if negative.
	ConsumerTimeout time.Duration

	// MessageBytesMax is the largest body that may be published; 16 MiB if 0, at most
	// MessageBytesLimit.
	MessageBytesMax int

	// Limits; 0 means none. Those of one virtual host or one user are no settings: they
	// are kept with it.
	ConnectionsMax int // client connections to this node
	ChannelsMax    int // channels of all of them
	ConsumersMax   int // consumers of one channel
	VHostsMax      int // virtual hosts of the cluster

	// Definitions is a file, as the management API exports it, that is imported when the
	// node has come up: once for each content, whichever node of the cluster does it.
	Definitions string

	// Traces is where the broker's own spans go, of messages whose publishers sampled them:
	// an OTLP/HTTP address such as http://localhost:4318. "": nowhere; they are not made.
	Traces string

	// MetricsTop is of how many queues, those with the most messages, the metrics tell one
	// by one: 20 if 0, none if negative. MetricsQueues is an expression of names of queues of
	// which they always do.
	MetricsTop    int
	MetricsQueues string

	// MetricsListen is an address that serves the metrics and nothing else, for scrapers that
	// look for them where RabbitMQ has them, on port 15692; "": none. HTTPListen has them
	// anyway.
	MetricsListen string

	// MemtableBytes is how much of the messages is kept in memory, besides the log, until
	// it is written to files of its own: 32 MiB. Messages that are taken before that are
	// written once.
	MemtableBytes int64
	// GroupsPerNode is the number of placement groups for each node; 16.
	GroupsPerNode int
	Logger        *slog.Logger
	// LogLevel is the least level that Logger logs, if operators may change it.
	LogLevel *slog.LevelVar

	// SegmentBytes is the size of the write-ahead log's files, at least three of them: 64 MiB.
	SegmentBytes int64

	exporter sdktrace.SpanExporter

	fs  storage.FS
	net cluster.Network
}

// TracesTo gives the broker's own spans to an exporter, instead of to the address Traces.
func (c *Config) TracesTo(e sdktrace.SpanExporter) { c.exporter = e }

// OverFS puts a file system between the node and its disk: the broker's own tests let it
// fail.
func (c *Config) OverFS(over func(storage.FS) storage.FS) { c.fs = over(storage.OSDir(c.DataDir)) }

// OverNetwork sets the network that the node is on, and that clients come from: the
// broker's own tests have one that fails.
func (c *Config) OverNetwork(n cluster.Network) { c.net = n }

// MessageBytesLimit is the largest body that a node can be set to take.
const MessageBytesLimit = 512 << 20

// traceService is the service that the broker's spans are of.
const traceService = "broker"

// Limits of the node's own servers.
const (
	shutdownTimeout   = 10 * time.Second
	headerReadTimeout = 5 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	readyInterval     = 20 * time.Millisecond
	// drainNotice is how long proxies have to see that a node goes into maintenance.
	drainNotice = 2 * time.Second
	// peerHandshakeTimeout is how long another node may take for TLS.
	peerHandshakeTimeout = time.Second
)

func (c *Config) setDefaults() {
	for _, d := range [...]struct {
		to  *string
		def string
	}{
		{&c.Listen, "127.0.0.1:5672"}, {&c.HTTPListen, "127.0.0.1:15672"}, {&c.PeerListen, "127.0.0.1:0"},
	} {
		if *d.to == "" {
			*d.to = d.def
		}
	}
	if c.net == nil {
		c.net = cluster.TCP
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// Node is one running broker node.
type Node struct {
	cfg         Config
	definitions []byte
	metrics     http.Handler
	tracer      *tracing.Tracer // nil: no spans

	mu      sync.Mutex
	inner   *node.Node
	amqp    *server.Server
	amqpL   net.Listener
	tlsL    net.Listener // nil: none
	certs   sources
	proxies []netip.Prefix
	httpL   net.Listener
	scrapeL net.Listener // of the metrics alone; nil: none
	logs    atomic.Pointer[node.Node]
	rejoin  string // peer address of a member of the cluster to move to
	killed  bool
	restart chan struct{} // closed when rejoin is set
	stop    func()        // ends Run
}

// New opens a node's addresses and data, and starts it on its way into its cluster.
// Run serves clients.
func New(cfg Config) (*Node, error) {
	cfg.setDefaults()
	n := &Node{cfg: cfg}
	n.cfg.Logger = publishing(cfg.Logger, &n.logs)
	err := n.prepare()
	if err == nil && cfg.Definitions != "" {
		if n.definitions, err = os.ReadFile(cfg.Definitions); err != nil {
			err = fmt.Errorf("definitions: %w", err)
		} else if !json.Valid(n.definitions) {
			err = fmt.Errorf("definitions: %s is not JSON", cfg.Definitions)
		}
	}
	if err == nil {
		mc := metrics.Config{Version: Version, Top: cfg.MetricsTop, Queues: cfg.MetricsQueues}
		if n.metrics, err = metrics.Handler(func() metrics.Source { return n.current() }, mc); err != nil {
			err = fmt.Errorf("queues in the metrics: %w", err)
		}
	}
	if err == nil && (cfg.Traces != "" || cfg.exporter != nil) {
		tc := tracing.Config{Service: traceService, Version: Version, Node: cfg.Name, Endpoint: cfg.Traces, Exporter: cfg.exporter, Logger: cfg.Logger}
		n.tracer, err = tracing.New(context.Background(), tc)
	}
	if err == nil {
		err = n.open()
	}
	if err != nil {
		return nil, errors.Join(err, n.closeListeners(n.httpL, n.scrapeL))
	}
	return n, nil
}

// open starts the inner node.
func (n *Node) open() error {
	c := &n.cfg
	var tracer node.Tracer // nil: no spans
	if n.tracer != nil {
		tracer = n.tracer
	}
	network := c.net
	if n.certs.peers != nil {
		network = secureNetwork{c.net, n.certs.peers}
	}
	inner, err := node.Open(node.Config{
		Name: c.Name, DataDir: c.DataDir, FS: c.fs, Network: network, PeerListen: c.PeerListen, PeerAdvertise: c.PeerAdvertise,
		AMQPAddr: c.AMQPAdvertise, HTTPAddr: c.HTTPAdvertise, Peers: c.Peers, Join: c.Join, Secret: c.Secret,
		Watermarks:      node.Watermarks{Memory: c.MemoryLimit, DiskFree: c.DiskFreeLimit},
		ConsumerTimeout: c.ConsumerTimeout,
		Tracer:          tracer,
		MemtableBytes:   c.MemtableBytes, SegmentBytes: c.SegmentBytes,
		GuestPassword: c.GuestPassword, GroupsPerNode: c.GroupsPerNode, ChannelsMax: c.ChannelsMax, VHostsMax: c.VHostsMax, Logger: c.Logger.With("node", c.Name),
	})
	if err != nil {
		return err
	}
	sc := server.Defaults()
	sc.Version, sc.ClusterName, sc.Logger = Version, inner.ClusterName, c.Logger.With("node", c.Name)
	sc.ConnectionsMax, sc.ConsumersMax, sc.TrustedProxies = c.ConnectionsMax, c.ConsumersMax, n.proxies
	if c.MessageBytesMax > 0 {
		sc.MessageBytesMax = c.MessageBytesMax
	}
	if c.TLS.Login != "" {
		sc.CertificateLogin = server.CertificateLogin(c.TLS.Login)
	}
	if c.GuestRemote {
		sc.LoopbackUsers = nil
	}
	amqp, err := server.New(sc, server.From(inner))
	if err != nil {
		return errors.Join(err, inner.Kill())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.inner, n.amqp, n.restart, n.rejoin = inner, amqp, make(chan struct{}), ""
	n.cfg.PeerListen, n.cfg.PeerAdvertise = inner.PeerListen(), inner.PeerAddr()
	n.logs.Store(inner)
	return nil
}

func (n *Node) current() *node.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.inner
}

// AMQPAddr returns the address for AMQP clients.
func (n *Node) AMQPAddr() string { return n.cfg.Listen }

// TLSAddr returns the address for AMQP clients with TLS, "" if there is none.
func (n *Node) TLSAddr() string { return n.cfg.TLS.Listen }

// HTTPAddr returns the address for tools.
func (n *Node) HTTPAddr() string { return n.cfg.HTTPListen }

// MetricsAddr returns the address that serves metrics alone, "" if there is none.
func (n *Node) MetricsAddr() string { return n.cfg.MetricsListen }

// PeerAddr returns the address for other nodes.
func (n *Node) PeerAddr() string { return n.current().PeerAddr() }

// SetLimits changes the limits behind the alarms, as MemoryLimit and DiskFreeLimit of
// Config set them.
func (n *Node) SetLimits(memory, diskFree uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg.MemoryLimit, n.cfg.DiskFreeLimit = memory, diskFree
	n.inner.SetWatermarks(node.Watermarks{Memory: memory, DiskFree: diskFree})
}

// Ready returns nil if the node can serve clients, else what it waits for.
func (n *Node) Ready() error { return n.current().Ready() }

// AwaitReady waits until the node can serve clients.
func (n *Node) AwaitReady(ctx context.Context) error { return n.current().AwaitReady(ctx) }

// JoinCluster moves the node to the cluster of the member at peer. Its own data are
// given up: it refuses while it holds durable queues, unless force is set.
func (n *Node) JoinCluster(peer string, force bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if durable := n.inner.DurableHere(); durable > 0 && !force {
		return fmt.Errorf("node %s holds %d durable queues, which joining would delete; delete or move them first, or force it", n.cfg.Name, durable)
	}
	if n.rejoin != "" {
		return errors.New("the node is joining a cluster already")
	}
	n.rejoin = peer
	close(n.restart)
	return nil
}

// Run serves until ctx ends or the node can't go on. It hands leaderships over before
// it stops, unless Kill was called.
func (n *Node) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	n.stop = cancel
	n.mu.Unlock()
	if n.cfg.Definitions != "" {
		tasks.Go(func() { n.define(ctx) })
	}
	pages := management.New(api{n}, management.Config{Logger: n.cfg.Logger, GuestRemote: n.cfg.GuestRemote, ConnectionsMax: n.cfg.ConnectionsMax, Metrics: n.metrics, Done: ctx.Done()})
	servers := []*http.Server{{Handler: pages, ReadHeaderTimeout: headerReadTimeout, IdleTimeout: httpIdleTimeout}}
	if n.scrapeL != nil {
		servers = append(servers, &http.Server{Handler: n.metrics, ReadHeaderTimeout: headerReadTimeout, IdleTimeout: httpIdleTimeout})
	}
	served := make(chan error, len(servers))
	httpL := n.httpL
	if n.certs.http != nil {
		httpL = tls.NewListener(httpL, n.certs.http.Config())
	}
	for i, l := range []net.Listener{httpL, n.scrapeL}[:len(servers)] {
		go func() { served <- servers[i].Serve(l) }()
	}
	var err error
	for {
		err = n.serve(ctx)
		n.mu.Lock()
		rejoin := n.rejoin
		n.mu.Unlock()
		if rejoin == "" || ctx.Err() != nil || err != nil {
			break
		}
		if err = n.reopen(rejoin); err != nil {
			break
		}
	}
	cancel()
	stop, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancelStop()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(stop))
	}
	if n.tracer != nil {
		if e := n.tracer.Shutdown(stop); e != nil {
			n.cfg.Logger.Warn("the last spans are lost", "error", e)
		}
	}
	for range servers {
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("HTTP: %w", e))
		}
	}
	return err
}

// serve serves until the inner node must end, and ends it.
func (n *Node) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	accepted := make(chan error, 1)
	go func() { accepted <- n.serveClients(ctx) }()
	var err error
	waiting, failed := true, false
	select {
	case <-ctx.Done():
	case <-n.restart:
	case err = <-n.inner.Failure():
		failed = true
	case err = <-accepted:
		waiting = false
	}
	cancel()
	if waiting {
		<-accepted
	}
	_ = n.closeListeners() // Serve may have closed them
	n.mu.Lock()
	killed := n.killed
	n.mu.Unlock()
	stop, cancelStop := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancelStop()
	if killed || failed {
		// Connections break, as those of a dead process do: a node without a disk has nothing
		// to say, and its clients should find another one at once.
		n.inner.Abort()
		cancelStop()
		_ = n.amqp.Shutdown(stop) // its only complaint is that it had no time
		return errors.Join(err, n.inner.Kill())
	}
	n.inner.HandOver()
	err = errors.Join(err, n.amqp.Shutdown(stop))
	return errors.Join(err, n.inner.Kill())
}

// serveClients accepts clients whenever the node is ready, and sends them away when it goes
// into maintenance: proxies see that it is not ready, then the queues get other leaders,
// then the addresses are closed, then the connections.
func (n *Node) serveClients(ctx context.Context) error {
	for listening := true; ; {
		for err := n.inner.Ready(); err != nil; err = n.inner.Ready() {
			if listening && n.inner.Drained() {
				listening = false
				_ = n.closeListeners() // Serve may have closed them
			}
			if ctx.Err() != nil {
				return nil
			}
			n.pause(ctx, readyInterval)
		}
		if !listening {
			if err := n.listenAMQP(); err != nil {
				return err
			}
			listening = true
		}
		onDuty, leave := context.WithCancel(ctx)
		drained := make(chan bool, 1)
		go func() {
			defer leave()
			for noticed := false; !noticed; noticed = n.inner.Drained() { // or it was revived meanwhile
				if n.inner.AwaitDrained(onDuty) != nil {
					drained <- false
					return
				}
				n.pause(onDuty, drainNotice)
			}
			n.inner.HandOver()
			drained <- true
		}()
		err := n.accept(onDuty)
		leave()
		if !<-drained || err != nil || ctx.Err() != nil {
			return err
		}
		// The addresses were closed with onDuty, even if the maintenance is over already.
		listening = false
		n.inner.SendAway()
	}
}

func (n *Node) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// reopen starts again as a blank member of another cluster.
func (n *Node) reopen(peer string) error {
	if err := node.Wipe(n.cfg.DataDir); err != nil {
		return err
	}
	n.cfg.Join, n.cfg.Peers = peer, nil
	if err := n.listenAMQP(); err != nil {
		return errors.Join(err, n.closeListeners())
	}
	return n.open()
}

// Kill makes the coming end of Run like the death of the process: no leadership is
// handed over, no connection closed in order. For tests.
func (n *Node) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.killed = true
}
