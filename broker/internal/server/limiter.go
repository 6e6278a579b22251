package server

import (
	"slices"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// limiter is a channel's prefetch count, the one that its consumers share: basic.qos
// with global=true. A queue knows nothing of it: each consumer's own count is at most
// the shared one, and what comes beyond that waits here.
type limiter struct {
	limit  uint16 // 0: none
	held   int    // deliveries to consumers that await their settling
	parked []parked
	queued bool // in session.relieved
}

// parked is a delivery that the client may not see yet.
type parked struct {
	c *consumer
	d node.Delivery
}

// full says that another delivery must wait.
func (l *limiter) full() bool {
	return l.limit > 0 && (len(l.parked) > 0 || l.held >= int(l.limit))
}

// own returns the prefetch count of one consumer.
func (l *limiter) own(prefetch uint16) uint16 {
	if l.limit > 0 && (prefetch == 0 || prefetch > l.limit) {
		return l.limit
	}
	return prefetch
}

func (s *session) basicQos(ch *channel, m *amqp.BasicQos) error {
	if m.PrefetchSize != 0 {
		return amqp.Errorf(amqp.NotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	if m.Global {
		ch.limiter.limit = m.PrefetchCount
		ch.state.GlobalPrefetch.Store(uint32(m.PrefetchCount))
		for _, c := range ch.consumers {
			s.link.Limit(c.node, ch.limiter.own(c.prefetch))
		}
		s.relieve(ch)
	} else {
		ch.state.Prefetch.Store(uint32(m.PrefetchCount))
		ch.prefetch = m.PrefetchCount // for consumers to come
	}
	s.send(ch.number, &amqp.BasicQosOK{})
	return nil
}

// relieve makes the turn's end look at what is parked on a channel.
func (s *session) relieve(ch *channel) {
	if len(ch.limiter.parked) > 0 && !ch.limiter.queued {
		ch.limiter.queued = true
		s.relieved = append(s.relieved, ch)
	}
}

// unpark sends what may be sent now.
func (s *session) unpark() {
	for i, ch := range s.relieved {
		s.relieved[i] = nil
		l := &ch.limiter
		l.queued = false
		n := len(l.parked)
		if l.limit > 0 {
			n = min(n, max(int(l.limit)-l.held, 0))
		}
		for _, p := range l.parked[:n] {
			s.sendDelivery(p.c, &p.d)
			s.handOver(p.c, 1, int64(len(p.d.Message.Body)))
		}
		l.parked = slices.Delete(l.parked, 0, n)
	}
	s.relieved = s.relieved[:0]
}

// unparkBack gives back what is parked for one consumer, for all if c is nil.
func (s *session) unparkBack(ch *channel, c *consumer) {
	ch.limiter.parked = slices.DeleteFunc(ch.limiter.parked, func(p parked) bool {
		if c != nil && p.c != c {
			return false
		}
		s.settleUnsent(p.c, p.d.Seq)
		return true
	})
}
