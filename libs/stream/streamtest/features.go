package streamtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// batches collects batches.
type batches[T any] chan []stream.Message[T]

func (b batches[T]) take(_ context.Context, ms []stream.Message[T]) error {
	b <- ms
	return nil
}

func (b batches[T]) next(t *testing.T) []stream.Message[T] {
	t.Helper()
	select {
	case ms := <-b:
		return ms
	case <-time.After(patience):
		t.Fatal("no batch came")
		panic("unreachable")
	}
}

func testBatchConsumer(t *testing.T, b bench) {
	const n = 25
	a := b.app(t)
	in := b.group("g")
	in.Consumer.BatchSize, in.Consumer.ReceiveTimeout = 10, quiet
	got, dead := make(batches[int], n), newInbox[[]byte]()
	var calls atomic.Int32
	stream.ConsumeBatch(a, in, func(ctx context.Context, ms []stream.Message[int]) error {
		if calls.Add(1) == 1 { // of the first batch its last message fails, once and for all
			errs := make(stream.BatchErrors, len(ms))
			errs[len(ms)-1] = stream.Reject(errHandler)
			_ = got.take(ctx, ms)
			return errs
		}
		return got.take(ctx, ms)
	})
	stream.Consume(a, b.deadLetters("g"), dead.take)
	a.Bind(b.out())
	start(t, a)
	var ms []stream.Message[int]
	for i := range n {
		ms = append(ms, stream.NewMessage(i))
	}
	if err := errors.Join(stream.SendBatch(t.Context(), a, "out-0", ms)...); err != nil {
		t.Fatal(err)
	}
	for i, total := 0, 0; total < n; i++ {
		batch := got.next(t)
		if len(batch) > 10 {
			t.Errorf("a batch of %d", len(batch))
		}
		if i == 0 {
			if d := dead.next(t); string(d.Payload) != fmt.Sprint(batch[len(batch)-1].Payload) {
				t.Errorf("dead letter %s", d.Payload)
			}
		}
		for _, m := range batch {
			if m.Payload != total {
				t.Fatalf("message %d came as number %d", m.Payload, total)
			}
			total++
		}
	}
	dead.empty(t)
}

func testBatchRetry(t *testing.T, b bench) {
	a := b.app(t)
	in := b.group("g")
	in.Consumer.BatchSize, in.Consumer.ReceiveTimeout = 2, patience
	got := make(batches[int], 10)
	stream.ConsumeBatch(a, in, func(ctx context.Context, ms []stream.Message[int]) error {
		if ms[0].Delivery.Attempt < 3 {
			return errHandler
		}
		return got.take(ctx, ms)
	})
	a.Bind(b.out())
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(1))
	send(t, a, "out-0", stream.NewMessage(2))
	if ms := got.next(t); len(ms) != 2 || ms[1].Delivery.Attempt != 3 {
		t.Errorf("got %+v", ms)
	}
}

// testPacked sends several messages as one, compressed, to a handler of single messages and to one of batches.
func testPacked(t *testing.T, b bench) {
	a := b.app(t)
	one, many, dead := newInbox[string](), make(batches[string], 10), newInbox[[]byte]()
	stream.Consume(a, b.group("one"), func(ctx context.Context, m stream.Message[string]) error {
		if m.Payload == "bad" {
			return stream.Reject(errHandler)
		}
		return one.take(ctx, m)
	})
	stream.Consume(a, b.deadLetters("one"), dead.take)
	in := b.group("many")
	in.Consumer.BatchSize, in.Consumer.ReceiveTimeout = 1, quiet
	stream.ConsumeBatch(a, in, many.take)
	out := b.out()
	out.Producer.Batching, out.Producer.BatchSize, out.Producer.BatchTimeout = true, 3, quiet
	out.Producer.Compress = true
	a.Bind(out)
	start(t, a)
	var ms []stream.Message[string]
	for _, s := range []string{"a", "bad", "c", "alone"} {
		m := stream.NewMessage(s)
		m.Headers["mine"] = s
		ms = append(ms, m)
	}
	if err := errors.Join(stream.SendBatch(t.Context(), a, "out-0", ms)...); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a", "c", "alone"} {
		m := one.next(t)
		if m.Payload != want || m.ContentEncoding != "" {
			t.Errorf("got %q, want %q", m.Payload, want)
		}
		if packed := i < 2; packed != (m.Delivery.BatchSize == 3) || m.Delivery.LastInBatch != (want == "c") {
			t.Errorf("%s: %+v", want, m.Delivery)
		}
		if _, left := m.Headers["springBatchFormat"]; left {
			t.Error("the header of the format is left")
		}
	}
	if d := dead.next(t); string(d.Payload) != `"bad"` || d.Headers.String(stream.HeaderExceptionMessage) != errHandler.Error() {
		t.Errorf("dead letter %s %v", d.Payload, d.Headers)
	}
	if first := many.next(t); len(first) != 3 || first[2].Payload != "c" || first[0].Headers.String("mine") != "a" {
		t.Errorf("batch %+v", first)
	}
	if second := many.next(t); len(second) != 1 || second[0].Payload != "alone" {
		t.Errorf("batch %+v", second)
	}
	// One message at a time waits for others, not for ever.
	send(t, a, "out-0", stream.NewMessage("late"))
	if m := one.next(t); m.Payload != "late" {
		t.Errorf("got %q", m.Payload)
	}
}

