// Package node composes the broker: it hosts the groups, connects the nodes, and
// offers front ends what the broker can do. A client's request is carried out
// wherever the queue's leader is; the node that the client is connected to holds the
// ends together.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
	"github.com/warren-mq/warren/broker/internal/raftnode"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// Node is one broker node.
type Node struct {
	cfg       Config
	id        cluster.Identity
	unlock    func() error
	host      *raftnode.Host
	transport *cluster.Transport

	topologyMu sync.RWMutex
	topology   *metadata.State
	metaLeader atomic.Uint64 // replica; 0: nobody known
	registered atomic.Bool   // the topology knows this run of this node
	completed  atomic.Bool   // it is a full member of all its groups
	duty       chan struct{} // something changed that may have to do with maintenance

	waitersMu sync.Mutex
	serial    uint64
	waiters   map[uint64]chan outcome // proposals
	asked     map[uint64]chan reply   // requests

	spreadMu    sync.Mutex
	spread      sync.Cond
	peerApplied map[uint64]uint64

	gatesMu sync.RWMutex
	gates   map[gateKey]*gate

	accessVersion atomic.Uint64 // grows with each change of users, permissions, virtual hosts
	patterns      auth.Patterns

	linksMu    sync.Mutex
	links      map[*Link]struct{}
	serials    map[uint64]struct{} // of their owners
	tally      tally
	linkSerial atomic.Uint64
	consumerID atomic.Uint64

	holding atomic.Int32 // how many holds there are
	holdsMu sync.Mutex
	holds   map[uint64]*hold // by queue

	started time.Time
	events  events
	changes changes
	traced  atomic.Pointer[map[string]bool] // virtual hosts with a firehose; nil: none
	meters  meters
	samples *samples

	store    *store
	alarms   alarms
	policies atomic.Uint64 // version of the policies, of which some things follow

	ctx     context.Context
	cancel  context.CancelFunc
	stopped <-chan struct{}
	kick    chan struct{}     // wakes the control loop
	swept   bool              // the control loop's: leftovers are removed
	saved   map[uint64]string // the control loop's: the peers that are on disk
	tasks   sync.WaitGroup
	failure chan error
}

// Open starts a node. It returns at once: Ready tells when it belongs to a cluster.
func Open(cfg Config) (*Node, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if err := cfg.FS.MakeDir("."); err != nil {
		return nil, err
	}
	unlock, err := cfg.FS.Lock()
	if err != nil {
		return nil, err
	}
	n, err := open(cfg)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	n.unlock = unlock
	return n, nil
}

func open(cfg Config) (*Node, error) {
	id, err := loadIdentity(cfg.FS, cfg.Name)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, id: id, topology: metadata.New(),
		waiters: map[uint64]chan outcome{}, asked: map[uint64]chan reply{}, peerApplied: map[uint64]uint64{},
		gates: map[gateKey]*gate{}, holds: map[uint64]*hold{}, links: map[*Link]struct{}{}, serials: map[uint64]struct{}{}, tally: newTally(), samples: newSamples(),
		duty: make(chan struct{}, 1), kick: make(chan struct{}, 1), failure: make(chan error, 1),
	}
	n.spread.L = &n.spreadMu
	n.started = n.now()
	n.events.queue = make(chan any, eventsWaiting)
	n.alarms.marks, n.alarms.nodes, n.alarms.kick = cfg.Watermarks, map[uint64]Alarm{}, make(chan struct{}, 1)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.stopped = n.ctx.Done()
	n.transport, err = cluster.Listen(cluster.Options{
		Listen: cfg.PeerListen, Identity: id, Secret: cfg.Secret, Network: cfg.Network, Handler: n, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("peer address: %w", err)
	}
	if n.cfg.PeerAdvertise == "" {
		n.cfg.PeerAdvertise = n.transport.Addr().String()
	}
	n.transport.SetAddr(n.cfg.PeerAdvertise)
	if n.store, err = openStore(cfg.FS); err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}
	n.host, err = raftnode.Open(raftnode.Options{
		Replica: id.Replica, FS: cfg.FS, Sender: sender{n}, Workers: cfg.Workers,
		Logger: cfg.Logger, Failed: n.fail,
		Log: storage.LogOptions{SegmentBytes: cfg.SegmentBytes, Synced: n.synced},
	})
	if err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}
	if err := n.addOwnGroups(); err != nil {
		return nil, errors.Join(err, n.transport.Close(), n.host.Close(context.Background()))
	}
	n.transport.Start()
	n.host.Start()
	n.tasks.Go(n.run)
	return n, nil
}

// The groups of a node's unreplicated queues, and how a queue is given one.
const (
	durableGroup   = 10 // and the next
	transientGroup = 20 // and the next
	ownGroups      = 2  // of each kind
	firstPlacement = 1000
)

func isAlone(group uint64) bool { return group >= durableGroup && group < firstPlacement }

func (n *Node) addOwnGroups() error {
	newMachine := func(g *raftnode.Group) raftnode.Machine { return newShardMachine(n, g) }
	for i := range uint64(ownGroups) {
		if err := n.host.AddAlone(durableGroup+i, true, newMachine); err != nil {
			return err
		}
		if err := n.host.AddAlone(transientGroup+i, false, newMachine); err != nil {
			return err
		}
	}
	return nil
}

