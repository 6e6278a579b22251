package brokertest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// spans keeps what the nodes export.
type spans struct {
	mu  sync.Mutex
	all []sdktrace.ReadOnlySpan
}

// ExportSpans implements sdktrace.SpanExporter.
func (s *spans) ExportSpans(_ context.Context, list []sdktrace.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, list...)
	return nil
}

// Shutdown implements sdktrace.SpanExporter.
func (s *spans) Shutdown(context.Context) error { return nil }

// of returns the spans with that name.
func (s *spans) of(name string) (list []sdktrace.ReadOnlySpan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if x.Name() == name {
			list = append(list, x)
		}
	}
	return list
}

func attribute(s sdktrace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.Emit()
		}
	}
	return ""
}

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

func TestTheBrokerJoinsTheTrace(t *testing.T) {
	var out spans
	c := brokertest.StartCluster(t, 3, func(cfg *broker.Config) { cfg.TracesTo(&out) })
	ch, other := dial(t, c.Nodes[0].URL()), dial(t, c.Nodes[1].URL())
	for _, q := range []struct {
		name string
		args amqp.Table
	}{
		{"dead", amqp.Table{"x-queue-type": "quorum"}},
		{"q", amqp.Table{"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}},
	} {
		if _, err := ch.QueueDeclare(q.name, true, false, false, false, q.args); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.QueueBind("q", "k", "amq.topic", false, nil); err != nil {
		t.Fatal(err)
	}
	publish := func(headers amqp.Table) {
		t.Helper()
		if err := ch.PublishWithContext(t.Context(), "amq.topic", "k", false, false, amqp.Publishing{Headers: headers, Body: []byte("12345")}); err != nil {
			t.Fatal(err)
		}
	}
	sampled := amqp.Table{"traceparent": "00-" + traceID + "-" + parentID + "-01"}
	publish(nil)
	publish(amqp.Table{"traceparent": "00-" + traceID + "-" + parentID + "-00", "b3": "0"})
	publish(sampled)
	publish(amqp.Table{"b3": traceID[16:] + "-" + parentID + "-1"})
	ds, err := other.Consume("q", "tag", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		d := <-ds
		if d.Headers["traceparent"] == sampled["traceparent"] {
			if err := d.Nack(false, true); err != nil { // once more, please
				t.Fatal(err)
			}
			continue
		}
		if err := d.Ack(false); err != nil {
			t.Fatal(err)
		}
	}
	again := <-ds
	if again.Headers["traceparent"] != sampled["traceparent"] { // the consumer's span is the publisher's child
		t.Error(again.Headers)
	}
	if err := again.Reject(false); err != nil {
		t.Fatal(err)
	}
	count := func(name string, n int) func() bool { return func() bool { return len(out.of(name)) >= n } }
	until(t, "it is dead-lettered", count("q dead-letter", 1))
	until(t, "all is settled", count("q settle", 3))
	for name, want := range map[string]int{"amq.topic receive": 2, "q store": 2, "q wait": 3, "q settle": 3, "q dead-letter": 1, "dead wait": 0} {
		if got := out.of(name); len(got) != want {
			t.Errorf("%d spans %q, want %d", len(got), name, want)
		}
	}
	receive := out.of("amq.topic receive")
	first := slices.IndexFunc(receive, func(s sdktrace.ReadOnlySpan) bool { return s.SpanContext().TraceID().String() == traceID })
	if first < 0 || receive[1-first].SpanContext().TraceID().String() != "0000000000000000"+traceID[16:] {
		t.Fatal("not in the publishers' traces")
	}
	r := receive[first]
	if r.Parent().SpanID().String() != parentID || attribute(r, "messaging.message.body.size") != "5" || attribute(r, "warren.queues.matched") != "1" ||
		attribute(r, "messaging.rabbitmq.destination.routing_key") != "k" || attribute(r, "warren.outcome") != "stored" || attribute(r, "warren.node") != "broker-1" {
		t.Errorf("%v %v", r.Parent(), r.Attributes())
	}
	for _, s := range out.of("q store") {
		if s.SpanContext().TraceID().String() == traceID && (s.Parent().SpanID() != r.SpanContext().SpanID() || attribute(s, "warren.members") != "3" || !strings.HasPrefix(attribute(s, "warren.leader"), "broker-")) {
			t.Errorf("%v %v", s.Parent(), s.Attributes())
		}
	}
	var outcomes []string
	for _, s := range out.of("q settle") {
		if s.SpanContext().TraceID().String() == traceID {
			outcomes = append(outcomes, attribute(s, "warren.outcome"))
		}
	}
	if slices.Sort(outcomes); !slices.Equal(outcomes, []string{"rejected", "requeue"}) {
		t.Error(outcomes)
	}
	if d := out.of("q dead-letter")[0]; attribute(d, "warren.dead_letter.reason") != "rejected" || attribute(d, "warren.outcome") != "stored" {
		t.Error(d.Attributes())
	}
}

func TestAFailOverIsSeenInTheTrace(t *testing.T) {
	var out spans
	c := brokertest.StartCluster(t, 3, func(cfg *broker.Config) { cfg.TracesTo(&out) })
	ch := dial(t, c.Nodes[0].URL())
	if _, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp.Publishing{Headers: amqp.Table{"traceparent": "00-" + traceID + "-" + parentID + "-01"}}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is stored", func() bool { return len(out.of("q store")) == 1 })
	leader := awaitMembers(t, c.Nodes[0], "q", 3)
	at := slices.IndexFunc(c.Nodes, func(n *brokertest.Node) bool { return n.Name() == leader })
	c.Nodes[at].Kill()
	other := dial(t, c.Nodes[(at+1)%len(c.Nodes)].URL())
	ds, err := other.Consume("q", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-ds
	until(t, "it has waited", func() bool { return len(out.of("q wait")) > 0 })
	for _, s := range out.of("q wait") {
		for _, e := range s.Events() {
			if strings.HasPrefix(e.Name, "fail-over: node broker-") {
				return
			}
		}
	}
	t.Error("no span tells of it")
}