func testDelayedRetry(t *testing.T, b bench) {
	seen := newInbox[int]()
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.MaxAttempts = 1
		in.Consumer.DelayedRetry = stream.DelayedRetry{Intervals: []time.Duration{20 * time.Millisecond, 40 * time.Millisecond}, Jitter: 0.5}
	}, func(ctx context.Context, m stream.Message[int]) error {
		_ = seen.take(ctx, m)
		if m.Payload == 2 && m.Delivery.Retries == 1 {
			return nil
		}
		return errHandler
	})
	m := stream.NewMessage(1)
	m.RoutingKey, m.Headers["mine"] = "the.key", "kept"
	send(t, a, "out-0", m)
	for i := range 3 {
		r := seen.next(t)
		if r.ID != m.ID || r.Delivery.Retries != i || r.Delivery.Attempt != 1 || r.Delivery.RoutingKey != "the.key" || r.Delivery.Exchange != b.dest {
			t.Errorf("retry %d: %+v", i, r.Delivery)
		}
	}
	d := dead.next(t)
	if h := d.Headers; h.String("mine") != "kept" || h.String(stream.HeaderOriginalRoutingKey) != "the.key" || h[stream.HeaderRetryCount] != int64(2) {
		t.Errorf("headers %v", h)
	}
	send(t, a, "out-0", stream.NewMessage(2))
	seen.next(t)
	if r := seen.next(t); r.Delivery.Retries != 1 {
		t.Errorf("%+v", r.Delivery)
	}
	dead.empty(t)
}

func testMaxAge(t *testing.T, b bench) {
	var calls atomic.Int32
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.MaxAttempts = 1
		in.Consumer.DelayedRetry = stream.DelayedRetry{Intervals: []time.Duration{time.Millisecond, time.Hour}, MaxAge: time.Minute}
	}, func(context.Context, stream.Message[int]) error {
		calls.Add(1)
		return errHandler
	})
	send(t, a, "out-0", stream.NewMessage(1))
	dead.next(t)
	if calls.Load() != 2 {
		t.Errorf("%d attempts, want 2", calls.Load())
	}
}

func testNotRetryable(t *testing.T, b bench) {
	var calls atomic.Int32
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.Retryable = func(err error) bool { return !errors.Is(err, errHandler) }
	}, func(context.Context, stream.Message[int]) error {
		calls.Add(1)
		return errHandler
	})
	send(t, a, "out-0", stream.NewMessage(1))
	dead.next(t)
	if calls.Load() != 1 {
		t.Errorf("%d attempts", calls.Load())
	}
}

func testErrorHandler(t *testing.T, b bench) {
	told := make(chan error, 1)
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.ErrorHandler = func(_ context.Context, _ stream.Raw, err error) error {
			told <- err
			return nil
		}
	}, func(context.Context, stream.Message[int]) error { return errHandler })
	send(t, a, "out-0", stream.NewMessage(1))
	select {
	case err := <-told:
		if !errors.Is(err, errHandler) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("nobody told the error handler")
	}
	dead.empty(t)
}

