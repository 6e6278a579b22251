package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

type order struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

func testRoundTrip(t *testing.T, b bench) {
	got := newInbox[order]()
	a := b.app(t)
	stream.Consume(a, b.group("g"), got.take)
	a.Bind(b.out())
	start(t, a)
	at := time.Now().Truncate(time.Second)
	m := stream.NewMessage(order{ID: "o-1", Amount: 4200})
	m.Type, m.CorrelationID, m.RoutingKey = "OrderPlaced", "o-1", "order.placed.eu"
	m.Headers = stream.Headers{
		"s": "text", "b": true, "i": int32(7), "l": int64(1) << 40, "f": 1.5, "raw": []byte{0, 1, 255}, "at": at, "none": nil,
		"list": []any{"x", int64(2)}, "map": stream.Headers{"k": "v"}, "x-death": "stale",
	}
	send(t, a, "out-0", m)
	r := got.next(t)
	if r.ID != m.ID || r.Type != m.Type || r.CorrelationID != "o-1" || r.Payload != m.Payload || r.ContentType != stream.ContentTypeJSON {
		t.Errorf("got %+v", r)
	}
	if !r.Timestamp.Equal(m.Timestamp.Truncate(time.Second)) {
		t.Errorf("timestamp %v, want %v", r.Timestamp, m.Timestamp)
	}
	d := r.Delivery
	if d.Exchange != b.dest || d.Queue != b.dest+".g" || d.RoutingKey != "order.placed.eu" || d.Redelivered || d.Attempt != 1 {
		t.Errorf("delivery %+v", d)
	}
	for k, want := range m.Headers {
		have := r.Headers[k]
		switch want := want.(type) {
		case []byte:
			if !bytes.Equal(have.([]byte), want) {
				t.Errorf("header %s: %v", k, have)
			}
		case time.Time:
			if !have.(time.Time).Equal(want) {
				t.Errorf("header %s: %v", k, have)
			}
		default:
			if k != "x-death" && fmt.Sprint(have) != fmt.Sprint(want) {
				t.Errorf("header %s: %v, want %v", k, have, want)
			}
		}
	}
	if _, stale := r.Headers["x-death"]; stale {
		t.Error("a broker's header was published")
	}
}

func testGroups(t *testing.T, b bench) {
	const n = 20
	shared, other := newInbox[int](), newInbox[int]()
	for i := range 2 {
		a := b.app(t)
		in := b.group("shared")
		in.Consumer.Prefetch = 1
		stream.Consume(a, in, shared.take)
		if i == 0 {
			stream.Consume(a, b.group("other"), other.take)
		}
		start(t, a)
	}
	a := b.app(t)
	a.Bind(b.out())
	start(t, a)
	for i := range n {
		send(t, a, "out-0", stream.NewMessage(i))
	}
	seen := map[int]int{}
	for range n {
		seen[shared.next(t).Payload]++
		other.next(t)
	}
	if len(seen) != n {
		t.Errorf("the group saw %d different messages of %d", len(seen), n)
	}
	shared.empty(t)
}

func testAnonymous(t *testing.T, b bench) {
	var boxes [2]inbox[int]
	for i := range boxes {
		boxes[i] = newInbox[int]()
		a := b.app(t)
		in := b.group("anonymous")
		in.Group = ""
		stream.Consume(a, in, boxes[i].take)
		start(t, a)
	}
	a := b.app(t)
	a.Bind(b.out())
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(1))
	boxes[0].next(t)
	boxes[1].next(t)
}

func testRequiredGroup(t *testing.T, b bench) {
	a := b.app(t)
	out := b.out()
	out.Producer.RequiredGroups = []string{"later"}
	out.Producer.AutoBindDLQ = true // as the consumer's: both sides must declare one queue alike
	a.Bind(out)
	start(t, a)
	send(t, a, "out-0", stream.NewMessage("kept"))
	late := b.app(t)
	got := newInbox[string]()
	stream.Consume(late, b.group("later"), got.take)
	start(t, late)
	if m := got.next(t); m.Payload != "kept" {
		t.Errorf("got %q", m.Payload)
	}
}

func testReturned(t *testing.T, b bench) {
	a := b.app(t)
	a.Bind(b.out())
	loose := b.out()
	loose.Name, loose.Producer.Mandatory = "loose-out-0", stream.Off
	a.Bind(loose)
	start(t, a)
	if err := stream.Send(t.Context(), a, "out-0", stream.NewMessage(1)); !errors.Is(err, stream.ErrReturned) {
		t.Errorf("got %v", err)
	}
	send(t, a, "loose-out-0", stream.NewMessage(1))
}

