package stream

import "context"

// Consumer takes messages. See the package comment for what its error means. The context carries the trace and ends when the
// binding's drain deadline passes.
type Consumer[T any] func(ctx context.Context, m Message[T]) error

// Function turns a message into another one, which is published before the first is settled. A nil result publishes nothing.
// Its error means what a Consumer's means; so does a failure to publish the result.
type Function[A, B any] func(ctx context.Context, m Message[A]) (*Message[B], error)

// Supplier is asked for a message every [ProducerProperties.PollInterval]. Nil means nothing to send this time.
type Supplier[T any] func(ctx context.Context) (*Message[T], error)
