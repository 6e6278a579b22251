package node

import (
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// timeoutArg is how long a delivery may wait for its acknowledgement, in milliseconds,
// as consumers and queues say it; 0: for ever.
const timeoutArg = "x-consumer-timeout"

// ackTimeout is a consumer's time-out. What a policy says of it may change.
type ackTimeout struct {
	own     time.Duration // as the consumer wants it; negative: it does not say
	queue   time.Duration
	version uint64 // of the policies behind queue
}

// newTimeout reads a consumer's arguments.
func newTimeout(args message.Table) (ackTimeout, error) {
	v, ok := args.Get(timeoutArg)
	if !ok {
		return ackTimeout{own: -1}, nil
	}
	ms, isInt := metadata.Integer(v)
	if !isInt || ms < 0 {
		return ackTimeout{}, fault.New(fault.PreconditionFailed,
			"invalid arg '%s': received '%v', allowed are milliseconds from 0", timeoutArg, v)
	}
	return ackTimeout{own: time.Duration(ms) * time.Millisecond}, nil
}

// AckTimeout returns how long a delivery to c may wait for its acknowledgement; 0: for
// ever. Of consumer, queue and policy, and node, the first that says something counts.
// Only the session's goroutine calls it.
func (c *Consumer) AckTimeout() time.Duration {
	t := &c.timeout
	if t.own >= 0 {
		return t.own
	}
	n := c.link.n
	if v := n.policies.Load() + 1; t.version != v {
		t.version = v
		n.topologyMu.RLock()
		ms := int64(-1)
		if q := n.topology.QueueByID(c.queueID); q != nil {
			ms = n.topology.ConsumerTimeout(q)
		}
		n.topologyMu.RUnlock()
		t.queue = time.Duration(ms) * time.Millisecond
	}
	if t.queue >= 0 {
		return t.queue
	}
	return max(n.cfg.ConsumerTimeout, 0)
}
