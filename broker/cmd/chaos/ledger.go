package main

import (
	"sync"
	"time"
)

// ledger keeps what clients saw of each message.
type ledger struct {
	run   uint64
	start time.Time

	mu       sync.Mutex
	messages [][]message // by publisher and its number
	takers   []*taker    // one for each time a consumer began
	queues   []activity
	confirms []gap // by publisher
	delivers []gap // by consumer
	damaged  int   // bodies that are not what was sent
	foreign  int   // messages that nobody sent
	failures int   // connections and channels lost
	notes    []string
}

// moment is nanoseconds since the run's start; 0 is never.
type moment int64

// message is the account of one message.
type message struct {
	queue     int
	session   uint32
	published moment // before it was written
	confirmed moment
	refused   bool // nacked
	returned  bool
	fresh     int  // deliveries without the redelivered flag
	again     int  // and with it
	settled   bool // an acknowledgement was sent
}

// taker is one subscription: what one consumer got on one channel.
type taker struct {
	queue, consumer int
	took            []taking
}

// taking is one delivery.
type taking struct {
	publisher   int
	seq         uint64
	at          moment
	redelivered bool
	acked       moment // when the acknowledgement was sent
}

// activity is when a queue last gave a sign of life.
type activity struct {
	confirm, deliver gap
}

// gap is the longest time without an event.
type gap struct {
	last     moment
	longest  time.Duration
	from, to moment // of the longest
}

func (g *gap) event(now moment) {
	if d := time.Duration(now - g.last); g.last > 0 && d > g.longest {
		g.longest, g.from, g.to = d, g.last, now
	}
	g.last = now
}

func newLedger(run uint64, publishers, queues int) *ledger {
	return &ledger{
		run: run, start: time.Now(), messages: make([][]message, publishers), queues: make([]activity, queues),
		confirms: make([]gap, publishers),
	}
}

func (l *ledger) now() moment { return moment(max(time.Since(l.start), 1)) }

// publish enters a message before it is sent, and numbers it.
func (l *ledger) publish(publisher, queue int, session uint32) stamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[publisher]
	*m = append(*m, message{queue: queue, session: session, published: l.now()})
	return stamp{run: l.run, publisher: uint32(publisher), session: session, seq: uint64(len(*m) - 1)}
}

func (l *ledger) confirm(publisher int, seq uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.messages[publisher][seq]
	if !ok {
		m.refused = true
		return
	}
	m.confirmed = l.now()
	l.queues[m.queue].confirm.event(m.confirmed)
	l.confirms[publisher].event(m.confirmed)
}

func (l *ledger) returned(publisher int, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[publisher][seq].returned = true
}

// begin enters a new subscription.
func (l *ledger) begin(queue, consumer int) *taker {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.delivers) <= consumer {
		l.delivers = append(l.delivers, gap{})
	}
	t := &taker{queue: queue, consumer: consumer}
	l.takers = append(l.takers, t)
	return t
}

// take enters a delivery. entry is its place in the taker's list.
func (l *ledger) take(t *taker, body []byte, redelivered bool) (entry int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, whole := readStamp(body)
	if !whole {
		l.damaged++
		return 0, false
	}
	p := int(s.publisher)
	if s.run != l.run || p >= len(l.messages) || s.seq >= uint64(len(l.messages[p])) || l.messages[p][s.seq].queue != t.queue {
		l.foreign++
		return 0, false
	}
	now := l.now()
	l.queues[t.queue].deliver.event(now)
	l.delivers[t.consumer].event(now)
	m := &l.messages[p][s.seq]
	if redelivered {
		m.again++
	} else {
		m.fresh++
	}
	t.took = append(t.took, taking{publisher: p, seq: s.seq, at: now, redelivered: redelivered})
	return len(t.took) - 1, true
}

// settling says that an acknowledgement is about to be sent.
func (l *ledger) settling(t *taker, entry int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &t.took[entry]
	k.acked = l.now()
	l.messages[k.publisher][k.seq].settled = true
}

func (l *ledger) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
}

// note keeps what is wrong but not about one message.
func (l *ledger) note(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, s)
}

// pending counts messages that were confirmed and have not come yet.
func (l *ledger) pending() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ms := range l.messages {
		for i := range ms {
			if m := &ms[i]; m.confirmed > 0 && m.fresh+m.again == 0 {
				n++
			}
		}
	}
	return n
}

// forgetGaps begins to measure the silences of the first two publishers and consumers.
func (l *ledger) forgetGaps() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, gs := range [][]gap{l.confirms, l.delivers} {
		for i := range gs {
			gs[i] = gap{last: l.now()}
		}
	}
}

// gaps returns them; one that is not over counts too.
func (l *ledger) gaps() (confirms, delivers [2]time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range confirms {
		confirms[i] = max(l.confirms[i].longest, time.Duration(l.now()-l.confirms[i].last))
		delivers[i] = max(l.delivers[i].longest, time.Duration(l.now()-l.delivers[i].last))
	}
	return confirms, delivers
}
