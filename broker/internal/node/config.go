package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// Config configures a node. The zero value of a field means its default.
type Config struct {
	Name    string // unique in the cluster; "broker-1"
	DataDir string // everything the node keeps

	FS      storage.FS      // where all of it is; DataDir's
	Network cluster.Network // how nodes reach each other; TCP

	PeerListen    string // host:port for other nodes; "127.0.0.1:0"
	PeerAdvertise string // what other nodes dial; the listener's address
	AMQPAddr      string // what cluster_status shows
	HTTPAddr      string // the management address, for other nodes and tools

	// Peers are the peer addresses of all first members, this node's included. A node
	// with an empty data directory forms the cluster together with them, or joins it
	// if it is formed already. None: it forms a cluster of its own.
	Peers []string
	// Join is the peer address of a member of the cluster to join, never to form one.
	Join string
	// Secret must be the same on all nodes.
	Secret string

	Watermarks Watermarks
	// ConsumerTimeout is how long a delivery may wait for its acknowledgement; 0:
	// consumerTimeoutDefault, negative: for ever.
	ConsumerTimeout time.Duration

	ChannelsMax int // channels of all connections to this node; 0: no limit
	VHostsMax   int // virtual hosts of the cluster; 0: no limit

	GuestPassword string // of the first user, guest; "guest"
	Workers       int    // loops that drive the groups; one for each core, at most 4
	GroupsPerNode int    // placement groups; 16
	SegmentBytes  int64  // of the write-ahead log; 64 MiB
	// Tracer takes the broker's own spans; nil: there are none.
	Tracer Tracer

	MemtableBytes int64 // of messages in memory that are in no run file yet; 32 MiB
	Logger        *slog.Logger
}

// Defaults and limits.
const (
	groupsPerNodeDefault = 16
	workersMax           = 4
	replicasDefault      = 3

	consumerTimeoutDefault = 30 * time.Minute

	// linkBytesMax is how much one connection may have published that is not settled
	// by the queues yet; past it its socket is not read.
	linkBytesMax = 16 << 20

	proposeTimeout  = 10 * time.Second
	proposeRetry    = 250 * time.Millisecond
	spreadTimeout   = 2 * time.Second // until all living nodes know a change
	requestRetry    = 200 * time.Millisecond
	attachWindow    = 500 * time.Millisecond // for nodes to say what their consumers hold
	silentGrace     = 3 * time.Second        // for the consumers of a node that is only silent
	goneGrace       = 10 * time.Second       // before a dead node's exclusive queues are deleted
	controlInterval = 200 * time.Millisecond
	closeTimeout    = 10 * time.Second
	handOverTimeout = 2 * time.Second
)

func (c *Config) setDefaults() error {
	if c.Name == "" {
		return errors.New("name is empty: every node needs one of its own")
	}
	if c.DataDir == "" {
		return errors.New("data directory is empty")
	}
	if c.FS == nil {
		c.FS = storage.OSDir(c.DataDir)
	}
	if c.Network == nil {
		c.Network = cluster.TCP
	}
	if c.PeerListen == "" {
		c.PeerListen = "127.0.0.1:0"
	}
	if c.GuestPassword == "" {
		c.GuestPassword = "guest"
	}
	if c.ConsumerTimeout == 0 {
		c.ConsumerTimeout = consumerTimeoutDefault
	}
	if c.MemtableBytes == 0 {
		c.MemtableBytes = memtableBytesDefault
	}
	if c.Workers == 0 {
		c.Workers = min(runtime.GOMAXPROCS(0), workersMax)
	}
	if c.GroupsPerNode == 0 {
		c.GroupsPerNode = groupsPerNodeDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, a := range c.Peers {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("peer %q: want host:port: %w", a, err)
		}
	}
	return nil
}

var _ cluster.Handler = (*Node)(nil)
