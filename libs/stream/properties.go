package stream

import (
	"context"
	"time"
)

// Defaults of the properties. They are Spring Cloud Stream's but for Prefetch (there 1, which stalls a fast consumer).
const (
	DefaultMaxAttempts            = 3
	DefaultBackOffInitialInterval = time.Second
	DefaultBackOffMaxInterval     = 10 * time.Second
	DefaultBackOffMultiplier      = 2.0
	DefaultConcurrency            = 1
	DefaultPrefetch               = 16
	DefaultReceiveTimeout         = time.Second
	DefaultPollInterval           = time.Second
	DefaultBatchSize              = 100
	DefaultBatchBytes             = 10_000
	DefaultBatchTimeout           = 5 * time.Second
	DefaultCompressionLevel       = 1
	DefaultAnonymousGroupPrefix   = "anonymous."
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

// AckMode says who settles a delivery.
type AckMode uint8

const (
	// AckAuto settles by what the handler returns.
	AckAuto AckMode = iota
	// AckManual leaves it to the handler, during its call or later: Delivery.Ack, Delivery.Requeue, Delivery.Reject. An error
	// that the handler returns is handled as with AckAuto, if nothing was settled before.
	AckManual
	// AckNone has the broker forget a message as it sends it. What it pushed and no handler has begun at a stop, and what is under
	// way at a crash, is lost.
	AckNone
)

// Binding ties a function to a destination. A zero property means its default.
type Binding struct {
	// Name is unique in the App, by custom <function>-in-0 or <function>-out-0.
	Name string
	// Destination is the exchange; Name when empty. A consumer may name several, with commas between.
	Destination string
	// Group is shared by competing consumers, each group gets every message. Empty: an anonymous group of this process alone,
	// whose queue goes with it. Consumers only.
	Group string
	// ContentType of payloads without one of their own; application/json when empty.
	ContentType string
	// Binder is the name of the binder to use, see WithBinder; the App's own when empty.
	Binder string
	// Consumer and Producer hold the properties of the direction in use.
	Consumer ConsumerProperties
	Producer ProducerProperties
}

// ConsumerProperties are Spring's consumer properties by their Go names.
type ConsumerProperties struct {
	AutoStartup            Switch           // on by default; off: bound by App.Control only
	MaxAttempts            int              // attempts of the handler for one delivery, the first included; 1 = no retry
	BackOffInitialInterval time.Duration    // pause before the second attempt
	BackOffMaxInterval     time.Duration    // longest pause
	BackOffMultiplier      float64          // growth of the pause
	Retryable              func(error) bool // false: no further attempt; nil: every error is worth one
	// ErrorHandler, when set, takes the place of dead-lettering once the attempts are used up. Nil settles the message; Requeue
	// and Reject mean what they do in a handler, another error rejects the message to the broker.
	ErrorHandler func(ctx context.Context, m Raw, err error) error
	DelayedRetry DelayedRetry // attempts that come back through the broker, after those of MaxAttempts
	Concurrency  int          // handlers that run at the same time
	// OrderKey, when set, keeps order per key in spite of Concurrency: messages with one key are handled one after another.
	OrderKey            func(Raw) string
	Prefetch            int           // unsettled messages per concurrent handler that the broker may push
	Acknowledge         AckMode       // AckAuto, AckManual or AckNone
	BatchSize           int           // most messages that a batch handler gets at once
	ReceiveTimeout      time.Duration // how long an unfilled batch waits for its next message
	HeaderPatterns      []string      // headers that are taken over: names, with * as a wildcard and ! in front for not; all when empty
	AutoBindDLQ         bool          // declare <destination>.<group>.dlq and dead-letter into it
	RepublishToDLQ      Switch        // on by default: dead letters are published with their reason, not merely rejected
	RepublishTransient  bool          // dead letters do not survive a broker's restart
	FrameMaxHeadroom    int           // bytes of a frame that a stack trace leaves free; 20000 when 0
	RequeueRejected     bool          // with MaxAttempts 1: a failed message goes back to the queue, unless there is a dead-letter exchange to publish it to
	DurableSubscription Switch        // on by default; off: the group's queue goes with its last consumer
	Exclusive           bool          // sole consumer of the queue
	MissingQueuesFatal  bool          // a queue that cannot be declared or found stops the binding for good
	ConsumerTagPrefix   string        // consumer tags are <prefix>#<n>; the binding's name when empty
	ConsumerPriority    int           // x-priority, 0 = none
	// AnonymousGroupPrefix is in front of the random name of an anonymous group; "anonymous." when empty.
	AnonymousGroupPrefix string
	Partitioned          bool  // consume one partition of a partitioned destination; needs a Group
	InstanceIndex        int   // the partition
	InstanceIndexes      []int // several partitions, in place of InstanceIndex
	Queue                QueueProperties
}

// DelayedRetry lets a failed message wait in a queue of the broker instead of in a handler: nothing blocks meanwhile, and the
// wait survives this process. It is in use when it has Intervals.
type DelayedRetry struct {
	// Intervals are the waits, in order. Each distinct one is a queue <queue>.retry.<milliseconds>.
	Intervals []time.Duration
	// Jitter shortens each wait by a random share up to this one, so that failures do not come back as the herd they left as.
	// From 0 to 1; 0.1 is a fair value.
	Jitter float64
	// MaxAge, when positive, dead-letters a message whose first failure is longer ago, whatever Intervals are left.
	MaxAge time.Duration
}

// ProducerProperties are Spring's producer properties by their Go names.
type ProducerProperties struct {
	AutoStartup       Switch                           // on by default; off: bound by App.Control only
	RoutingKey        string                           // fixed key; the destination's name when empty. Message.RoutingKey overrides it
	RoutingKeyFrom    func(Raw) (string, error)        // key of each message, in place of RoutingKey
	DelayFrom         func(Raw) (time.Duration, error) // delay of each message that has none
	RequiredGroups    []string                         // groups whose queues are declared although no member was ever started
	PartitionCount    int                              // how many partitions there are, at least 1; more than 1 need a PartitionKey
	PartitionKey      func(Raw) any                    // value whose hash selects the partition; with it the key is <routing key>-<partition>
	PartitionSelector func(key any) (int, error)       // in place of the hash; the partition is |result| modulo PartitionCount
	Transient         bool                             // delivery mode 1; persistent when false
	Mandatory         Switch                           // on by default: a message that reaches no queue is an error
	Priority          uint8                            // of messages that have none
	TTL               time.Duration                    // of messages that have none
	HeaderPatterns    []string                         // headers that are sent: names, with * as a wildcard and ! in front for not; all when empty
	Batching          bool                             // several messages travel as one, in the format that Spring's consumers split
	BatchSize         int                              // most messages in one
	BatchBytes        int                              // most bytes in one, lengths included
	BatchTimeout      time.Duration                    // how long a message waits for others
	Compress          bool                             // gzip, which Spring's consumers unpack by themselves
	CompressionLevel  int                              // 1 (fastest) to 9 (smallest)
	AlternateExchange AlternateExchange                // takes what no queue takes
	PollInterval      time.Duration                    // pace of a Supplier
	InitialDelay      time.Duration                    // before a Supplier is asked first
	MessagesPerPoll   int                              // how often a Supplier is asked in a turn, while it has messages
	AutoBindDLQ       bool                             // the dead-letter set of RequiredGroups
	Queue             QueueProperties
}

// AlternateExchange is where an exchange sends what it cannot route. It is in use when it has a Name.
type AlternateExchange struct {
	Name       string // without prefix
	Exists     bool   // do not declare it
	Type       string // topic when empty
	Queue      string // bound to it, when not empty
	RoutingKey string // of that binding; "#" when empty
}

// QueueProperties say how the exchange and the queues of a binding are declared. Members of one group must agree on them.
type QueueProperties struct {
	ExchangeType           string         // topic when empty; direct, fanout or headers
	DeclareExchange        Switch         // on by default
	ExchangeDurable        Switch         // on by default
	ExchangeAutoDelete     bool           // the exchange goes with its last binding
	DelayedExchange        bool           // x-delayed-message, routing as ExchangeType does
	BindQueue              Switch         // on by default; off: neither declare nor bind, the queue exists already
	BindingRoutingKeys     []string       // "#" when empty
	QueueBindingArgs       map[string]any // arguments of the binding, for a headers exchange
	QueueNameGroupOnly     bool           // the queue is called <group>, not <destination>.<group>
	Prefix                 string         // in front of exchange and queue names
	TTL                    time.Duration  // x-message-ttl
	Expires                time.Duration  // x-expires
	MaxLength              int            // x-max-length
	MaxLengthBytes         int            // x-max-length-bytes
	MaxPriority            int            // x-max-priority
	OverflowBehavior       string         // x-overflow
	SingleActiveConsumer   bool           // x-single-active-consumer
	Lazy                   bool           // x-queue-mode=lazy
	Quorum                 Quorum
	DeadLetterExchange     *string        // nil: <prefix>DLX; "" is the default exchange
	DeadLetterExchangeType string         // direct when empty
	DeclareDLX             Switch         // on by default
	DeadLetterRoutingKey   string         // the queue's name when empty
	DeadLetterQueueName    string         // <queue>.dlq when empty
	DLQBindingArgs         map[string]any // arguments of the dead-letter queue's binding, for a headers exchange
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
	b.Producer = b.Producer.withDefaults()
	return b
}

func (p ConsumerProperties) withDefaults() ConsumerProperties {
	p.MaxAttempts = or(p.MaxAttempts, DefaultMaxAttempts)
	p.BackOffInitialInterval = or(p.BackOffInitialInterval, DefaultBackOffInitialInterval)
	p.BackOffMaxInterval = or(p.BackOffMaxInterval, DefaultBackOffMaxInterval)
	p.BackOffMultiplier = or(p.BackOffMultiplier, DefaultBackOffMultiplier)
	p.Concurrency = or(p.Concurrency, DefaultConcurrency)
	p.Prefetch = or(p.Prefetch, DefaultPrefetch)
	p.BatchSize = or(p.BatchSize, DefaultBatchSize)
	p.ReceiveTimeout = or(p.ReceiveTimeout, DefaultReceiveTimeout)
	p.AnonymousGroupPrefix = or(p.AnonymousGroupPrefix, DefaultAnonymousGroupPrefix)
	return p
}

func (p ProducerProperties) withDefaults() ProducerProperties {
	p.PollInterval = or(p.PollInterval, DefaultPollInterval)
	p.MessagesPerPoll = max(p.MessagesPerPoll, 1)
	p.PartitionCount = max(p.PartitionCount, 1)
	p.BatchSize = or(p.BatchSize, DefaultBatchSize)
	p.BatchBytes = or(p.BatchBytes, DefaultBatchBytes)
	p.BatchTimeout = or(p.BatchTimeout, DefaultBatchTimeout)
	p.CompressionLevel = or(p.CompressionLevel, DefaultCompressionLevel)
	return p
}

// Partitioned tells whether messages go to partitions. As in Spring a key is enough, although there may be only one.
func (p ProducerProperties) Partitioned() bool { return p.PartitionCount > 1 || p.PartitionKey != nil }

// requeues tells whether a message goes back that failed and has no dead-letter exchange to be published to.
func (p ConsumerProperties) requeues() bool { return p.MaxAttempts == 1 && p.RequeueRejected }

// or returns v unless it is the zero value.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
