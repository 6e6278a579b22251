package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/queue"
)

// The sampler looks at this node's counters from time to time, so that tools can be told
// rates, and how a queue's length went. What has not moved is not kept.
const (
	sampleInterval = 2 * time.Second
	samplesKept    = 60 // of each series
	// sampleRest bounds what sampling may cost: it rests that many times as long as it took,
	// but not for longer than sampleRestMax: it may have waited for a busy queue.
	sampleRest    = 50
	sampleRestMax = 10 * time.Second
)

// Sample is a queue, or a sum of queues, at one time.
type Sample struct {
	At      int64 // Unix milliseconds
	Ready   int
	Unacked int
	Counts  Counts
}

// series are the last samples of something, oldest first, and the rates between the last
// two.
type series struct {
	last  []Sample
	rates Rates
	// Changes of the lengths for each second.
	ready, unacked float64
	seen           int64 // the last round that met it
}

func (s *series) add(x Sample) {
	if n := len(s.last); n > 0 {
		old := &s.last[n-1]
		seconds := float64(x.At-old.At) / 1000
		s.rates = x.Counts.since(&old.Counts, seconds)
		if seconds > 0 {
			s.ready, s.unacked = float64(x.Ready-old.Ready)/seconds, float64(x.Unacked-old.Unacked)/seconds
		}
		if n == samplesKept {
			s.last = slices.Delete(s.last, 0, 1)
		}
	}
	s.last = append(s.last, x)
}

func (s *series) still(x *Sample) bool {
	n := len(s.last)
	return n > 0 && s.last[n-1].Counts == x.Counts && s.last[n-1].Ready == x.Ready && s.last[n-1].Unacked == x.Unacked
}

// traffic is what a connection had received and sent, and the rates since.
type traffic struct {
	at                                            time.Time
	received, sent, reads, writes                 uint64
	receivedRate, sentRate, readsRate, writesRate float64
	seen                                          int64
}

type samples struct {
	mu        sync.Mutex
	round     int64
	queues    map[uint64]*series
	latest    []QueueCounts // what each queue's leader here last said
	channels  map[*ChannelState]*series
	links     map[*Link]*traffic
	exchanges map[exchangeKey]*series // Publish: in, Deliver: out
	total     series                  // of this node's channels, and of the queues it leads
	churn     series                  // see churnCounts
}

func newSamples() *samples {
	return &samples{
		queues: map[uint64]*series{}, channels: map[*ChannelState]*series{},
		links: map[*Link]*traffic{}, exchanges: map[exchangeKey]*series{},
	}
}

// sample runs until the node stops.
func (n *Node) sample() {
	for n.ctx.Err() == nil {
		began := n.now()
		n.sampleOnce()
		took := n.now().Sub(began)
		if sleep(n.ctx, max(sampleInterval, min(sampleRest*took, sampleRestMax))) != nil {
			return
		}
	}
}

func (n *Node) sampleOnce() {
	queues, whole := n.countQueues(n.ctx)
	totals, exchanges, ch := n.Totals(), n.exchangesHere(), n.Churn()
	links, states := n.openLinks()
	now := n.now()
	at := now.UnixMilli()
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	sum := Sample{At: at, Counts: totals}
	for i := range queues {
		q := &queues[i]
		sum.Ready += q.Ready
		sum.Unacked += q.Unacked
		keep(s.queues, q.ID, s.round, Sample{At: at, Ready: q.Ready, Unacked: q.Unacked, Counts: q.Counts})
	}
	if whole {
		s.latest = queues
		drop(s.queues, s.round)
	} else { // the others are busy, not gone
		s.latest = withStale(queues, s.latest)
	}
	s.total.add(sum)
	s.churn.add(Sample{At: at, Counts: ch.counts()})
	for _, state := range states {
		keep(s.channels, state, s.round, Sample{At: at, Counts: state.Counts()})
	}
	for k, c := range exchanges {
		keep(s.exchanges, k, s.round, Sample{At: at, Counts: Counts{StatPublish: c.in, StatDeliver: c.out}})
	}
	for _, l := range links {
		if t := l.info.Traffic; t != nil {
			x := s.links[l]
			if x == nil {
				x = &traffic{at: l.since}
				s.links[l] = x
			}
			x.add(now, t)
			x.seen = s.round
		}
	}
	drop(s.channels, s.round)
	drop(s.exchanges, s.round)
	for l, x := range s.links {
		if x.seen != s.round {
			delete(s.links, l)
		}
	}
}

