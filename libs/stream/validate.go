package stream

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits of properties.
const (
	partitionsMax  = 10_000
	concurrencyMax = 10_000
	prefetchMax    = math.MaxUint16 // of basic.qos
	retriesMax     = 64
	millisMax      = math.MaxUint32 * time.Millisecond // of x-message-ttl and its kin
)

// validateInput reports what is wrong with a consumer binding whose defaults are filled in.
func (b Binding) validateInput(batch bool) error {
	p := b.Consumer
	var c checks
	c.that(p.MaxAttempts >= 1, "MaxAttempts is %d, at least 1 is needed", p.MaxAttempts)
	c.that(p.Concurrency >= 1 && p.Concurrency <= concurrencyMax, "Concurrency is %d, allowed are 1 to %d", p.Concurrency, concurrencyMax)
	c.that(p.Prefetch >= 1 && p.Prefetch*p.Concurrency <= prefetchMax, "Prefetch is %d with %d handlers, allowed are 1 to %d together", p.Prefetch, p.Concurrency, prefetchMax)
	c.that(p.BackOffMultiplier >= 1, "BackOffMultiplier is %v, at least 1 is needed", p.BackOffMultiplier)
	c.that(p.BackOffInitialInterval > 0 && p.BackOffMaxInterval > 0, "BackOffInitialInterval and BackOffMaxInterval must be positive")
	c.that(p.BatchSize >= 1, "BatchSize is %d, at least 1 is needed", p.BatchSize)
	c.that(p.ReceiveTimeout > 0, "ReceiveTimeout must be positive")
	c.that(!p.Partitioned || b.Group != "", "it is partitioned and needs a group")
	c.that(len(p.InstanceIndexes) == 0 || p.Partitioned, "InstanceIndexes need Partitioned")
	for _, i := range append([]int{p.InstanceIndex}, p.InstanceIndexes...) {
		c.that(i >= 0 && i < partitionsMax, "partition %d, allowed are 0 to %d", i, partitionsMax-1)
	}
	c.that(p.OrderKey == nil || !batch, "OrderKey is not for batches")
	c.that(p.Acknowledge != AckManual || !batch, "AckManual is not for batches")
	c.that(!p.Exclusive || !p.Queue.SingleActiveConsumer, "Exclusive and SingleActiveConsumer exclude each other")
	c.that(!p.Queue.Quorum.Enabled || p.DurableSubscription.Or(true), "a quorum queue is durable")
	c.that(!p.RequeueRejected || len(p.DelayedRetry.Intervals) == 0, "RequeueRejected and DelayedRetry exclude each other")
	d := p.DelayedRetry
	c.that(len(d.Intervals) <= retriesMax, "%d waits of DelayedRetry, at most %d are allowed", len(d.Intervals), retriesMax)
	c.that(len(d.Intervals) == 0 || b.Group != "" && p.DurableSubscription.Or(true), "DelayedRetry needs a group with a durable queue")
	c.that(len(d.Intervals) == 0 || p.Acknowledge != AckNone, "DelayedRetry needs acknowledgements")
	c.that(d.Jitter >= 0 && d.Jitter <= 1, "Jitter of DelayedRetry is %v, allowed are 0 to 1", d.Jitter)
	for _, i := range d.Intervals {
		c.that(i >= time.Millisecond && i <= millisMax, "a wait of DelayedRetry is %v, allowed are 1ms to %v", i, millisMax)
	}
	c.queue(p.Queue, p.Partitioned)
	for _, part := range b.parts() {
		c.that(part.Destination != "", "one of its destinations is empty")
	}
	return c.of(b)
}

// validateOutput reports what is wrong with a producer binding whose defaults are filled in.
func (b Binding) validateOutput() error {
	p := b.Producer
	var c checks
	c.that(p.PartitionCount <= partitionsMax, "PartitionCount is %d, at most %d are allowed", p.PartitionCount, partitionsMax)
	c.that(p.PartitionCount <= 1 || p.PartitionKey != nil, "it is partitioned without a PartitionKey")
	c.that(p.PollInterval > 0, "PollInterval must be positive")
	c.that(p.InitialDelay >= 0, "InitialDelay is %v, it cannot be negative", p.InitialDelay)
	c.that(p.BatchSize >= 1 && p.BatchBytes >= 1 && p.BatchTimeout > 0, "BatchSize, BatchBytes and BatchTimeout must be positive")
	c.that(p.CompressionLevel >= 1 && p.CompressionLevel <= 9, "CompressionLevel is %d, allowed are 1 to 9", p.CompressionLevel)
	c.that(p.TTL >= 0 && p.TTL <= millisMax, "TTL is %v, allowed are 0 to %v", p.TTL, millisMax)
	c.that(p.DelayFrom == nil || p.Queue.DelayedExchange, "a delay needs a DelayedExchange")
	c.queue(p.Queue, p.Partitioned())
	return c.of(b)
}

// checks collects what is wrong.
type checks []error

func (c *checks) that(ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf(format, args...))
	}
}

func (c *checks) of(b Binding) error {
	if len(*c) == 0 {
		return nil
	}
	return fmt.Errorf("stream: binding %q: %w", b.Name, errors.Join(*c...))
}

func (c *checks) queue(q QueueProperties, partitioned bool) {
	switch q.ExchangeType {
	case "", "topic", "direct", "fanout", "headers":
	default:
		c.that(false, "ExchangeType is %q, allowed are topic, direct, fanout and headers", q.ExchangeType)
	}
	c.that(!partitioned || q.ExchangeType != "fanout", "a fanout exchange has no partitions")
	for name, d := range map[string]time.Duration{"TTL": q.TTL, "Expires": q.Expires, "DLQ.TTL": q.DLQ.TTL, "DLQ.Expires": q.DLQ.Expires} {
		c.that(d >= 0 && d <= millisMax, "%s is %v, allowed are 0 to %v", name, d, millisMax)
	}
	for name, n := range map[string]int{
		"MaxLength": q.MaxLength, "MaxLengthBytes": q.MaxLengthBytes, "DLQ.MaxLength": q.DLQ.MaxLength, "DLQ.MaxLengthBytes": q.DLQ.MaxLengthBytes,
	} {
		c.that(n >= 0 && n <= math.MaxInt32, "%s is %d, allowed are 0 to %d", name, n, math.MaxInt32)
	}
	for name, n := range map[string]int{"MaxPriority": q.MaxPriority, "DLQ.MaxPriority": q.DLQ.MaxPriority} {
		c.that(n >= 0 && n <= math.MaxUint8, "%s is %d, allowed are 0 to %d", name, n, math.MaxUint8)
	}
}
