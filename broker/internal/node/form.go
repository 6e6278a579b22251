package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
	"github.com/warren-mq/warren/broker/internal/raftnode"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// call is a request to a node that need not be in the same cluster.
type call struct {
	Op          string
	Node        *metadata.Node // join
	VHost, User string         // count
	Name        string         // close
	Reason      string
	Group       uint64 // block, group
	Queue, Base uint64
	History     bool              // queues, totals: with samples
	After       map[string]uint64 // events: the last serial of each node that is known
	Skip, Count int               // peek
	To          uint64            // home: replica
}

// The calls. Those behind join are answered to members of the cluster only.
const (
	callProbe       = "probe"
	callJoin        = "join"
	callQueues      = "queues"
	callCount       = "count"
	callConnections = "connections"
	callClose       = "close"
	callBlock       = "block"
	callGroup       = "group"
	callRebalance   = "rebalance"
	callTotals      = "totals"
	callExchanges   = "exchanges"
	callMachine     = "machine"
	callEvents      = "events"
	callChanges     = "changes"
	callPeek        = "peek"
	callHome        = "home"
	callWork        = "work"
)

// callReply answers it.
type callReply struct {
	Error     string
	Name      string
	ClusterID string
	Forgotten bool              // the asker is no member any more
	Peers     map[uint64]string // the members' peer addresses
	Queues    []QueueCounts
	Block     []byte
	Raft      raftnode.GroupStatus

	Counts      counts
	Connections []ConnectionStatus
	Closed      int
	Totals      *NodeTotals
	Exchanges   []ExchangeCounts
	Machine     *MachineStatus
	Events      []Event
	Changes     []Change
	Peeked      []queue.Delivery
	Work        map[uint64]uint64 // bytes, by group that the node leads
}

const (
	callTimeout  = 3 * time.Second
	joinInterval = 300 * time.Millisecond
	peersFile    = "peers.json"
)

// Call implements cluster.Handler.
func (n *Node) Call(from cluster.Identity, b []byte) []byte {
	var c call
	r := callReply{Name: n.cfg.Name, ClusterID: n.transport.Identity().ClusterID}
	if err := json.Unmarshal(b, &c); err != nil {
		r.Error = err.Error()
	}
	switch c.Op {
	case callProbe:
		n.topologyMu.RLock()
		r.Forgotten = n.topology.IsForgotten(from.Replica) && !n.topology.Votes(from.Replica)
		n.topologyMu.RUnlock()
	case callJoin:
		if err := n.admit(c.Node); err != nil {
			r.Error = err.Error()
		}
		r.Peers = n.peerReplicas()
		r.Peers[n.id.Replica] = n.cfg.PeerAdvertise
	case callQueues, callCount, callConnections, callClose, callBlock, callGroup, callRebalance, callTotals, callExchanges, callMachine, callEvents,
		callChanges, callPeek, callHome, callWork:
		if from.ClusterID == r.ClusterID {
			n.answerMember(c, &r)
		}
	default:
		r.Error = fmt.Sprintf("call %q is unknown", c.Op)
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("node: " + err.Error()) // plain data: can't fail
	}
	return b
}

// answerMember answers a call that only members of the cluster may make.
func (n *Node) answerMember(c call, r *callReply) {
	switch c.Op {
	case callQueues:
		r.Queues = n.queuesHere(n.ctx, c.History)
	case callCount:
		r.Counts = n.countHere(c.VHost, c.User)
	case callConnections:
		r.Connections = n.connectionsHere()
	case callClose:
		r.Closed = n.closeHere(c.Name, c.Reason)
	case callBlock:
		var err error
		if r.Block, err = n.blockHere(c.Group, c.Queue, c.Base); err != nil {
			r.Error = err.Error()
		}
	case callTotals:
		r.Totals = new(n.totalsHere(n.ctx, c.History))
	case callExchanges:
		r.Exchanges = n.exchangesCounted()
	case callEvents:
		r.Events = n.eventsHere(c.After[n.cfg.Name])
	case callChanges:
		r.Changes = n.changesHere()
	case callPeek:
		var err error
		if r.Peeked, err = n.peekHere(n.ctx, c.Group, c.Queue, c.Skip, c.Count); err != nil {
			r.Error = err.Error()
		}
	case callHome:
		n.host.Home(c.Group, c.To)
	case callWork:
		r.Work = n.workHere()
	case callMachine:
		r.Machine = new(n.machineHere())
	case callRebalance:
		n.host.Rebalance()
	case callGroup:
		var err error
		if r.Raft, err = n.groupHere(n.ctx, c.Group); err != nil {
			r.Error = err.Error()
		}
	}
}

