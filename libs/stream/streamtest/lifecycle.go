package streamtest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

func testConcurrency(t *testing.T, b bench) {
	const wide, n = 4, 12
	a := b.app(t)
	in := b.group("g")
	in.Consumer.Concurrency, in.Consumer.Prefetch = wide, 1
	var running, most atomic.Int32
	entered, leave := make(chan struct{}, n), make(chan struct{})
	stream.Consume(a, in, func(context.Context, stream.Message[int]) error {
		most.Store(max(most.Load(), running.Add(1)))
		entered <- struct{}{}
		<-leave
		running.Add(-1)
		return nil
	})
	a.Bind(b.out())
	start(t, a)
	for i := range n {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	for range wide {
		wait(t, entered)
	}
	select {
	case <-entered:
		t.Errorf("more than %d handlers run", wide)
	case <-time.After(quiet):
	}
	close(leave)
	for range n - wide {
		wait(t, entered)
	}
	if most.Load() != wide {
		t.Errorf("at most %d handlers ran at once, want %d", most.Load(), wide)
	}
}

// A handler that takes long must not keep others' messages in the broker's count.
func testStuckHandler(t *testing.T, b bench) {
	const n = 50
	a := b.app(t)
	in := b.group("g")
	in.Consumer.Concurrency, in.Consumer.Prefetch = 2, 2
	stuck, leave := make(chan struct{}), make(chan struct{})
	got := newInbox[int]()
	stream.Consume(a, in, func(ctx context.Context, m stream.Message[int]) error {
		if m.Payload == 0 {
			close(stuck)
			<-leave
		}
		return got.take(ctx, m)
	})
	a.Bind(b.out())
	start(t, a)
	defer close(leave)
	send(t, a, "out-0", stream.NewMessage(0))
	wait(t, stuck)
	for i := 1; i <= n; i++ {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	for i := 1; i <= n; i++ {
		if m := got.next(t); m.Payload != i {
			t.Fatalf("message %d came as number %d", m.Payload, i)
		}
	}
}

func testStopDrains(t *testing.T, b bench) {
	first, second := b.app(t), b.app(t)
	in := b.group("g")
	in.Consumer.Prefetch = 1
	entered, leave := make(chan struct{}), make(chan struct{})
	stream.Consume(first, in, func(context.Context, stream.Message[int]) error {
		close(entered)
		<-leave
		return nil
	})
	first.Bind(b.out())
	start(t, first)
	send(t, first, "out-0", stream.NewMessage(1))
	wait(t, entered)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop(t, first)
	}()
	select {
	case <-stopped:
		t.Fatal("Stop did not wait for the handler")
	case <-time.After(quiet):
	}
	close(leave)
	wait(t, stopped)

	got := newInbox[int]()
	stream.Consume(second, in, got.take)
	start(t, second)
	got.empty(t) // the message was settled, not given back
}

func testStopGivesBack(t *testing.T, b bench) {
	const n = 10
	a := b.app(t)
	in := b.group("g")
	in.Consumer.Prefetch = n
	got := newInbox[int]()
	entered, leave := make(chan struct{}, n), make(chan struct{})
	stream.Consume(a, in, func(ctx context.Context, m stream.Message[int]) error {
		entered <- struct{}{}
		<-leave
		return got.take(ctx, m)
	})
	a.Bind(b.out())
	start(t, a)
	for i := range n {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	wait(t, entered)
	time.AfterFunc(quiet, func() { close(leave) }) // while Stop waits
	stop(t, a)
	handled := len(got)

	next := b.app(t)
	stream.Consume(next, in, got.take)
	start(t, next)
	seen := map[int]bool{}
	for range n {
		seen[got.next(t).Payload] = true
	}
	if len(seen) != n || handled == n {
		t.Errorf("%d different messages of %d, %d before the stop", len(seen), n, handled)
	}
}

func testStopEndsStuckHandlers(t *testing.T, b bench) {
	a := b.app(t, stream.WithDrainTimeout(quiet))
	in := b.group("g")
	entered := make(chan struct{}, 1)
	stream.Consume(a, in, func(ctx context.Context, _ stream.Message[int]) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	a.Bind(b.out())
	start(t, a)
	m := send(t, a, "out-0", stream.NewMessage(1))
	wait(t, entered)
	// Its error is about the deadline; what matters is that it comes back and the message is not lost.
	_ = a.Stop(t.Context())

	next := b.app(t)
	got := newInbox[int]()
	stream.Consume(next, in, got.take)
	start(t, next)
	if again := got.next(t); again.ID != m.ID {
		t.Errorf("got %s, want %s", again.ID, m.ID)
	}
}

func testSendOutsideOfLife(t *testing.T, b bench) {
	a := b.app(t)
	a.Bind(b.out())
	if err := stream.Send(t.Context(), a, "out-0", stream.NewMessage(1)); !errors.Is(err, stream.ErrNotStarted) {
		t.Errorf("before start: %v", err)
	}
	start(t, a)
	stop(t, a)
	if err := stream.Send(t.Context(), a, "out-0", stream.NewMessage(1)); !errors.Is(err, stream.ErrNotStarted) {
		t.Errorf("after stop: %v", err)
	}
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("waited too long")
	}
}
