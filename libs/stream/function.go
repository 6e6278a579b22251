package stream

import "context"

// Consumer takes messages. See the package comment for what its error means. The context carries the trace and ends when the
// binding's drain deadline passes.
type Consumer[T any] func(ctx context.Context, m Message[T]) error

// BatchConsumer takes up to BatchSize messages at once. Its error is about all of them, unless it is [BatchErrors].
type BatchConsumer[T any] func(ctx context.Context, ms []Message[T]) error

// Function turns a message into another one, which is published before the first is settled. A nil result publishes nothing.
// Its error means what a Consumer's means; so does a failure to publish the result.
type Function[A, B any] func(ctx context.Context, m Message[A]) (*Message[B], error)

// BatchFunction turns a batch into messages.
type BatchFunction[A, B any] func(ctx context.Context, ms []Message[A]) ([]Message[B], error)

// Supplier is asked for a message every [ProducerProperties.PollInterval]. Nil means nothing to send this time.
type Supplier[T any] func(ctx context.Context) (*Message[T], error)

// Compose returns g after f. What f returns nil for, g does not see.
func Compose[A, B, C any](f Function[A, B], g Function[B, C]) Function[A, C] {
	return func(ctx context.Context, m Message[A]) (*Message[C], error) {
		r, err := f(ctx, m)
		if err != nil || r == nil {
			return nil, err
		}
		return g(ctx, *r)
	}
}

// Finally returns a consumer: c after f.
func Finally[A, B any](f Function[A, B], c Consumer[B]) Consumer[A] {
	return func(ctx context.Context, m Message[A]) error {
		r, err := f(ctx, m)
		if err != nil || r == nil {
			return err
		}
		return c(ctx, *r)
	}
}

// Through returns a supplier: f after s.
func Through[A, B any](s Supplier[A], f Function[A, B]) Supplier[B] {
	return func(ctx context.Context) (*Message[B], error) {
		m, err := s(ctx)
		if err != nil || m == nil {
			return nil, err
		}
		return f(ctx, *m)
	}
}
