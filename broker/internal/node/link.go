package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/meter"
)

// Session is what the node asks of a front end: one per client connection. The
// node's workers call it, from any goroutine, so no method may block: it puts what
// it is given into its own inbox. Slices are the caller's again after the return.
type Session interface {
	// Deliver hands over messages for c, in delivery order. Calls for one consumer
	// are never concurrent. None comes after Cancel(c) has returned.
	Deliver(c *Consumer, ds []Delivery)
	// Confirm settles publishes that Link.Publish was given with a confirm number.
	// Each number comes exactly once while the link is open, in no fixed order.
	Confirm(cs []Confirmation)
	// ConsumerCancelled says that the broker ended c: its queue is gone.
	ConsumerCancelled(c *Consumer)
	// Blocked says that nobody may publish, and why; with "", that all may again.
	Blocked(reason string)
	// Abort says that the broker ends the connection (320), with the reason.
	Abort(reason string)
}

// Delivery is one message on its way to a consumer, or the answer to a get.
type Delivery struct {
	// Seq is the message's sequence number in its queue: what Settle names.
	Seq uint64
	// Redelivered is set if it may have been delivered before.
	Redelivered bool
	// DeliveryCount is the number of failed deliveries before this one, AcquiredCount that
	// of all deliveries before; the front end adds them as headers x-delivery-count and
	// x-acquired-count if they are not 0 (quorum queues only).
	DeliveryCount uint32
	AcquiredCount uint32
	Message       *message.Message
}

// Confirmation is the fate of one publish.
type Confirmation struct {
	Channel uint16
	Number  uint64 // as given to Publish
	Nack    bool   // refused: overflow reject-publish, or an internal error
}

// Outcome is what became of a delivery.
type Outcome uint8

// The outcomes of a delivery.
const (
	Ack     Outcome = iota // done: remove it
	Requeue                // back to its place, redelivered next time
	Failed                 // so too, and it counts as a failed delivery
	Discard                // reject without requeue: dead-letter it if the queue says where
)

// QueueSpec is what a declare asks for.
type QueueSpec struct {
	Name                           string // "" asks for a generated amq.gen- name
	Durable, Exclusive, AutoDelete bool
	Args                           message.Table
	// Internal is set on a queue that the front end needs for itself: no permission is.
	Internal bool
}

// QueueInfo is the answer to a declare.
type QueueInfo struct {
	Name      string
	Ready     uint32 // messages ready
	Consumers uint32
}

// ExchangeSpec is what an exchange declare asks for.
type ExchangeSpec struct {
	Name, Type                    string
	Durable, AutoDelete, Internal bool
	Args                          message.Table
}

// BindingSpec names a binding from an exchange to a queue or to another exchange.
type BindingSpec struct {
	Source      string
	Destination string
	ToExchange  bool
	Key         string
	Args        message.Table
}

// ConsumeSpec is what a consume asks for.
type ConsumeSpec struct {
	Channel   uint16
	Tag       string // never empty: the front end generates it
	Queue     string
	NoAck     bool
	Exclusive bool
	Prefetch  uint16 // 0: unlimited
	// Shared says that the channel has a limit that its consumers share.
	Shared bool
	Args   message.Table
	// Internal is set for a queue that the front end declared for itself.
	Internal bool
}

// Link is one client connection's handle on the broker.
type Link struct {
	n       *Node
	vhost   string
	user    string
	info    ClientInfo
	owner   metadata.ConnID
	session Session
	since   time.Time
	known   *access // the front end's goroutine's

	bytes atomic.Int64 // published and settled, and not applied yet
	room  chan struct{}

	mu        sync.Mutex
	consumers map[*Consumer]struct{}
	exclusive bool // has declared an exclusive queue
	closed    bool

	// Under Node.linksMu.
	open     bool // it was let in
	channels map[uint16]*ChannelState

	// What it publishes, by exchange: counters is under mu, the two of the last exchange
	// are the front end's goroutine's.
	counters map[string]*exchangeCounter
	counted  string
	counter  *exchangeCounter
	sizes    meter.Histogram

	route  []*metadata.Queue // scratch of Publish
	groups []gateTarget
}

// Close ends the link: consumers go, what they hold goes back, exclusive queues are
// deleted.
func (l *Link) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	consumers, exclusive := l.consumers, l.exclusive
	l.consumers = nil
	l.mu.Unlock()
	l.n.removeLink(l)
	ctx, cancel := context.WithTimeout(context.Background(), proposeTimeout)
	defer cancel()
	// Whoever sees this connection gone sees what it held back in its queue, and the queue
	// gone if it goes with its last consumer.
	var ending sync.WaitGroup
	for c := range consumers {
		if len(c.holds()) > 0 || l.n.autoDeletes(c.queueID) {
			ending.Go(func() { c.endNow(ctx) })
		} else {
			c.end(opDown)
		}
	}
	ending.Wait()
	if exclusive {
		if _, err := l.n.propose(ctx, &metadata.Command{ConnectionGone: &metadata.ConnectionGone{Owner: l.owner}}); err != nil {
			l.n.cfg.Logger.Warn("exclusive queues not deleted yet", "connection", l.info.Name, "error", err)
			l.n.proposeLater(&metadata.Command{ConnectionGone: &metadata.ConnectionGone{Owner: l.owner}})
		}
	}
}

func (l *Link) forget(c *Consumer) {
	l.mu.Lock()
	delete(l.consumers, c)
	l.mu.Unlock()
}

func (l *Link) confirm(cs []Confirmation) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if !closed {
		l.session.Confirm(cs)
	}
}

// release gives back n bytes of the link's budget.
func (l *Link) release(n int) {
	if left := l.bytes.Add(-int64(n)); left < linkBytesMax && left+int64(n) >= linkBytesMax {
		select {
		case l.room <- struct{}{}:
		default:
		}
	}
}

// Ready reports whether more may be published now.
func (l *Link) Ready() bool { return l.bytes.Load() < linkBytesMax }

// Wait waits until more may be published.
func (l *Link) Wait(ctx context.Context) error {
	for !l.Ready() {
		select {
		case <-l.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// queue returns a queue that this link may use.
func (l *Link) queue(name string) (*metadata.Queue, error) {
	l.n.topologyMu.RLock()
	defer l.n.topologyMu.RUnlock()
	q, f := l.n.topology.Queue(l.vhost, name)
	if f != nil {
		return nil, f
	}
	if f := q.Accessible(l.owner); f != nil {
		return nil, f
	}
	return q, nil
}

// ownQueue returns a queue that is a client's own to use as it likes.
func (l *Link) ownQueue(name string) (*metadata.Queue, error) {
	q, err := l.queue(name)
	if err != nil {
		return nil, err
	}
	if f := q.IsStore(); f != nil {
		return nil, f
	}
	return q, nil
}
