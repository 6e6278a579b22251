package tracing

import (
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

func properties(headers message.Table) []byte {
	return message.Properties{Flags: message.HasHeaders, Headers: headers}.Append(nil)
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestSampled(t *testing.T) {
	tr := &Tracer{}
	field := func(k string, v any) message.Table { return message.Table{{Key: k, Value: v}} }
	for name, tt := range map[string]struct {
		headers message.Table
		want    bool
	}{
		"w3c sampled":        {field("traceparent", "00-"+traceID+"-"+spanID+"-01"), true},
		"w3c as bytes":       {field("traceparent", []byte("00-"+traceID+"-"+spanID+"-01")), true},
		"w3c more flags":     {field("traceparent", "00-"+traceID+"-"+spanID+"-03"), true},
		"w3c not sampled":    {field("traceparent", "00-"+traceID+"-"+spanID+"-00"), false},
		"w3c short":          {field("traceparent", "00-"+traceID), false},
		"w3c no hex":         {field("traceparent", "00-"+traceID[:31]+"x-"+spanID+"-01"), false},
		"w3c zero":           {field("traceparent", "00-00000000000000000000000000000000-"+spanID+"-01"), false},
		"b3 sampled":         {field("b3", traceID+"-"+spanID+"-1"), true},
		"b3 with parent":     {field("b3", traceID+"-"+spanID+"-1-"+spanID), true},
		"b3 short id, debug": {field("b3", traceID[16:]+"-"+spanID+"-d"), true},
		"b3 not sampled":     {field("b3", traceID+"-"+spanID+"-0"), false},
		"b3 nothing":         {field("b3", "0"), false},
		"many headers":       {message.Table{{Key: "X-B3-TraceId", Value: traceID[16:]}, {Key: "X-B3-SpanId", Value: spanID}, {Key: "X-B3-Sampled", Value: "1"}}, true},
		"other headers":      {field("h", "v"), false},
		"not a text":         {field("traceparent", int64(1)), false},
	} {
		c, ok := tr.Sampled(properties(tt.headers))
		if ok != tt.want || ok && (c.Span != [8]byte{0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7} || c.Trace[15] != 0x36) {
			t.Errorf("%s: %v %x", name, ok, c)
		}
	}
	if _, ok := tr.Sampled(message.Properties{}.Append(nil)); ok {
		t.Error("without headers")
	}
}

func FuzzSampled(f *testing.F) {
	f.Add("00-"+traceID+"-"+spanID+"-01", traceID+"-"+spanID+"-1")
	f.Fuzz(func(t *testing.T, w3c, b3 string) {
		if c, ok := parseW3C(w3c); ok && c.Trace == [16]byte{} {
			t.Error(w3c)
		}
		if c, ok := parseB3(b3); ok && c.Span == [8]byte{} {
			t.Error(b3)
		}
	})
}

// BenchmarkUnsampled shows what a message costs that nobody has sampled, once a tracer is
// set; without one there is not even this.
func BenchmarkUnsampled(b *testing.B) {
	tr := &Tracer{}
	plain, headed := message.Properties{}.Append(nil), properties(message.Table{{Key: "h", Value: "v"}, {Key: "n", Value: int64(1)}})
	b.Run("no headers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tr.Sampled(plain)
		}
	})
	b.Run("other headers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tr.Sampled(headed)
		}
	})
}
