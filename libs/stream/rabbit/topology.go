package rabbit

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// topology is what a binding needs at the broker, in the order of declaration. It is a pure function of the binding, equal to
// what Spring's RabbitExchangeQueueProvisioner declares, so that services of both kinds never meet a 406 from each other.
type topology struct {
	exchanges []exchange
	queues    []queue
	bindings  []binding
	// consume is the queue to consume from; empty for a producer.
	consume string
	// deadLetter says where a dead letter of the consumer goes; nil when it has no dead-letter queue.
	deadLetter *address
}

type exchange struct {
	name, kind string
	args       amqp.Table
}

type queue struct {
	name                           string
	durable, autoDelete, exclusive bool
	args                           amqp.Table
	deadLetter                     bool // it must not keep the binding from working: see declare
}

type binding struct {
	queue, key, exchange string
	args                 amqp.Table
}

type address struct{ exchange, key string }

const (
	anonymousGroupPrefix = "anonymous."
	deadLetterExchange   = "DLX"
	deadLetterSuffix     = ".dlq"
)

// anonymousGroup is a group name nobody else has: Spring's prefix and 22 characters of base64url.
func anonymousGroup() string {
	id := uuid.New()
	return anonymousGroupPrefix + base64.RawURLEncoding.EncodeToString(id[:])
}

// consumerTopology is B4.2 of the specification. group is b.Group, or a fresh anonymous one.
func consumerTopology(b stream.Binding, group string) topology {
	p, q := b.Consumer, b.Consumer.Queue
	anonymous := b.Group == ""
	t := topology{consume: queueName(b.Destination, group, q)}
	base := t.consume
	if p.Partitioned {
		t.consume += "-" + strconv.Itoa(p.InstanceIndex)
	}
	t.exchanges = declaredExchange(b.Destination, q)
	dlq := p.AutoBindDLQ && !anonymous
	if dlq {
		keys := []string{deadLetterKey(q, t.consume)}
		if p.RepublishToDLQ.Or(true) {
			keys = append(keys, base)
		}
		t.addDeadLetterQueue(q, base, keys)
		t.deadLetter = &address{exchange: deadLetterExchangeOf(q), key: deadLetterKey(q, t.consume)}
	}
	if !q.BindQueue.Or(true) {
		return t
	}
	durable := !anonymous && p.DurableSubscription.Or(true)
	t.queues = append(t.queues, queue{
		name: t.consume, durable: durable, autoDelete: !durable, exclusive: anonymous,
		args: queueArgs(q, dlq, t.consume, anonymous),
	})
	partition := ""
	if p.Partitioned {
		partition = "-" + strconv.Itoa(p.InstanceIndex)
	}
	t.bindQueue(b.Destination, t.consume, q, partition)
	return t
}

// producerTopology is B4.1.
func producerTopology(b stream.Binding) topology {
	p, q := b.Producer, b.Producer.Queue
	t := topology{exchanges: declaredExchange(b.Destination, q)}
	for _, group := range p.RequiredGroups {
		base := queueName(b.Destination, group, q)
		partitions := []string{""}
		if p.PartitionCount > 1 {
			partitions = partitions[:0]
			for i := range p.PartitionCount {
				partitions = append(partitions, "-"+strconv.Itoa(i))
			}
		}
		if p.AutoBindDLQ {
			var keys []string
			for _, part := range partitions {
				keys = append(keys, deadLetterKey(q, base+part))
			}
			t.addDeadLetterQueue(q, base, keys)
		}
		for _, part := range partitions {
			name := base + part
			t.queues = append(t.queues, queue{name: name, durable: true, args: queueArgs(q, p.AutoBindDLQ, name, false)})
			t.bindQueue(b.Destination, name, q, part)
		}
	}
	return t
}

func declaredExchange(destination string, q stream.QueueProperties) []exchange {
	if !q.DeclareExchange.Or(true) {
		return nil
	}
	return []exchange{{name: q.Prefix + destination, kind: exchangeType(q)}}
}

func exchangeType(q stream.QueueProperties) string {
	if q.ExchangeType == "" {
		return amqp.ExchangeTopic
	}
	return q.ExchangeType
}

func queueName(destination, group string, q stream.QueueProperties) string {
	if q.QueueNameGroupOnly {
		return q.Prefix + group
	}
	return q.Prefix + destination + "." + group
}

func deadLetterExchangeOf(q stream.QueueProperties) string {
	if q.DeadLetterExchange != nil {
		return *q.DeadLetterExchange
	}
	return q.Prefix + deadLetterExchange
}

func deadLetterKey(q stream.QueueProperties, queue string) string {
	if q.DeadLetterRoutingKey != "" {
		return q.DeadLetterRoutingKey
	}
	return queue
}

// bindQueue adds the bindings of a queue to its destination; partition is "" or "-<index>". A partitioned queue is bound by
// the destination without its prefix.
func (t *topology) bindQueue(destination, name string, q stream.QueueProperties, partition string) {
	keys := q.BindingRoutingKeys
	if len(keys) == 0 {
		keys = []string{"#"}
		if partition != "" {
			keys = []string{destination}
		}
	}
	for _, key := range keys {
		b := binding{queue: name, key: key + partition, exchange: q.Prefix + destination}
		switch exchangeType(q) {
		case amqp.ExchangeFanout:
			b.key = ""
		case amqp.ExchangeHeaders:
			b.key, b.args = "", q.QueueBindingArgs
		}
		t.bindings = append(t.bindings, b)
	}
}

// addDeadLetterQueue is B4.3: the queue, its exchange (unless that is the default one), and a binding for each distinct key.
func (t *topology) addDeadLetterQueue(q stream.QueueProperties, base string, keys []string) {
	name := q.DeadLetterQueueName
	if name == "" {
		name = base + deadLetterSuffix
	}
	t.queues = append(t.queues, queue{name: name, durable: true, args: deadLetterQueueArgs(q.DLQ), deadLetter: true})
	dlx := deadLetterExchangeOf(q)
	if dlx == "" {
		return
	}
	t.exchanges = append(t.exchanges, exchange{name: dlx, kind: amqp.ExchangeDirect})
	seen := map[string]bool{}
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			t.bindings = append(t.bindings, binding{queue: name, key: key, exchange: dlx})
		}
	}
}

// queueArgs are the x-arguments of a group's queue. Values have the types Java sends: int for counts, long for milliseconds.
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
	if d > 0 {
		args[key] = int32(d.Milliseconds())
	}
}

func setCount(args amqp.Table, key string, n int) {
	if n > 0 {
		args[key] = int32(n)
	}
}