// admit takes a node into this node's cluster.
func (n *Node) admit(m *metadata.Node) error {
	if n.transport.Identity().ClusterID == "" {
		return fmt.Errorf("node %s belongs to no cluster yet", n.cfg.Name)
	}
	n.topologyMu.RLock()
	old := n.topology.Nodes[m.Name]
	n.topologyMu.RUnlock()
	join := &metadata.NodeJoin{Node: *m}
	if old != nil {
		if old.Replica != m.Replica && n.transport.Alive(old.Replica) {
			return fmt.Errorf("a node named %s is in the cluster and running", m.Name)
		}
		join.Replaces = old.Replica
	}
	_, err := n.propose(n.ctx, &metadata.Command{NodeJoin: join})
	return err
}

func (n *Node) callNode(ctx context.Context, addr string, c call) (callReply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var r callReply
	b, err := json.Marshal(c)
	if err != nil {
		return r, err
	}
	if b, err = n.transport.Call(ctx, addr, b); err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (n *Node) record() *metadata.Node {
	return &metadata.Node{
		Name: n.cfg.Name, Replica: n.id.Replica, Incarnation: n.id.Incarnation,
		Peer: n.cfg.PeerAdvertise, AMQP: n.cfg.AMQPAddr, Management: n.cfg.HTTPAddr,
	}
}

// run brings the node into its cluster, then keeps the cluster in order.
func (n *Node) run() {
	if err := n.enter(); err != nil {
		if n.ctx.Err() == nil {
			n.fail(err)
		}
		return
	}
	n.tasks.Go(n.register)
	n.tasks.Go(n.watchResources)
	n.tasks.Go(n.watchMembership)
	n.tasks.Go(n.sample)
	n.tasks.Go(n.tellEvents)
	n.tasks.Go(n.spreadTraffic)
	n.control()
}

// enter goes on with the cluster that the data directory knows, else forms or joins one.
func (n *Node) enter() error {
	if n.id.ClusterID != "" {
		n.transport.SetCluster(n.id.ClusterID)
		n.transport.SetPeers(n.loadPeers())
		return n.hostMeta(nil)
	}
	if n.cfg.Join == "" && len(n.cfg.Peers) == 0 {
		return n.form()
	}
	logged := ""
	for n.ctx.Err() == nil {
		joined, waiting, err := n.tryEnter()
		if err != nil || joined {
			return err
		}
		if waiting != logged {
			n.cfg.Logger.Info("waiting for the cluster", "reason", waiting)
			logged = waiting
		}
		_ = sleep(n.ctx, joinInterval)
	}
	return n.ctx.Err()
}

// tryEnter joins a formed cluster if a peer belongs to one. If all static peers
// answer and none does, the one with the lowest name forms it.
func (n *Node) tryEnter() (done bool, waiting string, err error) {
	peers := n.cfg.Peers
	if n.cfg.Join != "" {
		peers = []string{n.cfg.Join}
	}
	lowest, missing := true, ""
	for _, addr := range peers {
		r, err := n.callNode(n.ctx, addr, call{Op: callProbe})
		switch {
		case err != nil:
			missing = fmt.Sprintf("%s: %v", addr, err)
		case r.ClusterID != "" && r.Name != n.cfg.Name:
			return n.join(addr)
		case r.Name < n.cfg.Name:
			lowest = false
		}
	}
	switch {
	case missing != "":
		return false, missing, nil
	case n.cfg.Join != "":
		return false, n.cfg.Join + " belongs to no cluster yet", nil
	case !lowest:
		return false, "the first node to form it", nil
	}
	return true, "", n.form()
}

func (n *Node) join(addr string) (bool, string, error) {
	r, err := n.callNode(n.ctx, addr, call{Op: callJoin, Node: n.record()})
	if err != nil {
		return false, fmt.Sprintf("join through %s: %v", addr, err), nil
	}
	n.cfg.Logger.Info("joining the cluster", "cluster", r.ClusterID, "through", addr)
	delete(r.Peers, n.id.Replica)
	if err := n.savePeers(r.Peers); err != nil {
		return false, "", err
	}
	if err := n.belong(r.ClusterID); err != nil {
		return false, "", err
	}
	n.transport.SetPeers(r.Peers)
	return true, "", n.hostMeta(nil)
}

// form begins a cluster of this node alone; the others join it.
func (n *Node) form() error {
	id := newClusterID()
	n.cfg.Logger.Info("forming a cluster", "cluster", id)
	if err := n.hostMeta([]uint64{n.id.Replica}); err != nil {
		return err
	}
	hash, err := auth.Hash(auth.SHA256, n.cfg.GuestPassword)
	if err != nil {
		return err
	}
	guest := &metadata.User{
		Name: "guest", PasswordHash: hash, Hashing: string(auth.SHA256), Tags: []string{"administrator"},
		Permissions: map[string]metadata.Permission{"/": {Configure: ".*", Write: ".*", Read: ".*"}},
	}
	if _, err := n.propose(n.ctx, &metadata.Command{Form: &metadata.Form{ClusterID: id, Guest: guest}}); err != nil {
		return err
	}
	if _, err := n.propose(n.ctx, &metadata.Command{NodeUp: n.record()}); err != nil {
		return err
	}
	return n.belong(id)
}

func (n *Node) belong(id string) error {
	n.id.ClusterID = id
	n.transport.SetCluster(id)
	return saveIdentity(n.cfg.FS, n.id)
}

func (n *Node) hostMeta(voters []uint64) error {
	return n.host.Add(metaGroup, voters, func(g *raftnode.Group) raftnode.Machine { return &metaMachine{n: n, g: g} })
}

// register tells the cluster that this run of the node has begun: what ended with the
// run before is deleted.
func (n *Node) register() {
	for n.ctx.Err() == nil {
		n.topologyMu.RLock()
		m := n.topology.Nodes[n.cfg.Name]
		known := m != nil && *m == *n.record()
		n.topologyMu.RUnlock()
		if known {
			n.registered.Store(true)
			n.cfg.Logger.Info("node is in the cluster", "cluster", n.transport.Identity().ClusterID)
			return
		}
		if n.metaLeader.Load() != 0 {
			_, err := n.propose(n.ctx, &metadata.Command{NodeUp: n.record()})
			switch {
			case err == nil:
				continue
			case fault.KindOf(err) == fault.PreconditionFailed:
				return // forgotten: watchMembership ends it
			}
		}
		_ = sleep(n.ctx, readyInterval)
	}
}

// loadPeers returns the last known addresses of the other nodes: the topology may
// still be on its way when they are needed to reach it.
func (n *Node) loadPeers() map[uint64]string {
	peers := map[uint64]string{}
	b, err := storage.ReadFile(n.cfg.FS, peersFile)
	if err == nil {
		err = json.Unmarshal(b, &peers)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.cfg.Logger.Warn("last known peers not read", "error", err)
	}
	return peers
}

func (n *Node) savePeers(peers map[uint64]string) error {
	b, err := json.Marshal(peers)
	if err != nil {
		return err
	}
	return storage.ReplaceFile(n.cfg.FS, peersFile, b)
}