// keep adds a sample to a series. One that stands still keeps what it has: the last two
// samples say so.
func keep[K comparable](in map[K]*series, k K, round int64, x Sample) {
	s := in[k]
	if s == nil {
		s = &series{}
		in[k] = s
	}
	s.seen = round
	if n := len(s.last); n > 1 && s.still(&x) && s.rates == (Rates{}) && s.ready == 0 && s.unacked == 0 {
		s.last[n-1].At = x.At // nothing happened since
		return
	}
	s.add(x)
}

// drop forgets what the round did not meet.
func drop[K comparable](in map[K]*series, round int64) {
	for k, s := range in {
		if s.seen != round {
			delete(in, k)
		}
	}
}

func (x *traffic) add(now time.Time, t *Traffic) {
	received, sent, reads, writes := t.Received.Load(), t.Sent.Load(), t.Reads.Load(), t.Writes.Load()
	if seconds := now.Sub(x.at).Seconds(); seconds > 0 {
		x.receivedRate, x.sentRate = float64(received-x.received)/seconds, float64(sent-x.sent)/seconds
		x.readsRate, x.writesRate = float64(reads-x.reads)/seconds, float64(writes-x.writes)/seconds
	}
	x.at, x.received, x.sent, x.reads, x.writes = now, received, sent, reads, writes
}

// counts puts the churn where a series has its counters; see ChurnRates.
func (c Churn) counts() Counts {
	return Counts{
		c.ConnectionsOpened, c.ConnectionsClosed, c.ChannelsOpened, c.ChannelsClosed, c.QueuesDeclared, c.QueuesCreated, c.QueuesDeleted,
	}
}

// ChurnRates are the changes of the first fields of Churn for each second, in their order.
type ChurnRates [7]float64

// NodeTotals is the sum of what happens on one node.
type NodeTotals struct {
	Counts     Counts
	Rates      Rates
	Churn      Churn
	ChurnRates ChurnRates
	ReadyRate  float64
	UnackRate  float64
	Samples    []Sample
	Histograms Histograms

	Ready, Unacked int // messages of the queues that it leads
	Consumers      int
	Connections    int // of its clients
	Channels       int
}

// totalsHere returns this node's; its samples, too, if asked.
func (n *Node) totalsHere(ctx context.Context, history bool) NodeTotals {
	t := NodeTotals{Counts: n.Totals(), Churn: n.Churn(), Histograms: n.Histograms()}
	t.Connections, t.Channels = n.openCount()
	for _, q := range n.LedQueues(ctx) {
		t.Ready += q.Ready
		t.Unacked += q.Unacked
		t.Consumers += q.Consumers
	}
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Rates, t.ReadyRate, t.UnackRate = s.total.rates, s.total.ready, s.total.unacked
	copy(t.ChurnRates[:], s.churn.rates[:])
	if history {
		t.Samples = slices.Clone(s.total.last)
	}
	return t
}

// rated adds to counts what the sampler knows of the queues.
func (n *Node) rated(list []QueueCounts, history bool) []QueueCounts {
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		q := &list[i]
		if x := s.queues[q.ID]; x != nil {
			q.Rates, q.ReadyRate, q.UnackRate = x.rates, x.ready, x.unacked
			if history {
				q.Samples = slices.Clone(x.last)
			}
		}
	}
	return list
}

// lastKnown adds to list what the leaders here said last of the queues that are not in it.
func (n *Node) lastKnown(list []QueueCounts) []QueueCounts {
	s := n.samples
	s.mu.Lock()
	defer s.mu.Unlock()
	return withStale(list, s.latest)
}

// withStale adds to list those of old that are not in it.
func withStale(list, old []QueueCounts) []QueueCounts {
	have := make(map[uint64]bool, len(list))
	for i := range list {
		have[list[i].ID] = true
	}
	for i := range old {
		if !have[old[i].ID] {
			list = append(list, old[i])
			list[len(list)-1].Stale = true
		}
	}
	return list
}

// stats returns the counts of the queues that this member leads.
func (m *shardMachine) stats() []QueueCounts {
	var list []QueueCounts
	m.shard.Queues(func(q *queue.Queue) {
		if q.Sealed() {
			return // it is elsewhere, or on its way
		}
		st := q.Stats()
		c := QueueCounts{
			ID: q.ID, Leader: m.n.cfg.Name, Bytes: q.Bytes(), ReadyBytes: q.ReadyBytes(), Counts: countsOf(st),
			Dead: [4]uint64{st.Rejected, st.Expired, st.Over, st.Limit},
		}
		c.Ready, c.Unacked, c.Consumers = q.Counts()
		if a := q.Active(); a != nil {
			c.Active = a.Key
		}
		q.Consumers(func(x *queue.Consumer) {
			if x.Hungry() {
				c.Hungry++
			}
		})
		list = append(list, c)
	})
	return list
}