func testManual(t *testing.T, b bench) {
	held := newInbox[int]()
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.Acknowledge, in.Consumer.Prefetch = stream.AckManual, 2
	}, held.take)
	for i := range 4 {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	first, second := held.next(t), held.next(t)
	held.empty(t) // two are unsettled: the broker holds the rest back
	if err := errors.Join(first.Delivery.Ack(), second.Delivery.Reject()); err != nil {
		t.Fatal(err)
	}
	if err := first.Delivery.Requeue(); !errors.Is(err, stream.ErrSettled) {
		t.Errorf("settled twice: %v", err)
	}
	if d := dead.next(t); d.ID != second.ID {
		t.Errorf("dead letter %s, want %s", d.ID, second.ID)
	}
	third, fourth := held.next(t), held.next(t)
	if err := third.Delivery.Requeue(); err != nil {
		t.Fatal(err)
	}
	if again := held.next(t); again.ID != third.ID || !again.Delivery.Redelivered || again.Delivery.Ack() != nil {
		t.Errorf("%+v", again.Delivery)
	}
	if err := fourth.Delivery.Ack(); err != nil {
		t.Error(err)
	}
	if err := (stream.Delivery{}).Ack(); !errors.Is(err, stream.ErrNotManual) {
		t.Error(err)
	}
}

