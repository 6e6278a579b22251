package stream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

var errNo = errors.New("no")

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       ConsumerProperties
		attempt int
		err     error
		want    Action
		final   bool
	}{
		{"success", ConsumerProperties{MaxAttempts: 3}, 1, nil, ActionAccept, true},
		{"again", ConsumerProperties{MaxAttempts: 3}, 2, errNo, 0, false},
		{"exhausted", ConsumerProperties{MaxAttempts: 3}, 3, errNo, ActionDeadLetter, true},
		{"requeue rejected", ConsumerProperties{MaxAttempts: 1, RequeueRejected: true, RepublishToDLQ: Off}, 1, errNo, ActionRequeue, true},
		{"requeue rejected only without a dead-letter exchange to publish to", ConsumerProperties{MaxAttempts: 1, RequeueRejected: true}, 1, errNo, ActionDeadLetter, true},
		{"requeue rejected only without retry", ConsumerProperties{MaxAttempts: 2, RequeueRejected: true}, 2, errNo, ActionDeadLetter, true},
		{"reject, wrapped", ConsumerProperties{MaxAttempts: 3}, 1, fmt.Errorf("x: %w", Reject(errNo)), ActionDeadLetter, true},
		{"requeue", ConsumerProperties{MaxAttempts: 3}, 1, Requeue(nil), ActionRequeue, true},
		{"drop", ConsumerProperties{MaxAttempts: 3}, 1, Drop(errNo), ActionAccept, true},
		{"undecodable", ConsumerProperties{MaxAttempts: 3}, 1, fmt.Errorf("%w: x", ErrUndecodable), ActionDeadLetter, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, final := verdict(c.p, c.attempt, Raw{}, c.err)
			if final != c.final || out.Action != c.want || final && !errors.Is(out.Err, c.err) {
				t.Errorf("got %v %v", out, final)
			}
		})
	}
}

// What cannot be published to a dead-letter exchange is requeued if that was asked for, and if nobody has said that it is hopeless.
func TestWithoutADeadLetterExchange(t *testing.T) {
	requeue := ConsumerProperties{MaxAttempts: 1, RequeueRejected: true}
	for _, c := range []struct {
		name         string
		p            ConsumerProperties
		err, publish error
		want         Action
	}{
		{"requeue rejected", requeue, errNo, ErrNoDeadLetters, ActionRequeue},
		{"after attempts", ConsumerProperties{MaxAttempts: 2, RequeueRejected: true}, errNo, ErrNoDeadLetters, ActionReject},
		{"not asked for", ConsumerProperties{MaxAttempts: 1}, errNo, ErrNoDeadLetters, ActionReject},
		{"hopeless", requeue, Reject(errNo), ErrNoDeadLetters, ActionReject},
		{"undecodable", requeue, fmt.Errorf("%w: x", ErrUndecodable), ErrNoDeadLetters, ActionReject},
		{"not confirmed", requeue, errNo, ErrNacked, ActionReject},
		{"the queue is out of reach", ConsumerProperties{AutoBindDLQ: true}, errNo, ErrReturned, ActionRequeue},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Receiver{binding: Binding{Consumer: c.p}}
			if got := r.fallback(Outcome{Action: ActionDeadLetter, Err: c.err}, c.publish); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Binding{Consumer: ConsumerProperties{MaxAttempts: 7}}.withDefaults()
		var at []time.Duration
		start := time.Now()
		attempts(b, nil, func(context.Context, Raw) error {
			at = append(at, time.Since(start))
			return errNo
		})(t.Context(), Raw{})
		if want := "[0s 1s 3s 7s 15s 25s 35s]"; fmt.Sprint(at) != want {
			t.Errorf("attempts at %v, want %s", at, want)
		}
	})
}

func TestAStopEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		b := Binding{}.withDefaults()
		out := attempts(b, nil, func(context.Context, Raw) error { return errNo })(ctx, Raw{})
		if out.Action != ActionRequeue || !errors.Is(out.Err, errNo) {
			t.Errorf("got %v", out)
		}
	})
}

// The partitions are Java's: hashCode of String (of UTF-16 units), Integer, Long, Boolean, Double, UUID.
func TestPartitionEqualsJava(t *testing.T) {
	for _, c := range []struct {
		key  any
		want int
	}{
		{"", 0}, {"a", 97}, {"hello", 99162322 % 1000}, {"😀", 1772899 % 1000}, {"polygenelubricants", 0}, // its hash is MIN_VALUE
		{int32(-7), 7}, {7, 7}, {int64(1) << 32, 1}, {true, 231}, {1.5, 1073217536 % 1000},
		{uuid.MustParse("00000000-0000-0001-0000-000000000002"), 3},
	} {
		got, err := Partition(c.key, 1000)
		if err != nil || got != c.want {
			t.Errorf("%v: partition %d, want %d (%v)", c.key, got, c.want, err)
		}
	}
	if _, err := Partition([]byte("x"), 2); err == nil {
		t.Error("bytes have no stable hash in Java")
	}
}

func TestMistakesAreReportedByStart(t *testing.T) {
	nop := func(context.Context, Message[int]) error { return nil }
	for _, c := range []struct {
		name     string
		register func(a *App)
	}{
		{"no name", func(a *App) { a.Bind(Binding{Destination: "d"}) }},
		{"one name twice", func(a *App) { a.Bind(Binding{Name: "x"}); Consume(a, Binding{Name: "x"}, nop) }},
		{"partitioned without a key", func(a *App) { a.Bind(Binding{Name: "x", Producer: ProducerProperties{PartitionCount: 2}}) }},
		{"partitioned without a group", func(a *App) { Consume(a, Binding{Name: "x", Consumer: ConsumerProperties{Partitioned: true}}, nop) }},
		{"negative", func(a *App) { Consume(a, Binding{Name: "x", Consumer: ConsumerProperties{MaxAttempts: -1}}, nop) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(nil)
			c.register(a)
			if err := a.Start(t.Context()); err == nil {
				t.Error("it starts")
			}
		})
	}
}
