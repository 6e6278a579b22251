package node

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// ExchangeDeclare declares an exchange, or checks that one is there.
func (l *Link) ExchangeDeclare(ctx context.Context, x ExchangeSpec, passive bool) error {
	want := metadata.Exchange{
		VHost: l.vhost, Name: x.Name, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete,
		Internal: x.Internal, Args: metadata.Args{Table: x.Args},
	}
	if x.Name == "" {
		return fault.New(fault.AccessRefused, "operation not permitted on the default exchange")
	}
	if err := l.mayDeclare(anExchange, x.Name, passive); err != nil {
		return err
	}
	l.n.topologyMu.RLock()
	have, f := l.n.topology.Exchange(l.vhost, x.Name)
	l.n.topologyMu.RUnlock()
	switch {
	case passive && f != nil:
		return f
	case passive:
		return nil
	}
	if f := metadata.CheckExchangeType(x.Type); f != nil {
		return f
	}
	if f == nil {
		return asError(have.Equivalent(&want))
	}
	if err := l.mayAlternate(x.Name, x.Args); err != nil {
		return err
	}
	return l.n.declareExchange(ctx, metadata.ExchangeDeclare{Exchange: want})
}

// declareExchange puts an exchange into the topology; the store of one that delays needs
// a place.
func (n *Node) declareExchange(ctx context.Context, d metadata.ExchangeDeclare) error {
	for {
		if d.Exchange.Type == metadata.Delayed {
			d.Group = n.place(nil)
		}
		r, err := n.propose(ctx, &metadata.Command{ExchangeDeclare: &d})
		if err != nil && fault.KindOf(err) == fault.Unavailable && r.Fault != nil && sleep(ctx, controlInterval) == nil {
			continue // there is no group yet, or it went away in between
		}
		return err
	}
}

func asError(f *fault.Error) error {
	if f == nil {
		return nil
	}
	return f
}

// ExchangeDelete deletes an exchange; one that is not there is deleted already.
func (l *Link) ExchangeDelete(ctx context.Context, name string, ifUnused bool) error {
	if name == "" {
		return fault.New(fault.AccessRefused, "operation not permitted on the default exchange")
	}
	if err := l.may(configure, anExchange, name); err != nil {
		return err
	}
	_, err := l.n.propose(ctx, &metadata.Command{ExchangeDelete: &metadata.ExchangeDelete{VHost: l.vhost, Name: name, IfUnused: ifUnused}})
	return err
}

// Bind adds a binding.
func (l *Link) Bind(ctx context.Context, b BindingSpec) error {
	c, err := l.binding(b)
	if err != nil {
		return err
	}
	l.n.topologyMu.RLock()
	_, f := l.n.topology.Exchange(l.vhost, b.Source)
	l.n.topologyMu.RUnlock()
	if f != nil {
		return f
	}
	if err := l.mayTouch(b); err != nil {
		return err
	}
	_, err = l.n.propose(ctx, &metadata.Command{Bind: c})
	return err
}

// Unbind removes a binding; one that is not there is removed already.
func (l *Link) Unbind(ctx context.Context, b BindingSpec) error {
	c, err := l.binding(b)
	if err != nil {
		return err
	}
	l.n.topologyMu.RLock()
	bound := l.n.topology.Bound(c)
	l.n.topologyMu.RUnlock()
	if !bound {
		return nil // this node has seen all that its clients were told
	}
	if err := l.mayTouch(b); err != nil {
		return err
	}
	_, err = l.n.propose(ctx, &metadata.Command{Unbind: c})
	return err
}

// mayTouch refuses bindings to another connection's exclusive queue.
func (l *Link) mayTouch(b BindingSpec) error {
	if b.ToExchange {
		return nil
	}
	_, err := l.ownQueue(b.Destination)
	return err
}