func testBatchOrder(t *testing.T, b bench) {
	const n = 500
	got := newInbox[int]()
	a := b.app(t)
	stream.Consume(a, b.group("g"), got.take)
	s := stream.NewSender[int](a, b.out())
	start(t, a)
	var batch []stream.Message[int]
	for i := range n {
		batch = append(batch, stream.NewMessage(i))
	}
	for i, err := range s.SendBatch(t.Context(), batch) {
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	for i := range n {
		if m := got.next(t); m.Payload != i {
			t.Fatalf("message %d came as number %d", m.Payload, i)
		}
	}
}

func testDynamicDestination(t *testing.T, b bench) {
	got := newInbox[string]()
	a := b.app(t)
	in := b.group("g")
	in.ContentType = stream.ContentTypeText
	stream.Consume(a, in, got.take)
	start(t, a)
	m := stream.NewMessage("plain")
	m.ContentType = stream.ContentTypeText
	send(t, a, b.dest, m)
	if m := got.next(t); m.Payload != "plain" || m.ContentType != stream.ContentTypeText {
		t.Errorf("got %+v", m)
	}
}

func testFunction(t *testing.T, b bench) {
	got := newInbox[int]()
	a := b.app(t)
	in, back := b.group("double"), b.group("back")
	back.Destination += ".doubled"
	stream.Consume(a, back, got.take)
	stream.Apply(a, in, stream.Binding{Name: "double-out-0", Destination: back.Destination},
		func(_ context.Context, m stream.Message[int]) (*stream.Message[int], error) {
			if m.Payload%2 == 1 {
				return nil, nil
			}
			r := stream.NewMessage(m.Payload * 2)
			return &r, nil
		})
	a.Bind(b.out())
	start(t, a)
	send(t, a, "out-0", stream.NewMessage(3))
	m := stream.NewMessage(4)
	m.CorrelationID = "c"
	send(t, a, "out-0", m)
	if m := got.next(t); m.Payload != 8 || m.CorrelationID != "c" {
		t.Errorf("got %+v", m)
	}
	got.empty(t)
}

func testSupplier(t *testing.T, b bench) {
	got := newInbox[int]()
	a := b.app(t)
	stream.Consume(a, b.group("g"), got.take)
	n := 0
	out := b.out()
	out.Producer.PollInterval = time.Millisecond
	stream.Supply(a, out, func(context.Context) (*stream.Message[int], error) {
		n++
		if n > 3 {
			return nil, nil
		}
		m := stream.NewMessage(n)
		return &m, nil
	})
	start(t, a)
	for i := 1; i <= 3; i++ {
		if m := got.next(t); m.Payload != i {
			t.Errorf("got %d, want %d", m.Payload, i)
		}
	}
}

// The first message does not wait for the interval, unless it is told to.
func testSupplierAtOnce(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[int]()
	stream.Consume(a, b.group("g"), got.take)
	asked := false
	out := b.out()
	out.Producer.PollInterval, out.Producer.RequiredGroups, out.Producer.AutoBindDLQ = time.Hour, []string{"g"}, true
	stream.Supply(a, out, func(context.Context) (*stream.Message[int], error) {
		if asked {
			return nil, nil
		}
		asked = true
		m := stream.NewMessage(1)
		return &m, nil
	})
	start(t, a)
	got.next(t)
}

// A producer that has a partition key has partitions, if only one: Spring's consumers look for it by its number.
func testOnePartition(t *testing.T, b bench) {
	a := b.app(t)
	got := newInbox[string]()
	in := b.group("g")
	in.Consumer.Partitioned = true
	stream.Consume(a, in, got.take)
	out := b.out()
	out.Producer.PartitionKey = func(stream.Raw) any { return "any" }
	a.Bind(out)
	start(t, a)
	send(t, a, "out-0", stream.NewMessage("x"))
	if m := got.next(t); m.Delivery.RoutingKey != b.dest+"-0" {
		t.Errorf("routing key %s", m.Delivery.RoutingKey)
	}
}

func testPartitions(t *testing.T, b bench) {
	var boxes [2]inbox[string]
	for i := range boxes {
		boxes[i] = newInbox[string]()
		a := b.app(t)
		in := b.group("g")
		in.Consumer.Partitioned, in.Consumer.InstanceIndex = true, i
		stream.Consume(a, in, boxes[i].take)
		start(t, a)
	}
	a := b.app(t)
	out := b.out()
	out.Producer.PartitionCount = 2
	out.Producer.PartitionKey = func(m stream.Raw) any { return m.CorrelationID }
	a.Bind(out)
	start(t, a)
	for _, key := range []string{"a", "b"} { // Java: "a".hashCode() is 97, "b" is 98
		m := stream.NewMessage(key)
		m.CorrelationID = key
		send(t, a, "out-0", m)
	}
	if m := boxes[1].next(t); m.Payload != "a" {
		t.Errorf("partition 1 got %q", m.Payload)
	}
	if m := boxes[0].next(t); m.Payload != "b" {
		t.Errorf("partition 0 got %q", m.Payload)
	}
}
