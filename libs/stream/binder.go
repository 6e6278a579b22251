package stream

import (
	"context"
	"errors"
	"time"
)

// Binder connects bindings to one broker. Implementations: stream/rabbit, stream/memory; every one passes stream/streamtest.
type Binder interface {
	// Start begins to connect and returns without waiting for the broker: a binder recovers by itself for as long as it runs.
	// It fails only for a configuration that can never work.
	Start(ctx context.Context) error
	// BindProducer declares what the binding needs as soon as the broker is there, and again after every reconnect.
	BindProducer(ctx context.Context, b Binding) (Publisher, error)
	// BindConsumer does the same for a consumer and gives every delivery to r. The binding has one destination and, when
	// Partitioned, one partition: its InstanceIndex.
	BindConsumer(ctx context.Context, b Binding, r *Receiver) (Subscription, error)
	// Describe tells what the binder talks to, for spans and health.
	Describe() System
	// Stop ends the connections. The App has closed all publishers and subscriptions before.
	Stop(ctx context.Context) error
}

// Publisher publishes to one destination. Safe for concurrent use.
type Publisher interface {
	// PublishBatch publishes the messages in order, without waiting for one before writing the next, and returns when the fate
	// of each is known or ctx ends. The result has one entry per message; nil means the broker has it safely.
	PublishBatch(ctx context.Context, ms []Raw) []error
	Health() Health
	// Close waits for what is under way until ctx ends.
	Close(ctx context.Context) error
}

// Subscription is a running consumer.
type Subscription interface {
	Health() Health
	// Pause takes no further message until Resume; what was taken is settled as ever, what was pushed and not taken goes back.
	Pause()
	Resume()
	// Close takes no new message and waits until every delivery that was taken is settled, or ctx ends. What was not settled
	// goes back to the queue.
	Close(ctx context.Context) error
}

// Settler performs what becomes of one delivery. The Receiver calls exactly one of Ack, Requeue and Reject, once and from any
// goroutine, whatever happened to the connection meanwhile; an error means that the message will come again.
type Settler interface {
	Ack() error
	Requeue() error
	// Reject settles without requeue: the broker dead-letters the message, or drops it.
	Reject() error
	// DeadLetter publishes m with its reason to the binding's dead-letter queue and returns when the broker has it safely.
	// ErrNoDeadLetters says that there is none to publish to.
	DeadLetter(m Raw, reason error) error
	// Retry publishes m to the queue of a wait, one of DelayedRetry.Intervals, from which it comes back after pause.
	Retry(m Raw, wait, pause time.Duration) error
}

// ErrNoDeadLetters is what a Settler says when a binding has nowhere to publish dead letters to.
var ErrNoDeadLetters = errors.New("stream: no dead-letter queue")

// Handler handles a delivery and says what to do with it. It is the whole way from bytes to the service's function.
type Handler func(ctx context.Context, m Raw) Outcome

// BatchHandler is Handler for several deliveries at once; it returns one outcome for each.
type BatchHandler func(ctx context.Context, ms []Raw) []Outcome

// Outcome is the verdict about one delivery.
type Outcome struct {
	Action Action
	// Err is why, nil on success. It may be non-nil with ActionAccept: see Drop.
	Err error
	// Wait is which of DelayedRetry.Intervals, and Pause that wait with its jitter, of ActionRetry.
	Wait, Pause time.Duration
	// Context is that of the span of the handling, for what happens to the message afterwards. An instrumentation sets it.
	Context context.Context //nolint:containedctx // it goes from one hand to the next, with the verdict
}

// Action is what is done with a delivery.
type Action uint8

const (
	// ActionAccept settles the message.
	ActionAccept Action = iota
	// ActionRequeue gives it back to the queue.
	ActionRequeue
	// ActionDeadLetter publishes it to the dead-letter queue with its reason, or rejects it without requeue where
	// RepublishToDLQ is off or no dead-letter queue is bound.
	ActionDeadLetter
	// ActionReject rejects it without requeue: the broker dead-letters it, or drops it.
	ActionReject
	// ActionRetry lets it wait in a queue of the broker and come back.
	ActionRetry
	// ActionManual leaves it to the handler, which settles when it likes.
	ActionManual
)

func (a Action) String() string {
	switch a {
	case ActionAccept:
		return "accept"
	case ActionRequeue:
		return "requeue"
	case ActionDeadLetter:
		return "dead-letter"
	case ActionReject:
		return "reject"
	case ActionRetry:
		return "retry"
	case ActionManual:
		return "manual"
	}
	return "unknown"
}

// System describes the broker behind a binder.
type System struct {
	Name    string // "rabbitmq", "memory"
	Address string // host as configured, "" when there is none
	Port    int    // 0 when there is none
}

// State of a binding.
type State string

// The states of a binding.
const (
	StateStarting State = "STARTING" // not connected for the first time yet
	StateUp       State = "UP"
	StateBlocked  State = "BLOCKED" // the broker asked publishers to wait (memory or disk alarm)
	StatePaused   State = "PAUSED"  // asked to take no message
	StateDown     State = "DOWN"    // lost; recovery is under way
	StateStopped  State = "STOPPED"
)

// Health is the state of one binding.
type Health struct {
	Binding     string    `json:"binding"`
	Destination string    `json:"destination"`
	Group       string    `json:"group,omitempty"`
	State       State     `json:"state"`
	Since       time.Time `json:"since"`
	Detail      string    `json:"detail,omitempty"` // the last error, or what is unusual
}

// Instrumentation observes messages; every field may be nil. stream/oteltrace makes one.
type Instrumentation struct {
	// Consume wraps the handling of a delivery, all attempts included.
	Consume func(s System, b Binding, next Handler) Handler
	// ConsumeBatch wraps the handling of a batch.
	ConsumeBatch func(s System, b Binding, next BatchHandler) BatchHandler
	// Publish wraps a batch (of one, mostly). It may change the messages: that is how trace headers get on them.
	Publish func(s System, b Binding, next PublishFunc) PublishFunc
	// PublishPacked wraps the publish of one message that holds several, see ProducerProperties.Batching. parts are the contexts
	// that those were sent with.
	PublishPacked func(s System, b Binding, next PublishFunc) PackedFunc
	// Retry is called before the pause that precedes another attempt. attempt is the one that failed, from 1.
	Retry func(ctx context.Context, b Binding, attempt int, err error, pause time.Duration)
	// Settled is called when an outcome was performed, which began at that time; err is why that failed, in which case the message
	// comes again. ctx is the Outcome's.
	Settled func(ctx context.Context, s System, b Binding, m Raw, out Outcome, began time.Time, err error)
}

// PublishFunc is [Publisher.PublishBatch] as a function.
type PublishFunc func(ctx context.Context, ms []Raw) []error

// PackedFunc publishes m, which holds the messages that were sent with the contexts of parts.
type PackedFunc func(ctx context.Context, m Raw, parts []context.Context) error