// placeOf returns where a queue's messages are. The caller holds topologyMu.
func (n *Node) placeOf(q *metadata.Queue) gateKey {
	if q.Group != 0 {
		return gateKey{group: q.Group}
	}
	k := gateKey{group: transientGroup + q.ID%ownGroups}
	if q.Durable {
		k.group = durableGroup + q.ID%ownGroups
	}
	if m := n.topology.Nodes[q.Node]; m != nil {
		k.home = m.Replica
	}
	return k
}

// gateOf returns the gate to a queue's group; it fails if its only home is down.
func (n *Node) gateOf(q *metadata.Queue) (*gate, error) {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	return n.gateOfLocked(q)
}

func (n *Node) gateOfLocked(q *metadata.Queue) (*gate, error) {
	if now := n.topology.QueueByID(q.ID); now != nil {
		q = now // it may have moved
	}
	k := n.placeOf(q)
	if isAlone(k.group) && k.home != n.id.Replica && !n.transport.Alive(k.home) {
		return nil, homeDown(q.Node, q.Name, q.VHost)
	}
	return n.gate(k), nil
}

// leaderOf returns the replica that leads a placement group, 0 if none is known.
func (n *Node) leaderOf(group uint64) uint64 {
	g := n.gate(gateKey{group: group})
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leader
}

func (n *Node) origin() queue.Origin {
	return queue.Origin{Replica: n.id.Replica, Incarnation: n.id.Incarnation}
}

// Name returns the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// PeerAddr returns the address that other nodes dial.
func (n *Node) PeerAddr() string { return n.cfg.PeerAdvertise }

// PeerListen returns the address that it listens on for other nodes.
func (n *Node) PeerListen() string { return n.transport.Addr().String() }

// DurableHere returns how many durable queues have this node as their only home.
func (n *Node) DurableHere() int {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	count := 0
	n.topology.EachQueue(func(q *metadata.Queue) {
		if q.Durable && (q.Node == n.cfg.Name || len(n.topology.Nodes) == 1) {
			count++
		}
	})
	return count
}

// Wipe removes what a stopped node keeps in its data directory.
func Wipe(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// Failure gives the reason why the node can't go on: its disk failed.
func (n *Node) Failure() <-chan error { return n.failure }

func (n *Node) fail(err error) {
	n.cfg.Logger.Error("node can't go on", "error", err)
	select {
	case n.failure <- err:
	default:
	}
}

// Ready returns nil if the node can serve clients, else what it waits for.
func (n *Node) Ready() error {
	switch {
	case n.ctx.Err() != nil:
		return errors.New("the node is stopping")
	case n.transport.Identity().ClusterID == "":
		return errors.New("the node belongs to no cluster yet: it waits for its peers")
	case n.metaLeader.Load() == 0:
		return errors.New("the cluster has no leader: fewer than a majority of its nodes are up")
	case !n.registered.Load():
		return errors.New("the node is catching up with the cluster")
	}
	if !n.complete() {
		return errors.New("the node is becoming a member of its placement groups")
	}
	if age := n.host.Stalled(); age > 0 {
		return fmt.Errorf("the disk stalls: a write has been waiting for %s", age.Round(time.Millisecond))
	}
	if n.Drained() {
		return errors.New("the node is in maintenance mode, which revive ends")
	}
	return nil
}

// AwaitReady waits until the node can serve clients.
func (n *Node) AwaitReady(ctx context.Context) error {
	for {
		err := n.Ready()
		if err == nil {
			return nil
		}
		if e := sleep(ctx, readyInterval); e != nil {
			return fmt.Errorf("%w: %w", e, err)
		}
	}
}

const readyInterval = 20 * time.Millisecond

// proposeLater makes a change of the topology in the background.
func (n *Node) proposeLater(c *metadata.Command) {
	if n.ctx.Err() != nil {
		return
	}
	n.tasks.Go(func() {
		for n.ctx.Err() == nil {
			_, err := n.propose(n.ctx, c)
			if err == nil || fault.KindOf(err) != fault.Unavailable {
				return
			}
		}
	})
}

// Abort ends everything that waits for the cluster, so that nobody waits for a node that
// can't go on. Kill follows.
func (n *Node) Abort() {
	n.cancel()
	n.wakeSpread()
}

// Kill stops the node as it is: the other nodes find out by themselves.
func (n *Node) Kill() error {
	n.Abort()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	n.tasks.Wait()
	err := n.transport.Close()
	err = errors.Join(err, n.host.Close(ctx))
	if n.unlock != nil {
		err = errors.Join(err, n.unlock())
	}
	return err
}

// HandOver gives the leaderships of this node to others, and waits a little for it: what
// comes before Kill in an orderly stop.
func (n *Node) HandOver() {
	ctx, cancel := context.WithTimeout(n.ctx, handOverTimeout)
	defer cancel()
	for {
		led := n.ledHere()
		if len(led) == 0 {
			return
		}
		for _, id := range led {
			n.host.Transfer(id, 0)
		}
		if sleep(ctx, readyInterval) != nil {
			return
		}
	}
}

// ledHere returns the groups that this node leads and others could.
func (n *Node) ledHere() []uint64 {
	others := 0
	for replica := range n.peerReplicas() {
		if n.transport.Alive(replica) {
			others++
		}
	}
	if others == 0 {
		return nil
	}
	var ids []uint64
	if n.metaLeader.Load() == n.id.Replica {
		ids = append(ids, metaGroup)
	}
	n.topologyMu.RLock()
	groups := n.topology.GroupIDs()
	n.topologyMu.RUnlock()
	for _, id := range groups {
		if n.leaderOf(id) == n.id.Replica && n.host.Hosts(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func newClusterID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
