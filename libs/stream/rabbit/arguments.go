package rabbit

import (
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// queueArgs are the x-arguments of a group's queue. Numbers have the type Java sends, Integer.
func queueArgs(q stream.QueueProperties, dlq bool, name string, anonymous bool) amqp.Table {
	d := stream.DeadLetterQueueProperties{
		TTL: q.TTL, Expires: q.Expires, MaxLength: q.MaxLength, MaxLengthBytes: q.MaxLengthBytes, MaxPriority: q.MaxPriority,
		OverflowBehavior: q.OverflowBehavior, SingleActiveConsumer: q.SingleActiveConsumer, Lazy: q.Lazy, Quorum: q.Quorum,
	}
	if anonymous {
		d.Quorum = stream.Quorum{} // a replicated queue cannot be exclusive
	}
	args := deadLetterQueueArgs(d)
	if dlq {
		args["x-dead-letter-exchange"] = deadLetterExchangeOf(q)
		args["x-dead-letter-routing-key"] = deadLetterKey(q, name)
	}
	return args
}

func deadLetterQueueArgs(d stream.DeadLetterQueueProperties) amqp.Table {
	args := amqp.Table{}
	setMillis(args, "x-message-ttl", d.TTL)
	setMillis(args, "x-expires", d.Expires)
	setCount(args, "x-max-length", d.MaxLength)
	setCount(args, "x-max-length-bytes", d.MaxLengthBytes)
	setCount(args, "x-max-priority", d.MaxPriority)
	if d.OverflowBehavior != "" {
		args["x-overflow"] = d.OverflowBehavior
	}
	if d.Lazy {
		args["x-queue-mode"] = "lazy"
	}
	if d.SingleActiveConsumer {
		args["x-single-active-consumer"] = true
	}
	if d.Quorum.Enabled {
		args["x-queue-type"] = "quorum"
		setCount(args, "x-delivery-limit", d.Quorum.DeliveryLimit)
		setCount(args, "x-quorum-initial-group-size", d.Quorum.InitialGroupSize)
	}
	if d.DeadLetterExchange != nil {
		args["x-dead-letter-exchange"] = *d.DeadLetterExchange
	}
	if d.DeadLetterRoutingKey != "" {
		args["x-dead-letter-routing-key"] = d.DeadLetterRoutingKey
	}
	return args
}

func setMillis(args amqp.Table, key string, d time.Duration) {
	switch ms := d.Milliseconds(); {
	case ms <= 0:
	case ms <= math.MaxInt32:
		args[key] = int32(ms)
	default:
		args[key] = ms // no Integer there either
	}
}

func setCount(args amqp.Table, key string, n int) {
	if n > 0 {
		args[key] = int32(n)
	}
}
