//go:build interop

package interop_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// Everything but failures and traces, beside one application.
func TestSpring(t *testing.T) {
	s := startSpring(t, brokerURL(t))
	for _, c := range []struct {
		name string
		test func(*testing.T, *spring)
	}{
		{"Group", testGroup},
		{"JSON", testJSON},
		{"Text", testText},
		{"HeadersToSpring", testHeadersToSpring},
		{"HeadersFromSpring", testHeadersFromSpring},
		{"BatchesToSpring", testBatchesToSpring},
		{"BatchesFromSpring", testBatchesFromSpring},
		{"Compression", testCompression},
		{"Partitions", testPartitions},
		{"DeadLettersOfSpring", testDeadLettersOfSpring},
		{"DeadLettersOfTheBroker", testDeadLettersOfTheBroker},
		{"DeadLettersOfGo", testDeadLettersOfGo},
		{"Declared", testDeclared},
		{"Properties", testProperties},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, s) })
	}
	if log := s.said(); strings.Contains(log, "PRECONDITION_FAILED") {
		t.Errorf("the application met other properties than its own:\n%s", log)
	}
}

// Two members of one group share what both kinds of producers send.
func testGroup(t *testing.T, s *spring) {
	const each = 200
	g := newService(t, s)
	in := g.binding("shared")
	in.Group = "members"
	in.Consumer.AutoBindDLQ, in.Consumer.Prefetch = true, 1
	got := newInbox[string]()
	stream.Consume(g.App, in, got.take)
	g.Bind(g.out("shared"))
	g.start(t)
	var payloads []string
	for i := range each {
		payloads = append(payloads, fmt.Sprint("spring ", i))
		send(t, g, "shared-out", stream.NewMessage(fmt.Sprint("go ", i)))
	}
	s.tell(t, "mixed", nil, payloads...)
	seen := map[string]int{}
	here, there := 0, 0
	for here+there < 2*each {
		select {
		case m := <-got:
			seen[m.Payload]++
			here++
		case r := <-s.reports["shared"]:
			seen[r.Payload.(string)]++
			there++
		case <-time.After(patience):
			t.Fatalf("%d of %d messages came", here+there, 2*each)
		}
	}
	t.Logf("Go got %d, Spring %d", here, there)
	if len(seen) != 2*each {
		t.Errorf("%d different messages of %d", len(seen), 2*each)
	}
	if here == 0 || there == 0 {
		t.Errorf("Go got %d and Spring %d", here, there)
	}
}

func testJSON(t *testing.T, s *spring) {
	type order struct {
		ID     string   `json:"id"`
		Amount int      `json:"amount"`
		Lines  []string `json:"lines"`
	}
	g := newService(t, s)
	in, out := g.binding("priced"), g.out("orders")
	in.ContentType, out.ContentType = "", ""
	got := newInbox[order]()
	stream.Consume(g.App, in, got.take)
	g.Bind(out)
	g.start(t)
	m := stream.NewMessage(order{ID: "ö-1", Amount: 21, Lines: []string{"a", "b"}})
	m.CorrelationID = "c-1"
	send(t, g, "orders-out", m)
	r := got.next(t)
	if r.Payload.ID != "ö-1" || r.Payload.Amount != 42 || !slices.Equal(r.Payload.Lines, []string{"a", "b"}) {
		t.Errorf("got %+v", r.Payload)
	}
	if r.ContentType != stream.ContentTypeJSON || r.CorrelationID != "c-1" || r.ID == "" || r.Timestamp.IsZero() {
		t.Errorf("got %+v", r)
	}
}

func testText(t *testing.T, s *spring) {
	g := newService(t, s)
	got := newInbox[string]()
	stream.Consume(g.App, g.binding("upper"), got.take)
	g.Bind(g.out("lower"))
	g.start(t)
	send(t, g, "lower-out", stream.NewMessage("größe 😀"))
	if m := got.next(t); m.Payload != "GRÖSSE 😀" || m.ContentType != stream.ContentTypeText {
		t.Errorf("got %q as %s", m.Payload, m.ContentType)
	}
}