func testAckNone(t *testing.T, b bench) {
	got := newInbox[int]()
	a, dead := failing(t, b, func(in *stream.Binding) {
		in.Consumer.Acknowledge, in.Consumer.MaxAttempts = stream.AckNone, 1
	}, func(ctx context.Context, m stream.Message[int]) error {
		if m.Payload == 1 {
			return errHandler
		}
		return got.take(ctx, m)
	})
	for i := range 3 {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	if x, y := got.next(t), got.next(t); x.Payload != 0 || y.Payload != 2 {
		t.Errorf("got %d %d", x.Payload, y.Payload)
	}
	if d := dead.next(t); string(d.Payload) != "1" {
		t.Errorf("dead letter %s", d.Payload)
	}
}

// A supplier that is about to send does not keep its binding from stopping.
func testStopSupplier(t *testing.T, b bench) {
	a := b.app(t)
	asked := make(chan struct{}, 100)
	out := b.out()
	out.Producer.PollInterval, out.Producer.Mandatory = time.Millisecond, stream.Off
	stream.Supply(a, out, func(context.Context) (*stream.Message[int], error) {
		select {
		case asked <- struct{}{}:
		default:
		}
		m := stream.NewMessage(1)
		return &m, nil
	})
	start(t, a)
	for range 20 {
		wait(t, asked)
		control(t, a, "out-0", stream.CommandStop)
		control(t, a, "out-0", stream.CommandStart)
	}
}

// testOrderPerKey has one key stuck while the others go on, and wants each key's messages in order.
func testOrderPerKey(t *testing.T, b bench) {
	const keys, each = 8, 30
	a := b.app(t)
	in := b.group("g")
	in.Consumer.Concurrency, in.Consumer.Prefetch = 4, 100
	in.Consumer.OrderKey = func(m stream.Raw) string { return m.CorrelationID }
	var mu sync.Mutex
	got := map[string][]int{}
	done, stuck := make(chan struct{}), make(chan struct{})
	count := 0
	stream.Consume(a, in, func(_ context.Context, m stream.Message[int]) error {
		if m.CorrelationID == "stuck" {
			<-stuck
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		got[m.CorrelationID] = append(got[m.CorrelationID], m.Payload)
		if count++; count == keys*each*3/4 {
			close(done) // of four workers one is stuck: the keys of three go on
		}
		return nil
	})
	a.Bind(b.out())
	start(t, a)
	m := stream.NewMessage(0)
	m.CorrelationID = "stuck"
	send(t, a, "out-0", m)
	var ms []stream.Message[int]
	for i := range each {
		for k := range keys {
			m := stream.NewMessage(i)
			m.CorrelationID = fmt.Sprintf("key-%d", k)
			ms = append(ms, m)
		}
	}
	if err := errors.Join(stream.SendBatch(t.Context(), a, "out-0", ms)...); err != nil {
		t.Fatal(err)
	}
	defer close(stuck)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a stuck key holds up the others")
	}
	mu.Lock()
	defer mu.Unlock()
	for k, ns := range got {
		for i, n := range ns {
			if n != i {
				t.Fatalf("%s: %v", k, ns)
			}
		}
	}
}

func testPause(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[int]()
	in := b.group("g")
	stream.Consume(a, in, got.take)
	a.Bind(b.out())
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(1))
	got.next(t)
	control(t, a, in.Name, stream.CommandPause)
	await(t, a, in.Name, stream.StatePaused)
	for i := range 3 {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	got.empty(t)
	if err := a.Ready(t.Context()); err != nil {
		t.Errorf("a pause that was asked for is no illness: %v", err)
	}
	control(t, a, in.Name, stream.CommandResume)
	for i := range 3 {
		if m := got.next(t); m.Payload != i {
			t.Errorf("got %d, want %d", m.Payload, i)
		}
	}
}

// What a handler has in hand when its binding is paused is settled as ever; what waited behind it goes to another member.
func testPauseInHand(t *testing.T, b bench) {
	const n = 5
	a := b.app(t)
	in := b.group("g")
	in.Consumer.Prefetch = n
	entered, leave := make(chan struct{}, n), make(chan struct{})
	here, there := newInbox[int](), newInbox[int]()
	stream.Consume(a, in, func(ctx context.Context, m stream.Message[int]) error {
		entered <- struct{}{}
		<-leave
		return here.take(ctx, m)
	})
	a.Bind(b.out())
	start(t, a)
	for i := range n {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	wait(t, entered)
	control(t, a, in.Name, stream.CommandPause)
	await(t, a, in.Name, stream.StatePaused)
	other := b.app(t)
	stream.Consume(other, in, there.take)
	start(t, other)
	for i := 1; i < n; i++ {
		if m := there.next(t); m.Payload != i {
			t.Errorf("got %d, want %d", m.Payload, i)
		}
	}
	close(leave)
	if m := here.next(t); m.Payload != 0 {
		t.Errorf("got %d, want 0", m.Payload)
	}
	control(t, a, in.Name, stream.CommandResume)
	await(t, a, in.Name, stream.StateUp)
	stop(t, other)
	send(t, a, "out-0", stream.NewMessage(n))
	if m := here.next(t); m.Payload != n {
		t.Errorf("got %d, want %d", m.Payload, n)
	}
	stop(t, a) // nothing unsettled may be left to come again
	last := b.app(t)
	stream.Consume(last, in, there.take)
	start(t, last)
	there.empty(t)
}

func testStopAndStart(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[int]()
	in := b.group("g")
	in.Consumer.AutoStartup = stream.Off
	stream.Consume(a, in, got.take)
	out := b.out()
	out.Producer.RequiredGroups, out.Producer.AutoBindDLQ = []string{"g"}, true
	a.Bind(out)
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(0))
	got.empty(t)
	for i := range 3 {
		control(t, a, in.Name, stream.CommandStart)
		if m := got.next(t); m.Payload != i {
			t.Errorf("got %d, want %d", m.Payload, i)
		}
		control(t, a, in.Name, stream.CommandStop)
		send(t, a, "out-0", stream.NewMessage(i+1))
	}
	got.empty(t)
	control(t, a, "out-0", stream.CommandStop)
	if err := stream.Send(t.Context(), a, "out-0", stream.NewMessage(0)); !errors.Is(err, stream.ErrNotStarted) {
		t.Errorf("a stopped producer: %v", err)
	}
	control(t, a, "out-0", stream.CommandStart)
	send(t, a, "out-0", stream.NewMessage(9))
	for _, wrong := range []error{
		a.Control(t.Context(), "nobody", stream.CommandStop), a.Control(t.Context(), in.Name, "DANCING"),
		a.Control(t.Context(), in.Name, stream.CommandPause), a.Control(t.Context(), "out-0", stream.CommandPause),
	} {
		if wrong == nil {
			t.Error("a wrong command has no error")
		}
	}
}

func control(t *testing.T, a *stream.App, binding string, c stream.Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.Control(ctx, binding, c); err != nil {
		t.Fatalf("%s %s: %v", binding, c, err)
	}
}

// await waits for a state of a binding.
func await(t *testing.T, a *stream.App, binding string, want stream.State) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) { //nolint:forbidigo // health is asked, not awaited
		for _, h := range a.Health() {
			if h.Binding == binding && h.State == want {
				return
			}
		}
	}
	t.Fatalf("%s does not become %s: %+v", binding, want, a.Health())
}