func (l *Link) binding(b BindingSpec) (*metadata.BindCommand, error) {
	if err := l.mayBind(b); err != nil {
		return nil, err
	}
	// The order of arguments makes no difference.
	args := slices.SortedStableFunc(slices.Values(b.Args), func(a, b message.Field) int { return strings.Compare(a.Key, b.Key) })
	return &metadata.BindCommand{VHost: l.vhost, Binding: metadata.Binding{
		Source: b.Source, Destination: b.Destination, ToExchange: b.ToExchange, Key: b.Key, Args: metadata.Args{Table: args},
	}}, nil
}

// QueueDeclare declares a queue, or checks that one is there, and waits until it is
// ready for use.
func (l *Link) QueueDeclare(ctx context.Context, s QueueSpec, passive bool) (QueueInfo, error) {
	l.n.meters.churn.queuesDeclared.Add(1)
	if passive {
		if err := l.mayDeclare(aQueue, s.Name, passive); err != nil {
			return QueueInfo{}, err
		}
		q, err := l.queue(s.Name)
		if err != nil {
			return QueueInfo{}, err
		}
		return l.n.stat(ctx, q)
	}
	if strings.HasPrefix(s.Name, "amq.") && !s.Internal {
		return QueueInfo{}, fault.New(fault.AccessRefused, "queue name '%s' contains reserved prefix 'amq.*'", s.Name)
	}
	if s.Name != "" {
		l.n.topologyMu.RLock()
		s.Args = l.n.topology.WithDefaultType(l.vhost, s.Durable, s.Exclusive, s.AutoDelete, s.Args)
		l.n.topologyMu.RUnlock()
	} else {
		s.Name = generatedName()
		if v, ok := s.Args.Get("x-queue-type"); ok && v == string(metadata.Quorum) {
			return QueueInfo{}, fault.New(fault.PreconditionFailed, "Cannot declare a server-named queue for type rabbit_quorum_queue")
		}
	}
	if !s.Internal {
		if err := l.may(configure, aQueue, s.Name); err != nil {
			return QueueInfo{}, err
		}
	}
	want := metadata.Queue{
		VHost: l.vhost, Name: s.Name, Durable: s.Durable && !s.Exclusive, AutoDelete: s.AutoDelete, Internal: s.Internal, Args: metadata.Args{Table: s.Args},
	}
	if s.Exclusive {
		want.Owner = l.owner
		l.mu.Lock()
		l.exclusive = true
		l.mu.Unlock()
	}
	l.n.topologyMu.RLock()
	have, missing := l.n.topology.Queue(l.vhost, s.Name)
	l.n.topologyMu.RUnlock()
	if missing == nil {
		if f := have.Accessible(l.owner); f != nil {
			return QueueInfo{}, f
		}
		if f := have.Equivalent(&want); f != nil {
			return QueueInfo{}, f
		}
		return l.n.stat(ctx, have)
	}
	if f := metadata.CheckQueue(l.vhost, s.Name, s.Durable, s.Exclusive, s.AutoDelete, s.Args); f != nil {
		return QueueInfo{}, f
	}
	if err := l.mayDeadLetter(s.Name, s.Args); err != nil {
		return QueueInfo{}, err
	}
	q, err := l.n.declareQueue(ctx, want)
	if err != nil {
		return QueueInfo{}, err
	}
	return l.n.stat(ctx, q)
}

