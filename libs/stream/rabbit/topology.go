package rabbit

import (
	"encoding/base64"
	"strconv"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// Topology is what a binding needs at the broker, in the order of declaration. It is a pure function of the binding, equal to
// what Spring's RabbitExchangeQueueProvisioner declares, so that services of both kinds never meet a 406 from each other.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []QueueBinding

	// consume is the queue to consume from; empty for a producer.
	consume string
	// deadLetter says where a dead letter of the consumer goes; nil when it has no dead-letter queue.
	deadLetter *address
}

// Exchange to declare.
type Exchange struct {
	Name, Kind          string
	Durable, AutoDelete bool
	Args                amqp.Table
}

// Queue to declare.
type Queue struct {
	Name                           string
	Durable, AutoDelete, Exclusive bool
	Args                           amqp.Table

	spare bool // a dead-letter or retry queue: it must not keep the binding from working, see declare
}

// QueueBinding to make.
type QueueBinding struct {
	Queue, Key, Exchange string
	Args                 amqp.Table
}

type address struct{ exchange, key string }

const (
	deadLetterExchange = "DLX"
	deadLetterSuffix   = ".dlq"
	exchangeDelayed    = "x-delayed-message"
)

// anonymousGroup is a group name nobody else has: the prefix and 22 characters of base64url, as Spring's.
func anonymousGroup(prefix string) string {
	id := uuid.New()
	return prefix + base64.RawURLEncoding.EncodeToString(id[:])
}

// consumerTopology is for a consumer. group is b.Group, or a fresh anonymous one.
func consumerTopology(b stream.Binding, group string) *Topology {
	p, q := b.Consumer, b.Consumer.Queue
	anonymous := b.Group == ""
	t := &Topology{consume: queueName(b.Destination, group, q)}
	base := t.consume
	partition := ""
	if p.Partitioned {
		partition = "-" + strconv.Itoa(p.InstanceIndex)
		t.consume += partition
	}
	t.addExchange(b.Destination, q, nil)
	dlq := p.AutoBindDLQ && !anonymous
	if dlq {
		keys := []string{deadLetterKey(q, t.consume)}
		if p.RepublishToDLQ.Or(true) {
			keys = append(keys, base)
		}
		t.addDeadLetterQueue(q, base, keys)
		t.deadLetter = &address{exchange: deadLetterExchangeOf(q), key: deadLetterKey(q, t.consume)}
	}
	t.addRetryQueues(p, q)
	if !q.BindQueue.Or(true) {
		return t
	}
	durable := !anonymous && p.DurableSubscription.Or(true)
	t.Queues = append(t.Queues, Queue{
		Name: t.consume, Durable: durable, AutoDelete: !durable, Exclusive: anonymous,
		Args: queueArgs(q, p.AutoBindDLQ, t.consume, anonymous), // Spring names an exchange for the anonymous, too, but no queue
	})
	t.bindQueue(b.Destination, t.consume, q, partition)
	return t
}

