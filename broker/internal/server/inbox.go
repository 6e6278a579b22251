package server

import (
	"sync"

	"github.com/warren-mq/warren/broker/internal/node"
)

// run is a number of deliveries of one consumer, one after the other.
type run struct {
	c *node.Consumer
	n int
}

// news is what the node's workers have told a session since it last looked.
type news struct {
	deliveries []node.Delivery // those of all runs, in order
	runs       []run
	confirms   []node.Confirmation
	cancelled  []*node.Consumer
	abort      string // why the broker ends the connection; "" if it doesn't
	alarmed    bool   // alarm is new
	alarm      string
}

// deliveriesKeptMax is how long an emptied list of deliveries may be to be used again.
const deliveriesKeptMax = 4096

func (n *news) reset() {
	if cap(n.deliveries) > deliveriesKeptMax {
		n.deliveries = nil
	}
	clear(n.deliveries)
	clear(n.runs)
	clear(n.cancelled)
	*n = news{
		deliveries: n.deliveries[:0], runs: n.runs[:0],
		confirms: n.confirms[:0], cancelled: n.cancelled[:0],
	}
}

// inbox is how the node's workers reach a session: they append and wake, no more. It
// implements node.Session.
type inbox struct {
	wake chan struct{}

	mu   sync.Mutex
	news *news
}

var _ node.Session = (*inbox)(nil)

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1), news: new(news)} }

// Deliver implements node.Session.
func (b *inbox) Deliver(c *node.Consumer, ds []node.Delivery) {
	b.mu.Lock()
	b.news.deliveries = append(b.news.deliveries, ds...)
	if n := len(b.news.runs); n > 0 && b.news.runs[n-1].c == c {
		b.news.runs[n-1].n += len(ds)
	} else {
		b.news.runs = append(b.news.runs, run{c, len(ds)})
	}
	b.mu.Unlock()
	b.signal()
}

// Confirm implements node.Session.
func (b *inbox) Confirm(cs []node.Confirmation) {
	b.mu.Lock()
	b.news.confirms = append(b.news.confirms, cs...)
	b.mu.Unlock()
	b.signal()
}

// ConsumerCancelled implements node.Session.
func (b *inbox) ConsumerCancelled(c *node.Consumer) {
	b.mu.Lock()
	b.news.cancelled = append(b.news.cancelled, c)
	b.mu.Unlock()
	b.signal()
}

// Abort implements node.Session.
func (b *inbox) Abort(reason string) {
	b.mu.Lock()
	if b.news.abort == "" {
		b.news.abort = reason
	}
	b.mu.Unlock()
	b.signal()
}

// Blocked implements node.Session.
func (b *inbox) Blocked(reason string) {
	b.mu.Lock()
	b.news.alarmed, b.news.alarm = true, reason
	b.mu.Unlock()
	b.signal()
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// swap takes all there is and leaves empty, which must be reset.
func (b *inbox) swap(empty *news) *news {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.news
	b.news = empty
	return n
}