// declareQueue chooses a place for a queue and puts it into the topology.
func (n *Node) declareQueue(ctx context.Context, q metadata.Queue) (*metadata.Queue, error) {
	for {
		n.topologyMu.RLock()
		replicated := n.topology.WantsReplicas(&q)
		q.Group, q.Node = 0, n.home(&q)
		n.topologyMu.RUnlock()
		if replicated {
			if q.Group, q.Node = n.place(nil), ""; q.Group == 0 {
				if err := sleep(ctx, controlInterval); err != nil {
					return nil, fault.New(fault.Unavailable, "the cluster has no placement groups yet")
				}
				continue
			}
		}
		r, err := n.propose(ctx, &metadata.Command{QueueDeclare: &metadata.QueueDeclare{Queue: q}})
		if err == nil {
			n.meters.churn.queuesCreated.Add(1)
		}
		if err != nil {
			if fault.KindOf(err) == fault.Unavailable && r.Fault != nil && sleep(ctx, controlInterval) == nil {
				continue // the group went away in between
			}
			return nil, err
		}
		return r.Queue, nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// home returns the node of a new queue that is not replicated: this one, or while it is in
// maintenance, and will be stopped, the first of those that run and are not. An exclusive
// queue stays with its connection, which ends then, too. The caller holds topologyMu.
func (n *Node) home(q *metadata.Queue) string {
	if n.topology.Drained[n.cfg.Name] && !q.Exclusive() {
		for _, name := range n.topology.NodeNames() {
			if !n.topology.Drained[name] && n.transport.Alive(n.topology.Nodes[name].Replica) {
				return name
			}
		}
	}
	return n.cfg.Name
}

// place returns the placement group for a new queue: one that this node leads if
// there is one, and of those the one with the fewest queues; more adds to their number.
// 0: there is none yet.
func (n *Node) place(more map[uint64]int) uint64 {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	best, bestLoad := uint64(0), 0
	for _, id := range n.topology.GroupIDs() {
		cost := 2 * (n.topology.QueuesIn(id) + more[id])
		if n.leaderOf(id) != n.id.Replica {
			cost++
		}
		if best == 0 || cost < bestLoad {
			best, bestLoad = id, cost
		}
	}
	return best
}

// stat asks a queue's leader for its counts, waiting until the queue is there.
func (n *Node) stat(ctx context.Context, q *metadata.Queue) (QueueInfo, error) {
	g, err := n.gateOf(q)
	if err != nil {
		return QueueInfo{}, err
	}
	a, err := n.ask(ctx, g, request{Queue: q.ID, Op: opStat})
	if err != nil {
		return QueueInfo{}, err
	}
	return QueueInfo{Name: q.Name, Ready: uint32(a.Ready), Consumers: uint32(a.Consumers)}, nil
}

// generatedName returns amq.gen- and 22 random characters.
func generatedName() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "amq.gen-" + base64.RawURLEncoding.EncodeToString(b[:])
}

// QueueDelete deletes a queue and returns how many messages were ready; one that is
// not there is deleted already.
func (l *Link) QueueDelete(ctx context.Context, name string, ifUnused, ifEmpty bool) (uint32, error) {
	if err := l.may(configure, aQueue, name); err != nil {
		return 0, err
	}
	q, err := l.ownQueue(name)
	switch {
	case err == nil:
	case fault.KindOf(err) == fault.NotFound:
		return 0, nil
	default:
		return 0, err
	}
	var ready uint32
	g, err := l.n.gateOf(q)
	if err == nil {
		a, err := l.n.ask(ctx, g, request{Queue: q.ID, Op: opProbe, Unused: ifUnused, Empty: ifEmpty})
		if err != nil {
			return 0, err
		}
		ready = uint32(a.Ready)
	} else if ifUnused || ifEmpty {
		return 0, err
	}
	_, err = l.n.propose(ctx, &metadata.Command{QueueDelete: &metadata.QueueDelete{ID: q.ID}})
	if err == nil {
		l.n.meters.churn.queuesDeleted.Add(1)
	}
	return ready, err
}

// QueuePurge removes the ready messages and returns how many they were.
func (l *Link) QueuePurge(ctx context.Context, name string) (uint32, error) {
	if err := l.may(read, aQueue, name); err != nil {
		return 0, err
	}
	q, err := l.queue(name)
	if err != nil {
		return 0, err
	}
	g, err := l.n.gateOf(q)
	if err != nil {
		return 0, err
	}
	a, err := l.n.ask(ctx, g, request{Queue: q.ID, Op: opPurge})
	return uint32(a.Ready), err
}
