package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// Actor does a few things for a user who has no connection, such as one of the
// management API: with the user's permissions, in one virtual host. It counts as no
// connection, and takes no deliveries. It is for one goroutine.
type Actor struct {
	*Link
	confirms chan Confirmation
	number   uint64
	counts   Counters // as a channel's
}

// publishTimeout bounds how long an actor waits for a queue to take a message.
const publishTimeout = 10 * time.Second

// Act returns an actor; Close ends it, and gives back what it holds.
func (n *Node) Act(vhost, user string) *Actor {
	a := &Actor{confirms: make(chan Confirmation, 1)}
	a.Link = &Link{
		n: n, vhost: vhost, user: user, info: ClientInfo{Name: "management"}, session: idle{a}, room: make(chan struct{}, 1), since: n.now(),
		owner:     metadata.ConnID{Replica: n.id.Replica, Incarnation: n.id.Incarnation, Serial: n.linkSerial.Add(1)},
		consumers: map[*Consumer]struct{}{}, channels: map[uint16]*ChannelState{},
	}
	return a
}

// Close ends the actor, gives back what it holds, and keeps what it has counted.
func (a *Actor) Close() {
	a.Link.Close()
	a.n.linksMu.Lock()
	defer a.n.linksMu.Unlock()
	a.n.foldLink(a.Link)
	c := a.counts.Counts()
	a.n.meters.closed.Plus(&c)
}

// PublishNow publishes a message and waits until its queues have it. routed is false if it
// goes nowhere; the error is Unavailable if a queue did not answer in time, or
// PreconditionFailed if one refused it.
func (a *Actor) PublishNow(ctx context.Context, m *message.Message) (routed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	a.number++
	if routed, err = a.Publish(0, a.number, m); err != nil {
		return false, err
	}
	a.counts.Add(StatPublish, 1)
	a.counts.Add(StatPublishConfirm, 1)
	if !routed {
		a.counts.Add(StatReturn, 1) // to the one who asked
		a.counts.Add(StatConfirm, 1)
		return false, nil
	}
	for {
		select {
		case c := <-a.confirms:
			switch {
			case c.Number != a.number: // of one that was given up
			case c.Nack:
				return true, fault.New(fault.PreconditionFailed, "a queue refused the message: it is full, or gone")
			default:
				a.counts.Add(StatConfirm, 1)
				return true, nil
			}
		case <-ctx.Done():
			return true, fault.New(fault.Unavailable, "the queues behind exchange '%s' did not take the message in time", m.Exchange)
		}
	}
}

// idle is the session of an actor.
type idle struct{ a *Actor }

var _ Session = idle{}

// Deliver implements Session: nobody consumes.
func (idle) Deliver(*Consumer, []Delivery) {}

// Confirm implements Session.
func (i idle) Confirm(cs []Confirmation) {
	for _, c := range cs {
		select {
		case i.a.confirms <- c:
		default: // nobody waits any more
		}
	}
}

// ConsumerCancelled implements Session.
func (idle) ConsumerCancelled(*Consumer) {}

// Blocked implements Session: operators may publish while an alarm lasts.
func (idle) Blocked(string) {}

// Abort implements Session.
func (idle) Abort(string) {}

// Routes returns the names of the queues that a message would go to, for whoever wants to
// know without sending it.
func (n *Node) Routes(vhost string, m *message.Message) ([]string, error) {
	qs, err := n.routeMessage(vhost, m, nil)
	names := make([]string, 0, len(qs))
	for _, q := range qs {
		names = append(names, q.Name)
	}
	return names, err
}

// PutQueue declares a queue for nobody in particular: no permission is asked. One that is
// there must be equal.
func (n *Node) PutQueue(ctx context.Context, vhost string, s QueueSpec) error {
	want := metadata.Queue{VHost: vhost, Name: s.Name, Durable: s.Durable, AutoDelete: s.AutoDelete, Args: metadata.Args{Table: s.Args}}
	n.topologyMu.RLock()
	have, missing := n.topology.Queue(vhost, s.Name)
	n.topologyMu.RUnlock()
	if missing == nil {
		return asError(have.Equivalent(&want))
	}
	if f := metadata.CheckQueue(vhost, s.Name, s.Durable, false, s.AutoDelete, s.Args); f != nil {
		return f
	}
	_, err := n.declareQueue(ctx, want)
	return err
}

// PutExchange is PutQueue for an exchange.
func (n *Node) PutExchange(ctx context.Context, vhost string, x ExchangeSpec) error {
	want := metadata.Exchange{
		VHost: vhost, Name: x.Name, Type: x.Type, Durable: x.Durable, AutoDelete: x.AutoDelete, Internal: x.Internal, Args: metadata.Args{Table: x.Args},
	}
	n.topologyMu.RLock()
	have, missing := n.topology.Exchange(vhost, x.Name)
	n.topologyMu.RUnlock()
	if missing == nil {
		return asError(have.Equivalent(&want))
	}
	return n.declareExchange(ctx, metadata.ExchangeDeclare{Exchange: want})
}

// PutBinding is PutQueue for a binding.
func (n *Node) PutBinding(ctx context.Context, vhost string, b BindingSpec) error {
	args := slices.SortedStableFunc(slices.Values(b.Args), func(a, b message.Field) int { return strings.Compare(a.Key, b.Key) })
	return n.Change(ctx, metadata.Command{Bind: &metadata.BindCommand{VHost: vhost, Binding: metadata.Binding{
		Source: b.Source, Destination: b.Destination, ToExchange: b.ToExchange, Key: b.Key, Args: metadata.Args{Table: args},
	}}})
}
