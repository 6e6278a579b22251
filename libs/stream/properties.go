package stream

import "time"

// Defaults of the properties. They are Spring Cloud Stream's but for Prefetch (there 1, which stalls a fast consumer).
const (
	DefaultMaxAttempts            = 3
	DefaultBackOffInitialInterval = time.Second
	DefaultBackOffMaxInterval     = 10 * time.Second
	DefaultBackOffMultiplier      = 2.0
	DefaultConcurrency            = 1
	DefaultPrefetch               = 16
	DefaultPollInterval           = time.Second
	DefaultContentType            = ContentTypeJSON
)

// Switch is a yes-or-no property whose zero value is its documented default.
type Switch int8

// The positions of a Switch.
const (
	Default Switch = iota
	On
	Off
)

// Or returns the position as a bool, byDefault standing for Default.
func (s Switch) Or(byDefault bool) bool {
	if s == Default {
		return byDefault
	}
	return s == On
}

// Binding ties a function to a destination. A zero property means its default.
type Binding struct {
	// Name is unique in the App, by custom <function>-in-0 or <function>-out-0.
	Name string
	// Destination is the exchange; Name when empty.
	Destination string
	// Group is shared by competing consumers, each group gets every message. Empty: an anonymous group of this process alone,
	// whose queue goes with it. Consumers only.
	Group string
	// ContentType of payloads without one of their own; application/json when empty.
	ContentType string
	// Consumer and Producer hold the properties of the direction in use.
	Consumer ConsumerProperties
	Producer ProducerProperties
}

// ConsumerProperties are Spring's consumer properties by their Go names.
type ConsumerProperties struct {
	MaxAttempts            int           // attempts of the handler for one delivery, the first included; 1 = no retry
	BackOffInitialInterval time.Duration // pause before the second attempt
	BackOffMaxInterval     time.Duration // longest pause
	BackOffMultiplier      float64       // growth of the pause
	Concurrency            int           // handlers that run at the same time
	Prefetch               int           // unsettled messages per concurrent handler that the broker may push
	AutoBindDLQ            bool          // declare <destination>.<group>.dlq and dead-letter into it
	RepublishToDLQ         Switch        // on by default: dead letters are published with their reason, not merely rejected
	RequeueRejected        bool          // with MaxAttempts 1: a failed message goes back to the queue
	DurableSubscription    Switch        // on by default; off: the group's queue goes with its last consumer
	Exclusive              bool          // sole consumer of the queue
	ConsumerPriority       int           // x-priority, 0 = none
	InstanceIndex          int           // partition consumed when Partitioned
	Partitioned            bool          // consume one partition of a partitioned destination; needs a Group
	Queue                  QueueProperties
}

// ProducerProperties are Spring's producer properties by their Go names.
type ProducerProperties struct {
	RoutingKey     string        // fixed key; the destination's name when empty. Message.RoutingKey overrides it
	RequiredGroups []string      // groups whose queues are declared although no member was ever started
	PartitionCount int           // > 1: key <routing key>-<partition>
	PartitionKey   func(Raw) any // value whose hash selects the partition; required when PartitionCount > 1
	Transient      bool          // delivery mode 1; persistent when false
	Mandatory      Switch        // on by default: a message that reaches no queue is an error
	PollInterval   time.Duration // pace of a Supplier
	AutoBindDLQ    bool          // the dead-letter set of RequiredGroups
	Queue          QueueProperties
}

// QueueProperties say how the exchange and the queues of a binding are declared. Members of one group must agree on them.
type QueueProperties struct {
	ExchangeType         string         // topic when empty; direct, fanout or headers
	DeclareExchange      Switch         // on by default
	BindQueue            Switch         // on by default; off: neither declare nor bind, the queue exists already
	BindingRoutingKeys   []string       // "#" when empty
	QueueBindingArgs     map[string]any // arguments of the binding, for a headers exchange
	QueueNameGroupOnly   bool           // the queue is called <group>, not <destination>.<group>
	Prefix               string         // in front of exchange and queue names
	TTL                  time.Duration  // x-message-ttl
	Expires              time.Duration  // x-expires
	MaxLength            int            // x-max-length
	MaxLengthBytes       int            // x-max-length-bytes
	MaxPriority          int            // x-max-priority
	OverflowBehavior     string         // x-overflow
	SingleActiveConsumer bool           // x-single-active-consumer
	Lazy                 bool           // x-queue-mode=lazy
	Quorum               Quorum
	DeadLetterExchange   *string // nil: <prefix>DLX; "" is the default exchange
	DeadLetterRoutingKey string  // the queue's name when empty
	DeadLetterQueueName  string  // <queue>.dlq when empty
	// DLQ is how the dead-letter queue is declared. Give it the same Quorum as its queue: on a cluster a plain one is out of
	// reach while its home node is down, and failed messages wait.
	DLQ DeadLetterQueueProperties
}

// Quorum asks for a replicated queue.
type Quorum struct {
	Enabled          bool // x-queue-type=quorum
	DeliveryLimit    int  // x-delivery-limit, 0 = the broker's
	InitialGroupSize int  // x-quorum-initial-group-size, 0 = the broker's
}

// DeadLetterQueueProperties are the arguments of the dead-letter queue.
type DeadLetterQueueProperties struct {
	TTL                  time.Duration
	Expires              time.Duration
	MaxLength            int
	MaxLengthBytes       int
	MaxPriority          int
	OverflowBehavior     string
	SingleActiveConsumer bool
	Lazy                 bool
	Quorum               Quorum
	DeadLetterExchange   *string // nil: none. "" with a TTL is the classic retry ladder: back to the queue after the TTL
	DeadLetterRoutingKey string
}

// withDefaults fills every zero field that has a default.
func (b Binding) withDefaults() Binding {
	b.Destination = or(b.Destination, b.Name)
	b.ContentType = or(b.ContentType, DefaultContentType)
	b.Consumer = b.Consumer.withDefaults()
	b.Producer.PollInterval = or(b.Producer.PollInterval, DefaultPollInterval)
	b.Producer.PartitionCount = max(b.Producer.PartitionCount, 1)
	return b
}

func (p ConsumerProperties) withDefaults() ConsumerProperties {
	p.MaxAttempts = or(p.MaxAttempts, DefaultMaxAttempts)
	p.BackOffInitialInterval = or(p.BackOffInitialInterval, DefaultBackOffInitialInterval)
	p.BackOffMaxInterval = or(p.BackOffMaxInterval, DefaultBackOffMaxInterval)
	p.BackOffMultiplier = or(p.BackOffMultiplier, DefaultBackOffMultiplier)
	p.Concurrency = or(p.Concurrency, DefaultConcurrency)
	p.Prefetch = or(p.Prefetch, DefaultPrefetch)
	return p
}

// or returns v unless it is the zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
