package node

import (
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/meter"
	"github.com/warren-mq/warren/broker/internal/queue"
)

// Stat is something that is counted for each channel or queue.
type Stat uint8

// What is counted.
const (
	StatPublish        Stat = iota // messages that came
	StatPublishConfirm             // those of them that wait for a confirm, of a channel only
	StatConfirm                    // confirms sent
	StatReturn                     // unroutable messages given back
	StatDrop                       // unroutable messages dropped
	StatDeliver                    // deliveries that must be acknowledged
	StatDeliverNoAck               // deliveries that need no acknowledgement
	StatRedeliver                  // of all deliveries, those that are not the first
	StatGet                        // messages fetched that must be acknowledged
	StatGetNoAck                   // messages fetched that need no acknowledgement
	StatGetEmpty                   // gets that found nothing
	StatAck                        // acknowledgements
	StatSettled                    // acknowledgements, rejections and requeues, of a channel only
	Stats                          // how many there are
)

// Counts are values of the counters at one time.
type Counts [Stats]uint64

// Rates are changes of counters for each second.
type Rates [Stats]float64

// Counters are counters that their owner adds to and anybody reads.
type Counters [Stats]atomic.Uint64

// Add adds to one counter.
func (c *Counters) Add(s Stat, n uint64) { c[s].Add(n) }

// Counts returns the values now.
func (c *Counters) Counts() (v Counts) {
	for i := range c {
		v[i] = c[i].Load()
	}
	return v
}

// Plus adds other counts.
func (v *Counts) Plus(o *Counts) {
	for i, n := range o {
		v[i] += n
	}
}

// Plus adds other rates.
func (r *Rates) Plus(o *Rates) {
	for i, n := range o {
		r[i] += n
	}
}

// since returns the rates from old values to new ones; a counter that began anew counts
// from 0.
func (v *Counts) since(old *Counts, seconds float64) (r Rates) {
	if seconds <= 0 {
		return r
	}
	for i, n := range v {
		if n >= old[i] {
			r[i] = float64(n-old[i]) / seconds
		}
	}
	return r
}

// ChannelState is what a front end tells of one channel while it is open.
type ChannelState struct {
	Counters
	Prefetch, GlobalPrefetch atomic.Uint32
	Confirms, Transactional  atomic.Bool
}

// countsOf returns a queue's counters.
func countsOf(s queue.Stats) Counts {
	return Counts{
		StatPublish: s.Published, StatAck: s.Acked, StatDeliver: s.Delivered, StatDeliverNoAck: s.DeliveredNoAck,
		StatGet: s.Got, StatGetNoAck: s.GotNoAck, StatGetEmpty: s.GetEmpty, StatRedeliver: s.Redelivered,
	}
}

// Churn counts what came and went on this node since it started.
type Churn struct {
	ConnectionsOpened, ConnectionsClosed uint64
	ChannelsOpened, ChannelsClosed       uint64
	QueuesDeclared                       uint64 // declarations, of queues that were there too
	QueuesCreated, QueuesDeleted         uint64
	LoginsGood, LoginsBad                uint64
	// DeadLettered are messages whose copies are stored, by reason: rejected, expired,
	// maxlen, delivery_limit.
	DeadLettered [4]uint64
}

type churn struct {
	connectionsOpened, connectionsClosed, channelsOpened, channelsClosed atomic.Uint64
	queuesDeclared, queuesCreated, queuesDeleted, loginsGood, loginsBad  atomic.Uint64
}

// Churn returns these counters.
func (n *Node) Churn() Churn {
	c := &n.meters.churn
	v := Churn{
		ConnectionsOpened: c.connectionsOpened.Load(), ConnectionsClosed: c.connectionsClosed.Load(), ChannelsOpened: c.channelsOpened.Load(),
		ChannelsClosed: c.channelsClosed.Load(), QueuesDeclared: c.queuesDeclared.Load(), QueuesCreated: c.queuesCreated.Load(),
		QueuesDeleted: c.queuesDeleted.Load(), LoginsGood: c.loginsGood.Load(), LoginsBad: c.loginsBad.Load(),
	}
	for i := range v.DeadLettered {
		v.DeadLettered[i] = n.meters.dead[i].Load()
	}
	return v
}

// Histograms of one node. Times are in microseconds, sizes in bytes.
type Histograms struct {
	Confirm   meter.Snapshot // from a publish to its confirm
	Queued    meter.Snapshot // from a message's arrival to its first delivery; of some messages
	Replicate meter.Snapshot // from a log entry's proposal to its application; of some entries
	Sync      meter.Snapshot // one write to the log, with its sync
	Size      meter.Snapshot // bodies published
}

