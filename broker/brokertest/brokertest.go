// Package brokertest starts real brokers inside a test process, no Docker needed.
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker"
)

const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
)

// Node is one broker node of a test.
type Node struct {
	t    testing.TB
	cfg  broker.Config
	b    *broker.Node
	stop context.CancelFunc
	done chan error
}

// Start starts a broker of one node and stops it when the test ends. Options change its
// settings.
func Start(t testing.TB, options ...func(*broker.Config)) *Node {
	t.Helper()
	n := newNode(t, "broker-1", nil, options)
	n.Start()
	n.AwaitReady()
	return n
}

// Cluster is a cluster of a test.
type Cluster struct{ Nodes []*Node }

// StartCluster starts a cluster of size nodes and waits until all are ready. Options
// change the settings of each.
func StartCluster(t testing.TB, size int, options ...func(*broker.Config)) *Cluster {
	t.Helper()
	peers := make([]string, size)
	for i := range peers {
		peers[i] = freeAddr(t)
	}
	c := &Cluster{}
	for i := range size {
		n := newNode(t, fmt.Sprintf("broker-%d", i+1), peers, options)
		n.cfg.PeerListen = peers[i]
		c.Nodes = append(c.Nodes, n)
		n.Start()
	}
	for _, n := range c.Nodes {
		n.AwaitReady()
	}
	return c
}

// Join adds a node to the cluster, and waits until it is ready.
func (c *Cluster) Join(name string, options ...func(*broker.Config)) *Node {
	first := c.Nodes[0]
	first.t.Helper()
	n := newNode(first.t, name, nil, options)
	for _, m := range c.Nodes {
		if m.stop != nil {
			n.cfg.Join = m.b.PeerAddr()
		}
	}
	n.Start()
	n.AwaitReady()
	c.Nodes = append(c.Nodes, n)
	return n
}

// URLs returns the AMQP URLs of the nodes.
func (c *Cluster) URLs() []string {
	urls := make([]string, 0, len(c.Nodes))
	for _, n := range c.Nodes {
		urls = append(urls, n.URL())
	}
	return urls
}

func newNode(t testing.TB, name string, peers []string, options []func(*broker.Config)) *Node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("WARREN_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n := &Node{t: t, cfg: broker.Config{
		Name: name, DataDir: filepath.Join(t.TempDir(), name), Listen: freeAddr(t), HTTPListen: freeAddr(t),
		PeerListen: freeAddr(t), Peers: peers, Logger: log,
	}}
	for _, o := range options {
		o(&n.cfg)
	}
	t.Cleanup(n.Stop)
	return n
}

// The ports of test nodes lie below those that the system gives to clients, so that no
// connection takes a node's port while it is stopped. Each process has a block of them for
// itself, which it holds by listening on the first: no other test does that either.
const (
	portMin    = 10000
	portMax    = 32000
	portsBlock = 200
	portTries  = 100
)

var ports struct {
	sync.Mutex
	claim net.Listener // on the block's first port, as long as the process lives
	first int
	last  int // given out
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	var lc net.ListenConfig
	for try := 0; ports.claim == nil; try++ {
		first := portMin + portsBlock*rand.IntN((portMax-portMin)/portsBlock)
		l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err == nil {
			ports.claim, ports.first, ports.last = l, first, first
		} else if try == portTries {
			t.Fatal(err)
		}
	}
	for range portTries {
		if ports.last++; ports.last == ports.first+portsBlock {
			ports.last = ports.first + 1
		}
		addr := fmt.Sprintf("127.0.0.1:%d", ports.last)
		if l, err := lc.Listen(t.Context(), "tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// Start starts a stopped node, on the addresses and the data it had.
func (n *Node) Start() {
	n.t.Helper()
	b, err := broker.New(n.cfg)
	for range portTries {
		if n.b != nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		// Somebody took a port since it was seen free; nobody knows this node's yet, but
		// for its peers.
		n.cfg.Listen, n.cfg.HTTPListen = freeAddr(n.t), freeAddr(n.t)
		if len(n.cfg.Peers) == 0 {
			n.cfg.PeerListen = freeAddr(n.t)
		}
		b, err = broker.New(n.cfg)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.b = b
	n.cfg.Listen, n.cfg.HTTPListen, n.cfg.PeerListen = b.AMQPAddr(), b.HTTPAddr(), b.PeerAddr()
	ctx, cancel := context.WithCancel(context.Background())
	n.stop, n.done = cancel, make(chan error, 1)
	go func() { n.done <- b.Run(ctx) }()
}

// AwaitReady waits until the node serves clients.
func (n *Node) AwaitReady() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := n.b.AwaitReady(ctx); err != nil {
		n.t.Fatalf("%s: %v", n.cfg.Name, err)
	}
}

// Stop stops the node in order; its data stay.
func (n *Node) Stop() {
	if n.stop == nil {
		return
	}
	n.stop()
	select {
	case err := <-n.done:
		if err != nil {
			n.t.Errorf("%s: %v", n.cfg.Name, err)
		}
	case <-time.After(stopTimeout):
		n.t.Errorf("%s does not stop", n.cfg.Name)
	}
	n.stop = nil
}

// Kill stops the node as a crash would: nothing is handed over.
func (n *Node) Kill() {
	n.b.Kill()
	n.Stop()
}

// AwaitFailure waits until the node stops by itself, and returns why.
func (n *Node) AwaitFailure() error {
	n.t.Helper()
	select {
	case err := <-n.done:
		n.stop()
		n.stop = nil
		return err
	case <-time.After(readyTimeout):
		n.t.Fatalf("%s goes on", n.cfg.Name)
		return nil
	}
}

// Wipe deletes what a stopped node keeps.
func (n *Node) Wipe() {
	n.t.Helper()
	if err := os.RemoveAll(n.cfg.DataDir); err != nil {
		n.t.Fatal(err)
	}
}

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// URL returns the node's AMQP URL, with user guest.
func (n *Node) URL() string { return "amqp://guest:guest@" + n.cfg.Listen + "/" }

// AMQPAddr returns the node's address for AMQP clients.
func (n *Node) AMQPAddr() string { return n.cfg.Listen }

// PeerAddr returns the node's address for other nodes.
func (n *Node) PeerAddr() string { return n.b.PeerAddr() }

// TLSAddr returns the node's address for AMQP clients with TLS, "" if there is none.
func (n *Node) TLSAddr() string { return n.b.TLSAddr() }

// HTTPAddr returns the address of the node's management API.
func (n *Node) HTTPAddr() string { return n.cfg.HTTPListen }

// MetricsAddr returns the node's address that serves metrics alone, "" if there is none.
func (n *Node) MetricsAddr() string { return n.b.MetricsAddr() }

// SetLimits changes the limits in bytes behind the node's memory and disk alarms; 0 is
// the default.
func (n *Node) SetLimits(memory, diskFree uint64) {
	n.cfg.MemoryLimit, n.cfg.DiskFreeLimit = memory, diskFree
	n.b.SetLimits(memory, diskFree)
}