// producerTopology is for a producer and its required groups.
func producerTopology(b stream.Binding) *Topology {
	p, q := b.Producer, b.Producer.Queue
	t := &Topology{}
	t.addExchange(b.Destination, q, t.addAlternate(p.AlternateExchange))
	for _, group := range p.RequiredGroups {
		base := queueName(b.Destination, group, q)
		partitions := []string{""}
		if p.Partitioned() {
			partitions = partitions[:0]
			for i := range max(p.PartitionCount, 1) {
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
			t.Queues = append(t.Queues, Queue{Name: name, Durable: true, Args: queueArgs(q, p.AutoBindDLQ, name, false)})
			t.bindQueue(b.Destination, name, q, part)
		}
	}
	return t
}

// addExchange adds the destination's exchange, unless somebody else declares it.
func (t *Topology) addExchange(destination string, q stream.QueueProperties, args amqp.Table) {
	if !q.DeclareExchange.Or(true) {
		return
	}
	x := Exchange{
		Name: q.Prefix + destination, Kind: exchangeType(q), Durable: q.ExchangeDurable.Or(true), AutoDelete: q.ExchangeAutoDelete, Args: args,
	}
	if q.DelayedExchange {
		if x.Args == nil {
			x.Args = amqp.Table{}
		}
		x.Args["x-delayed-type"] = x.Kind
		x.Kind = exchangeDelayed
	}
	t.Exchanges = append(t.Exchanges, x)
}

// addAlternate adds the exchange that takes what cannot be routed, and returns the argument that names it.
func (t *Topology) addAlternate(a stream.AlternateExchange) amqp.Table {
	if a.Name == "" {
		return nil
	}
	if !a.Exists {
		t.Exchanges = append(t.Exchanges, Exchange{Name: a.Name, Kind: orDefault(a.Type, amqp.ExchangeTopic), Durable: true})
		if a.Queue != "" {
			t.Queues = append(t.Queues, Queue{Name: a.Queue, Durable: true, Args: amqp.Table{}})
			b := QueueBinding{Queue: a.Queue, Key: orDefault(a.RoutingKey, "#"), Exchange: a.Name}
			if a.Type == amqp.ExchangeFanout {
				b.Key = ""
			}
			t.Bindings = append(t.Bindings, b)
		}
	}
	return amqp.Table{"alternate-exchange": a.Name}
}

// bindQueue adds the bindings of a queue to its destination; partition is "" or "-<index>". A partitioned queue is bound by
// the destination without its prefix.
func (t *Topology) bindQueue(destination, name string, q stream.QueueProperties, partition string) {
	keys := q.BindingRoutingKeys
	if len(keys) == 0 {
		keys = []string{"#"}
		if partition != "" {
			keys = []string{destination}
		}
	}
	for _, key := range keys {
		b := QueueBinding{Queue: name, Key: key + partition, Exchange: q.Prefix + destination}
		switch exchangeType(q) {
		case amqp.ExchangeFanout:
			b.Key = ""
		case amqp.ExchangeHeaders:
			b.Key, b.Args = "", q.QueueBindingArgs
		}
		t.Bindings = append(t.Bindings, b)
	}
}

// addDeadLetterQueue adds the queue, its exchange (unless that is the default one), and a binding for each distinct key.
func (t *Topology) addDeadLetterQueue(q stream.QueueProperties, base string, keys []string) {
	name := orDefault(q.DeadLetterQueueName, base+deadLetterSuffix)
	t.Queues = append(t.Queues, Queue{Name: name, Durable: true, Args: deadLetterQueueArgs(q.DLQ), spare: true})
	dlx := deadLetterExchangeOf(q)
	if dlx == "" {
		return
	}
	kind := orDefault(q.DeadLetterExchangeType, amqp.ExchangeDirect)
	if q.DeclareDLX.Or(true) {
		t.Exchanges = append(t.Exchanges, Exchange{Name: dlx, Kind: kind, Durable: true})
	}
	seen := map[string]bool{}
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		b := QueueBinding{Queue: name, Key: key, Exchange: dlx}
		if kind == amqp.ExchangeHeaders {
			b.Args = q.DLQBindingArgs
		}
		t.Bindings = append(t.Bindings, b)
	}
}

// addRetryQueues adds a queue for each distinct wait, from which a message goes back to the consumed queue when its time is up.
// They are as safe as that queue is.
func (t *Topology) addRetryQueues(p stream.ConsumerProperties, q stream.QueueProperties) {
	seen := map[string]bool{}
	for _, wait := range p.DelayedRetry.Intervals {
		name := retryQueue(t.consume, wait)
		if seen[name] {
			continue
		}
		seen[name] = true
		args := amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": t.consume}
		if q.Quorum.Enabled {
			args["x-queue-type"] = "quorum"
			args["x-dead-letter-strategy"] = "at-least-once"
			args["x-overflow"] = "reject-publish"
			setCount(args, "x-quorum-initial-group-size", q.Quorum.InitialGroupSize)
		}
		t.Queues = append(t.Queues, Queue{Name: name, Durable: true, Args: args, spare: true})
	}
}

func exchangeType(q stream.QueueProperties) string {
	return orDefault(q.ExchangeType, amqp.ExchangeTopic)
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
	return orDefault(q.DeadLetterRoutingKey, queue)
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
