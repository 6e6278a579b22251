package oteltrace

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// targetsMax bounds the ways that are remembered: routing keys may have an order's number in them.
const targetsMax = 1024

// way is what the conventions name a RabbitMQ destination by.
type way struct{ exchange, key, queue string }

// target is what the spans and metrics of all messages on one way share.
type target struct {
	name    string                  // of its spans
	start   []trace.SpanStartOption // with the attributes that a sampler may ask for
	metrics *consumerMetrics        // of a consumer
}

// targets keeps what was made for each way.
type targets struct {
	known sync.Map // of ways to *target
	count atomic.Int64
	make  func(way) *target
}

func (t *targets) of(w way) *target {
	if x, ok := t.known.Load(w); ok {
		return x.(*target)
	}
	made := t.make(w)
	if t.count.Add(1) <= targetsMax {
		t.known.Store(w, made)
	}
	return made
}

// startOptions are a span's kind and the attributes it starts with.
func startOptions(kind trace.SpanKind, attrs ...attribute.KeyValue) []trace.SpanStartOption {
	return []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attrs...)}
}

// producerTargets are those of a publisher.
func producerTargets(s stream.System, exchange string) *targets {
	name := operationPublish + " " + cmp.Or(exchange, defaultExchange)
	return &targets{make: func(w way) *target {
		attrs := append(serverAttributes(s),
			attribute.String(attrOperationName, operationPublish), attribute.String(attrOperationType, typeSend),
			attribute.String(attrTemplate, exchange), attribute.String(attrDestination, w.String()))
		return &target{name: name, start: startOptions(trace.SpanKindProducer, withKey(attrs, w.key)...)}
	}}
}

// consumerTargets are those of a consumer. Spans are named after the queue, or the exchange of a queue that is random.
func consumerTargets(s stream.System, b stream.Binding, m *metrics) *targets {
	common := consumerAttributes(s, b)
	return &targets{make: func(w way) *target {
		attrs := append(common[:len(common):len(common)], attribute.String(attrDestination, w.String()))
		template := w.queue
		if b.Group == "" {
			template = w.exchange
			attrs = append(attrs, attribute.Bool(attrAnonymous, true))
		}
		attrs = append(attrs, attribute.String(attrTemplate, template))
		return &target{
			name: operationProcess + " " + template, start: startOptions(trace.SpanKindConsumer, withKey(attrs, w.key)...),
			metrics: m.ofConsumer(s, template),
		}
	}}
}

func consumerAttributes(s stream.System, b stream.Binding) []attribute.KeyValue {
	common := append(serverAttributes(s),
		attribute.String(attrOperationName, operationProcess), attribute.String(attrOperationType, typeProcess))
	if b.Group != "" {
		common = append(common, attribute.String(attrGroup, b.Group))
	}
	if b.Consumer.Partitioned {
		common = append(common, attribute.Bool(attrPartitioned, true))
	}
	return common
}

func serverAttributes(s stream.System) []attribute.KeyValue {
	attrs := []attribute.KeyValue{attribute.String(attrSystem, s.Name)}
	if s.Address != "" {
		attrs = append(attrs, attribute.String(attrServerAddress, s.Address))
	}
	if s.Port != 0 {
		attrs = append(attrs, attribute.Int(attrServerPort, s.Port))
	}
	return attrs
}

func withKey(attrs []attribute.KeyValue, key string) []attribute.KeyValue {
	if key == "" {
		return attrs
	}
	return append(attrs, attribute.String(attrRoutingKey, key))
}

// defaultExchange is its name in spans.
const defaultExchange = "amq.default"

// String is the conventions' name: {exchange}:{routing key}[:{queue}], without empty parts and without the queue when it is the
// routing key.
func (w way) String() string {
	name := w.exchange
	if w.key != "" {
		if name != "" {
			name += ":"
		}
		name += w.key
	}
	if w.queue != "" && w.queue != w.key {
		name += ":" + w.queue
	}
	return cmp.Or(name, defaultExchange)
}

// describe gives a span that is recorded what only this message has.
func describe(span trace.Span, m *stream.Raw) {
	if !span.IsRecording() {
		return
	}
	var room [8]attribute.KeyValue
	attrs := append(room[:0], attribute.String(attrMessageID, m.ID), attribute.Int(attrBodySize, len(m.Payload)))
	if m.CorrelationID != "" {
		attrs = append(attrs, attribute.String(attrConversationID, m.CorrelationID))
	}
	d := &m.Delivery
	if d.Tag != 0 {
		attrs = append(attrs, attribute.Int64(attrDeliveryTag, int64(d.Tag)))
	}
	if d.Redelivered {
		attrs = append(attrs, attribute.Bool(attrRedelivered, true))
	}
	if d.Retries > 0 {
		attrs = append(attrs, attribute.Int(attrRetries, d.Retries))
	}
	span.SetAttributes(attrs...)
}
