// Package streamtest is the conformance suite of binders: what a service may rely on, whichever binder it runs on.
package streamtest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

const (
	patience = 20 * time.Second       // for what must come
	quiet    = 300 * time.Millisecond // for what must not
)

// errHandler is what failing handlers of the suite return.
var errHandler = errors.New("the handler says no")

// bench is one test's piece of the broker: destinations nobody else uses.
type bench struct {
	newBinder func(t *testing.T) stream.Binder
	dest      string
}

// Run runs the suite. newBinder returns a fresh binder; all of one call of Run talk to the same broker.
func Run(t *testing.T, newBinder func(t *testing.T) stream.Binder) {
	for _, c := range []struct {
		name string
		test func(*testing.T, bench)
	}{
		{"RoundTrip", testRoundTrip},
		{"Groups", testGroups},
		{"AnonymousGroupsGetCopies", testAnonymous},
		{"RequiredGroupKeepsMessages", testRequiredGroup},
		{"NoQueueIsAnError", testReturned},
		{"BatchKeepsOrder", testBatchOrder},
		{"DynamicDestination", testDynamicDestination},
		{"Function", testFunction},
		{"Supplier", testSupplier},
		{"SupplierAtOnce", testSupplierAtOnce},
		{"Partitions", testPartitions},
		{"OnePartition", testOnePartition},
		{"AttemptsThenDeadLetter", testAttempts},
		{"SecondAttemptSucceeds", testSecondAttempt},
		{"Reject", testReject},
		{"Requeue", testRequeue},
		{"Drop", testDrop},
		{"Undecodable", testUndecodable},
		{"Panic", testPanic},
		{"BrokerDeadLetters", testBrokerDeadLetters},
		{"OneTraceThroughRetryAndDeadLetter", testTrace},
		{"Concurrency", testConcurrency},
		{"AStuckHandlerHoldsNobodyUp", testStuckHandler},
		{"StopDrains", testStopDrains},
		{"StopGivesBackWhatItDidNotHandle", testStopGivesBack},
		{"StopEndsStuckHandlers", testStopEndsStuckHandlers},
		{"SendOutsideOfLife", testSendOutsideOfLife},
		{"BatchConsumer", testBatchConsumer},
		{"BatchRetry", testBatchRetry},
		{"PackedAndCompressed", testPacked},
		{"DelayedRetry", testDelayedRetry},
		{"DelayedRetryMaxAge", testMaxAge},
		{"NotRetryable", testNotRetryable},
		{"ErrorHandler", testErrorHandler},
		{"SettleByHand", testManual},
		{"AckNone", testAckNone},
		{"StopSupplier", testStopSupplier},
		{"OrderPerKey", testOrderPerKey},
		{"PauseAndResume", testPause},
		{"PauseKeepsWhatIsInHand", testPauseInHand},
		{"StopAndStart", testStopAndStart},
		{"SeveralDestinationsAndPartitions", testSeveralSources},
		{"Properties", testProperties},
		{"SendTo", testSendTo},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, bench{newBinder: newBinder, dest: "t." + stream.NewID()})
		})
	}
}

// app returns an App that is not started, without noise in the log.
func (b bench) app(t *testing.T, opts ...stream.Option) *stream.App {
	t.Helper()
	opts = append([]stream.Option{stream.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	return stream.New(b.newBinder(t), opts...)
}

// start starts the App, waits until it is ready, and stops it at the end.
func start(t *testing.T, a *stream.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	if err := a.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, a *stream.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// group is a consumer binding that fails fast, with a dead-letter queue.
func (b bench) group(name string) stream.Binding {
	return stream.Binding{
		Name: name + "-in-0", Destination: b.dest, Group: name,
		Consumer: stream.ConsumerProperties{
			AutoBindDLQ: true, BackOffInitialInterval: time.Millisecond, BackOffMaxInterval: 2 * time.Millisecond,
		},
	}
}

// deadLetters reads the dead-letter queue of a group, as Spring's properties would have it: no declaration, queue by name.
func (b bench) deadLetters(group string) stream.Binding {
	q := b.dest + "." + group + ".dlq"
	return stream.Binding{Name: "dlq-in-0", Destination: q, Group: q, ContentType: stream.ContentTypeBytes, Consumer: stream.ConsumerProperties{
		Queue: stream.QueueProperties{QueueNameGroupOnly: true, BindQueue: stream.Off, DeclareExchange: stream.Off},
	}}
}

// out is the producer binding of the bench.
func (b bench) out() stream.Binding { return stream.Binding{Name: "out-0", Destination: b.dest} }

// inbox collects messages.
type inbox[T any] chan stream.Message[T]

func newInbox[T any]() inbox[T] { return make(inbox[T], 1000) }

func (i inbox[T]) take(_ context.Context, m stream.Message[T]) error {
	i <- m
	return nil
}

func (i inbox[T]) next(t *testing.T) stream.Message[T] {
	t.Helper()
	select {
	case m := <-i:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		panic("unreachable")
	}
}

// empty fails when a message comes although none should.
func (i inbox[T]) empty(t *testing.T) {
	t.Helper()
	select {
	case m := <-i:
		t.Fatalf("unexpected message %s: %v", m.ID, m.Payload)
	case <-time.After(quiet):
	}
}

func send[T any](t *testing.T, a *stream.App, binding string, m stream.Message[T]) stream.Message[T] {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := stream.Send(ctx, a, binding, m); err != nil {
		t.Fatal(err)
	}
	return m
}
