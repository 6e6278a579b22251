package stream

import (
	"context"
	"time"
)

// Binder connects bindings to one broker. Implementations: stream/rabbit, stream/memory; every one passes stream/streamtest.
type Binder interface {
	// Start begins to connect and returns without waiting for the broker: a binder recovers by itself for as long as it runs.
	// It fails only for a configuration that can never work.
	Start(ctx context.Context) error
	// BindProducer declares what the binding needs as soon as the broker is there, and again after every reconnect.
	BindProducer(ctx context.Context, b Binding) (Publisher, error)
	// BindConsumer does the same for a consumer and hands every delivery to h.
	BindConsumer(ctx context.Context, b Binding, h Handler) (Subscription, error)
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
	// Close takes no new message, waits for the running handlers until ctx ends, then cancels their contexts. What was not
	// settled goes back to the queue.
	Close(ctx context.Context) error
}

// Handler handles a delivery and says what to do with it. It is the whole way from bytes to the service's function.
type Handler func(ctx context.Context, m Raw) Outcome

// Outcome is the verdict about one delivery.
type Outcome struct {
	Action Action
	// Err is why, nil on success. It may be non-nil with ActionAccept: see Drop.
	Err error
}

// Action is what a binder does with a delivery.
type Action uint8

const (
	// ActionAccept settles the message.
	ActionAccept Action = iota
	// ActionRequeue gives it back to the queue.
	ActionRequeue
	// ActionDeadLetter publishes it to the dead-letter queue with its reason, or rejects it without requeue where
	// RepublishToDLQ is off or no dead-letter queue is bound.
	ActionDeadLetter
)

func (a Action) String() string {
	switch a {
	case ActionAccept:
		return "accept"
	case ActionRequeue:
		return "requeue"
	case ActionDeadLetter:
		return "dead-letter"
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
	// Publish wraps a batch (of one, mostly). It may change the messages: that is how trace headers get on them.
	Publish func(s System, b Binding, next PublishFunc) PublishFunc
	// Retry is called before the pause that precedes another attempt. attempt is the one that failed, from 1.
	Retry func(ctx context.Context, b Binding, attempt int, err error, pause time.Duration)
}

// PublishFunc is [Publisher.PublishBatch] as a function.
type PublishFunc func(ctx context.Context, ms []Raw) []error