func testSeveralSources(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[string]()
	in := b.group("g")
	in.Destination = b.dest + ", " + b.dest + ".two"
	in.Consumer.Partitioned, in.Consumer.InstanceIndexes = true, []int{0, 2}
	stream.Consume(a, in, got.take)
	for i, d := range []string{b.dest, b.dest + ".two"} {
		out := stream.Binding{Name: fmt.Sprintf("out-%d", i), Destination: d}
		out.Producer.PartitionCount, out.Producer.Mandatory = 3, stream.Off
		out.Producer.PartitionKey = func(m stream.Raw) any { return m.CorrelationID }
		out.Producer.PartitionSelector = func(key any) (int, error) { return len(key.(string)), nil }
		a.Bind(out)
	}
	start(t, a)
	for _, out := range []string{"out-0", "out-1"} {
		for _, key := range []string{"", "x", "xx", "xxx"} { // the partition is the length, modulo 3
			m := stream.NewMessage(out + key)
			m.CorrelationID = key
			send(t, a, out, m)
		}
		m := stream.NewMessage("overridden")
		m.Headers[stream.HeaderPartitionOverride] = 2
		send(t, a, out, m)
	}
	seen := map[string]int{}
	for range 8 {
		m := got.next(t)
		seen[m.Payload]++
		if want := len(m.CorrelationID) % 3; m.Payload != "overridden" && m.Delivery.Partition != want {
			t.Errorf("%s came from partition %d", m.Payload, m.Delivery.Partition)
		}
	}
	got.empty(t)
	if seen["overridden"] != 2 || seen["out-0"] != 1 || seen["out-1xxx"] != 1 || seen["out-0x"] != 0 {
		t.Errorf("seen %v", seen)
	}
}

func testProperties(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[string]()
	in := b.group("g")
	in.Consumer.HeaderPatterns = []string{"!secret*", "*"}
	stream.Consume(a, in, got.take)
	out := b.out()
	out.Producer.Transient = true
	out.Producer.TTL, out.Producer.Priority, out.Producer.HeaderPatterns = time.Hour, 3, []string{"m*", "secret", "s*Size"}
	a.Bind(out)
	start(t, a)
	m := stream.NewMessage("x")
	m.ReplyTo, m.AppID = "answers", "app"
	m.Headers = stream.Headers{
		"mine": "kept", "secret": "gone on the way in", "other": "gone on the way out", "someSize": int32(1),
		"amqp_type": "T", "amqp_receivedExchange": "never sent", "deliveryAttempt": 7, "priority": 5, "amqp_correlationId": "c",
	}
	send(t, a, "out-0", m)
	r := got.next(t)
	if r.ReplyTo != "answers" || r.AppID != "app" || r.Type != "T" || r.CorrelationID != "c" || r.Priority != 5 || r.TTL != time.Hour {
		t.Errorf("got %+v", r)
	}
	if len(r.Headers) != 2 || r.Headers.String("mine") != "kept" || r.Headers["someSize"] != int32(1) {
		t.Errorf("headers %v", r.Headers)
	}
	for key, want := range map[string]any{
		"amqp_receivedExchange": b.dest, "amqp_consumerQueue": b.dest + ".g", "contentType": stream.ContentTypeJSON, "amqp_type": "T",
		"deliveryAttempt": int32(1), "id": r.ID, "priority": int32(5), "mine": "kept", "nothing": nil, "amqp_replyTo": "answers", "amqp_receivedDeliveryMode": "NON_PERSISTENT",
	} {
		if have := r.Header(key); have != want {
			t.Errorf("Header(%s) is %v, want %v", key, have, want)
		}
	}
	bad := stream.NewMessage("x")
	bad.Headers["priority"] = "urgent"
	if err := stream.Send(t.Context(), a, "out-0", bad); err == nil || !strings.Contains(err.Error(), "priority") {
		t.Errorf("got %v", err)
	}
}

func testSendTo(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[int]()
	back := b.group("back")
	back.Destination += ".elsewhere"
	stream.Consume(a, back, got.take)
	double := func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
		r := stream.NewMessage(m.Payload * 2)
		return &r, nil
	}
	direct := func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
		m.Headers = stream.Headers{stream.HeaderSendTo: back.Destination}
		return &m, nil
	}
	stream.Apply(a, b.group("double"), stream.Binding{Name: "double-out-0", Destination: b.dest + ".nowhere"}, stream.Compose(double, direct))
	a.Bind(b.out())
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(4))
	if m := got.next(t); m.Payload != 8 || m.Headers[stream.HeaderSendTo] != nil {
		t.Errorf("got %+v", m)
	}
}