// What Go calls a header's type, Spring calls by its own name; properties are not headers.
func testHeadersToSpring(t *testing.T, s *spring) {
	g := newService(t, s)
	g.Bind(g.out("each"))
	g.start(t)
	m := stream.NewMessage("x")
	m.Timestamp = time.Unix(1_700_000_000, 0)
	m.CorrelationID, m.Type, m.AppID, m.ReplyTo, m.Priority = "c", "Kind", "shop", "answers", 3
	m.Headers = stream.Headers{
		"s": "text", "i": int32(5), "l": int64(6), "n": 7, "b": true, "d": 1.5, "t": time.Unix(1_600_000_000, 0), "raw": []byte("bytes"),
		"list": []any{"a", int32(1), int64(2)}, "map": stream.Headers{"k": "v"}, "long": strings.Repeat("x", 2000),
	}
	send(t, g, "each-out", m)
	r := s.next(t, "each")
	for key, want := range map[string]string{
		"s": "String text", "i": "Integer 5", "l": "Long 6", "n": "Long 7", "b": "Boolean true", "d": "Double 1.5",
		"t": "Date 1600000000000", "raw": "byte[] bytes", "list": "ArrayList [String a, Integer 1, Long 2]",
		"contentType": "MimeType text/plain", "amqp_messageId": "String " + m.ID, "amqp_correlationId": "String c",
		"amqp_timestamp": "Date 1700000000000", "amqp_type": "String Kind", "amqp_appId": "String shop", "amqp_replyTo": "String answers",
		"priority": "Integer 3", "amqp_receivedDeliveryMode": "MessageDeliveryMode PERSISTENT",
		"amqp_receivedExchange": "String " + s.run + ".each", "amqp_receivedRoutingKey": "String " + s.run + ".each",
	} {
		if h := r.Headers[key]; h.Type+" "+h.Value != want {
			t.Errorf("header %s: %s %s, want %s", key, h.Type, h.Value, want)
		}
	}
	if h := r.Headers["map"]; h.Value != "{k=v}" {
		t.Errorf("header map: %+v", h)
	}
	if h := r.Headers["long"]; len(h.Value) != 2000 {
		t.Errorf("header long: %s of %d bytes", h.Type, len(h.Value))
	}
}

func testHeadersFromSpring(t *testing.T, s *spring) {
	g := newService(t, s)
	got := newInbox[string]()
	stream.Consume(g.App, g.binding("texts"), got.take)
	g.start(t)
	s.tell(t, "texts", map[string]string{
		"s": "string text", "i": "int 5", "l": "long 6", "b": "boolean true", "d": "double 1.5", "t": "date 1600000000000", "raw": "bytes bytes",
		"list": "list ", "map": "map ", "u": "uuid 00000000-0000-0001-0000-000000000002", "amqp_correlationId": "string c",
		"amqp_type": "string Kind", "priority": "int 3", "amqp_expiration": "string 60000",
	}, "x")
	m := got.next(t)
	for key, want := range map[string]any{
		"s": "text", "i": int32(5), "l": int64(6), "b": true, "d": 1.5, "u": "00000000-0000-0001-0000-000000000002",
	} {
		if m.Headers[key] != want {
			t.Errorf("header %s: %T %v, want %T %v", key, m.Headers[key], m.Headers[key], want, want)
		}
	}
	if at, _ := m.Headers["t"].(time.Time); at.Unix() != 1_600_000_000 {
		t.Errorf("header t: %v", m.Headers["t"])
	}
	if raw, _ := m.Headers["raw"].([]byte); string(raw) != "bytes" {
		t.Errorf("header raw: %v", m.Headers["raw"])
	}
	if list, _ := m.Headers["list"].([]any); !slices.Equal(list, []any{"a", int32(1), int64(2)}) {
		t.Errorf("header list: %v", m.Headers["list"])
	}
	if inner, _ := m.Headers["map"].(stream.Headers); inner.String("k") != "v" {
		t.Errorf("header map: %v", m.Headers["map"])
	}
	if m.ID == "" || m.Timestamp.IsZero() || m.CorrelationID != "c" || m.Type != "Kind" || m.Priority != 3 || m.TTL != time.Minute {
		t.Errorf("got %+v", m)
	}
}

