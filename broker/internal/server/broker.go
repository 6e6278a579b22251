package server

import (
	"context"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Broker is what the listener asks of a node. Errors are *fault.Error where the client
// shall read them; the contracts of the calls stand at package node.
type Broker interface {
	// Authenticate refuses a wrong password with fault.AccessRefused.
	Authenticate(user, password string) error
	// Identify refuses an unknown user, who has been authenticated by other means.
	Identify(user string) error
	// Connect opens a link for an authenticated user; refusals end the connection.
	Connect(ctx context.Context, vhost, user string, info node.ClientInfo, s node.Session) (Link, error)
}

// Link is one connection's handle. Only the session's goroutine calls it, but for Ready
// and Wait, which the reader calls.
type Link interface {
	Exchanges
	Queues
	Publisher
	Deliverer
	Channels
	// Reauthorize looks at the user's permissions anew and returns the consumers that
	// may no longer read their queue; its error ends the connection.
	Reauthorize() (lost []*node.Consumer, err error)
	// Close takes back what the connection held: consumers, unacked deliveries,
	// exclusive queues.
	Close()
}

// Exchanges is the link's part for exchanges and bindings.
type Exchanges interface {
	ExchangeDeclare(ctx context.Context, x node.ExchangeSpec, passive bool) error
	ExchangeDelete(ctx context.Context, name string, ifUnused bool) error
	Bind(ctx context.Context, b node.BindingSpec) error
	Unbind(ctx context.Context, b node.BindingSpec) error
}

// Queues is the link's part for queues.
type Queues interface {
	QueueDeclare(ctx context.Context, q node.QueueSpec, passive bool) (node.QueueInfo, error)
	QueueDelete(ctx context.Context, name string, ifUnused, ifEmpty bool) (uint32, error)
	QueuePurge(ctx context.Context, name string) (uint32, error)
}

// Channels is the link's part for counting channels.
type Channels interface {
	// OpenChannel fails if there are as many as may be.
	// What the session counts in s is shown to tools while the channel is open.
	OpenChannel(ctx context.Context, number uint16, s *node.ChannelState) error
	CloseChannel(number uint16)
}

// Publisher is the link's part for publishing.
type Publisher interface {
	// Publish never blocks. A number other than 0 is confirmed through
	// node.Session.Confirm, unless routed is false.
	Publish(channel uint16, number uint64, m *message.Message) (routed bool, err error)
	// Prepare and Send are the two halves of Publish.
	Prepare(m *message.Message) (*node.Publication, error)
	Send(channel uint16, number uint64, p *node.Publication) (routed bool)
	// Ready says that Wait would not block; Wait blocks while too many bytes are
	// unconfirmed.
	Ready() bool
	Wait(ctx context.Context) error
}

// Deliverer is the link's part for consuming.
type Deliverer interface {
	Consume(ctx context.Context, c node.ConsumeSpec) (*node.Consumer, error)
	Cancel(ctx context.Context, c *node.Consumer) error
	Limit(c *node.Consumer, prefetch uint16)
	Get(ctx context.Context, queue string, noAck bool) (c *node.Consumer, d node.Delivery, remaining uint32, ok bool, err error)
	Settle(c *node.Consumer, seqs []uint64, how node.Outcome)
	Credit(c *node.Consumer, n int, bytes int64)
}

// Connector is a broker whose links have a type of their own.
type Connector[L Link] interface {
	Authenticate(user, password string) error
	Identify(user string) error
	Connect(ctx context.Context, vhost, user string, info node.ClientInfo, s node.Session) (L, error)
}

// From makes a Broker of a node: it only widens the type of the links.
func From[L Link](c Connector[L]) Broker { return connector[L]{c} }

type connector[L Link] struct{ Connector[L] }

func (c connector[L]) Connect(
	ctx context.Context, vhost, user string, info node.ClientInfo, s node.Session,
) (Link, error) {
	l, err := c.Connector.Connect(ctx, vhost, user, info, s)
	if err != nil {
		return nil, err
	}
	return l, nil
}