// meters are what this node measures all the time.
type meters struct {
	churn                            churn
	confirm, queued, replicate, sync meter.Histogram
	dead                             [4]atomic.Uint64 // messages dead-lettered, by reason
	// Of links and channels that are closed, under linksMu.
	closed    Counts
	sizes     meter.Snapshot
	exchanges map[exchangeKey]exchangeCounts
}

// Histograms returns what the node has measured.
func (n *Node) Histograms() Histograms {
	m := &n.meters
	h := Histograms{Confirm: m.confirm.Snapshot(), Queued: m.queued.Snapshot(), Replicate: m.replicate.Snapshot(), Sync: m.sync.Snapshot()}
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	h.Size = m.sizes
	for l := range n.links {
		s := l.sizes.Snapshot()
		h.Size.Merge(&s)
	}
	return h
}

// Totals returns the sum of the counters of all channels of this node, closed ones
// included.
func (n *Node) Totals() Counts {
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	sum := n.meters.closed
	for l := range n.links {
		for _, ch := range l.channels {
			if ch != nil {
				c := ch.Counts()
				sum.Plus(&c)
			}
		}
	}
	return sum
}

type exchangeKey struct{ vhost, name string }

type exchangeCounts struct{ in, out uint64 }

// exchangeCounter counts what one link publishes to one exchange.
type exchangeCounter struct{ in, out atomic.Uint64 }

// exchangesPerLink bounds how many exchanges a link counts by name; the rest are not.
const exchangesPerLink = 256

// countPublish counts a message to an exchange, and to how many queues it went. Only the
// front end's goroutine calls it.
func (l *Link) countPublish(exchange string, bytes, queues int) {
	c := l.counter
	if c == nil || l.counted != exchange {
		l.mu.Lock()
		if c = l.counters[exchange]; c == nil {
			if l.counters == nil {
				l.counters = map[string]*exchangeCounter{}
			}
			c = new(exchangeCounter)
			if len(l.counters) < exchangesPerLink {
				l.counters[exchange] = c
			}
		}
		l.mu.Unlock()
		l.counter, l.counted = c, exchange
	}
	c.in.Add(1)
	c.out.Add(uint64(queues))
	l.sizes.Observe(uint64(bytes))
}

// foldLink keeps what a link that ends has counted. The caller holds linksMu.
func (n *Node) foldLink(l *Link) {
	if n.meters.exchanges == nil {
		n.meters.exchanges = map[exchangeKey]exchangeCounts{}
	}
	sizes := l.sizes.Snapshot()
	n.meters.sizes.Merge(&sizes)
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, c := range l.counters {
		k := exchangeKey{l.vhost, name}
		sum := n.meters.exchanges[k]
		sum.in += c.in.Load()
		sum.out += c.out.Load()
		n.meters.exchanges[k] = sum
	}
	l.counters = nil
}

// exchangesHere returns what was published through this node, by exchange; what is kept
// of exchanges that are gone is dropped.
func (n *Node) exchangesHere() map[exchangeKey]exchangeCounts {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	sums := make(map[exchangeKey]exchangeCounts, len(n.meters.exchanges))
	for k, c := range n.meters.exchanges {
		if _, gone := n.topology.Exchange(k.vhost, k.name); gone != nil {
			delete(n.meters.exchanges, k)
			continue
		}
		sums[k] = c
	}
	for l := range n.links {
		l.mu.Lock()
		for name, c := range l.counters {
			k := exchangeKey{l.vhost, name}
			sum := sums[k]
			sum.in += c.in.Load()
			sum.out += c.out.Load()
			sums[k] = sum
		}
		l.mu.Unlock()
	}
	return sums
}

// synced counts a write to the log. The log's writer calls it.
func (n *Node) synced(took time.Duration) { n.meters.sync.Observe(uint64(took.Microseconds())) }

// probe follows one entry at a time from its proposal to its application.
type probe struct {
	out, back uint64 // entries proposed and applied
	follows   uint64 // the entry that is followed, by its number; 0: none
	at        time.Time
}

func (p *probe) proposed(n *Node) {
	if p.out++; p.follows == 0 {
		p.follows, p.at = p.out, n.now()
	}
}

// applied counts an entry of a leader, and reports whether it is the one that is followed.
func (p *probe) applied(leading bool) bool {
	if !leading {
		return false
	}
	if p.back++; p.follows == 0 || p.back < p.follows {
		return false
	}
	p.follows = 0
	return true
}