// Go packs for Spring, which splits or takes the batch as it is; and Spring makes batches of what came one by one.
func testBatchesToSpring(t *testing.T, s *spring) {
	g := newService(t, s)
	for _, name := range []string{"each", "batch"} {
		packed := g.out(name)
		packed.Producer.Batching, packed.Producer.BatchSize = true, 3
		g.Bind(packed)
	}
	single := g.out("batch")
	single.Name = "single"
	g.Bind(single)
	g.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	want := []string{"1", "2", "3", "4"}
	var ms []stream.Message[string]
	for _, p := range want {
		m := stream.NewMessage(p)
		m.Headers["n"] = p
		ms = append(ms, m)
	}
	sendAll := func(binding string) {
		for _, err := range stream.SendBatch(ctx, g.App, binding, ms) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	sendAll("each-out")
	for _, p := range want {
		if r := s.next(t, "each"); r.Payload != p {
			t.Errorf("Spring's consumer got %v, want %s", r.Payload, p)
		}
	}
	for _, binding := range []string{"batch-out", "single"} {
		sendAll(binding)
		var all []string
		for len(all) < len(want) {
			all = append(all, s.next(t, "batch").Batch...)
		}
		if !slices.Equal(all, want) {
			t.Errorf("Spring's batch consumer got %v from %s", all, binding)
		}
	}
}

// Spring packs for Go, with and without compression.
func testBatchesFromSpring(t *testing.T, s *spring) {
	g := newService(t, s)
	one, many := newInbox[string](), make(chan []stream.Message[string], 100)
	stream.Consume(g.App, g.binding("packed"), one.take)
	all := g.binding("packed")
	all.Name, all.Group = "all", "all"
	all.Consumer.BatchSize, all.Consumer.ReceiveTimeout = 7, 500*time.Millisecond
	stream.ConsumeBatch(g.App, all, func(_ context.Context, ms []stream.Message[string]) error {
		many <- ms
		return nil
	})
	g.start(t)
	want := []string{"1", "2", "3", "4"}
	for _, binding := range []string{"packed", "packedZipped"} {
		s.tell(t, binding, nil, want...)
		for i, p := range want {
			m := one.next(t)
			if m.Payload != p || m.ContentEncoding != "" {
				t.Errorf("%s: got %q encoded as %q, want %q", binding, m.Payload, m.ContentEncoding, p)
			}
			if packed := i < 3; packed != (m.Delivery.BatchSize == 3) || packed && m.Delivery.LastInBatch != (i == 2) {
				t.Errorf("%s: %+v", binding, m.Delivery)
			}
		}
		var got []string
		for len(got) < len(want) {
			select {
			case ms := <-many:
				for _, m := range ms {
					got = append(got, m.Payload)
				}
			case <-time.After(patience):
				t.Fatalf("%s: the batch consumer got %v", binding, got)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the batch consumer got %v", binding, got)
		}
	}
}

func testCompression(t *testing.T, s *spring) {
	g := newService(t, s)
	for _, packed := range []bool{false, true} {
		out := g.out("each")
		out.Name = fmt.Sprint("zipped-", packed)
		out.Producer.Compress, out.Producer.CompressionLevel = true, 9
		out.Producer.Batching, out.Producer.BatchSize = packed, 2
		g.Bind(out)
	}
	got := newInbox[string]()
	stream.Consume(g.App, g.binding("zipped"), got.take)
	g.start(t)
	long := strings.Repeat("größe ", 500)
	send(t, g, "zipped-false", stream.NewMessage(long))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, err := range stream.SendBatch(ctx, g.App, "zipped-true", []stream.Message[string]{stream.NewMessage(long), stream.NewMessage(long)}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		r := s.next(t, "each")
		if r.Payload != long {
			t.Errorf("Spring got %.40q", r.Payload)
		}
	}
	s.tell(t, "zipped", nil, long)
	if m := got.next(t); m.Payload != long || m.ContentEncoding != "" {
		t.Errorf("Go got %.40q encoded as %q", m.Payload, m.ContentEncoding)
	}
}
