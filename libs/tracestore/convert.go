package tracestore

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// convert turns OTLP into Jaeger's shape, after OpenTelemetry's specification of that mapping. Spans without valid ids are
// counted as rejected.
func convert(resources []*tracepb.ResourceSpans) (spans []Span, rejected int) {
	for _, rs := range resources {
		p := process(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				if len(s.GetTraceId()) != 16 || len(s.GetSpanId()) != 8 {
					rejected++
					continue
				}
				spans = append(spans, convertSpan(s, ss.GetScope(), p))
			}
		}
	}
	return spans, rejected
}

func process(attrs []*commonpb.KeyValue) Process {
	p := Process{ServiceName: "unknown_service", Tags: []KeyValue{}}
	for _, a := range attrs {
		if a.GetKey() == "service.name" {
			p.ServiceName = a.GetValue().GetStringValue()
			continue
		}
		p.Tags = append(p.Tags, keyValue(a))
	}
	return p
}

func convertSpan(s *tracepb.Span, scope *commonpb.InstrumentationScope, p Process) Span {
	start, end := int64(s.GetStartTimeUnixNano()/1000), int64(s.GetEndTimeUnixNano()/1000)
	out := Span{
		TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), OperationName: s.GetName(),
		References: references(s), StartTime: start, Duration: max(end-start, 0), Tags: []KeyValue{}, Logs: []Log{}, process: p,
	}
	for _, a := range s.GetAttributes() {
		out.Tags = append(out.Tags, keyValue(a))
	}
	if kind := kinds[s.GetKind()]; kind != "" {
		out.Tags = append(out.Tags, text("span.kind", kind))
	}
	if name := scope.GetName(); name != "" {
		out.Tags = append(out.Tags, text("otel.scope.name", name))
	}
	if v := scope.GetVersion(); v != "" {
		out.Tags = append(out.Tags, text("otel.scope.version", v))
	}
	switch s.GetStatus().GetCode() {
	case tracepb.Status_STATUS_CODE_OK:
		out.Tags = append(out.Tags, text("otel.status_code", "OK"))
	case tracepb.Status_STATUS_CODE_ERROR:
		out.Tags = append(out.Tags, text("otel.status_code", "ERROR"), KeyValue{Key: "error", Type: "bool", Value: true})
		if d := s.GetStatus().GetMessage(); d != "" {
			out.Tags = append(out.Tags, text("otel.status_description", d))
		}
	case tracepb.Status_STATUS_CODE_UNSET:
	}
	if ts := s.GetTraceState(); ts != "" {
		out.Tags = append(out.Tags, text("w3c.tracestate", ts))
	}
	for _, e := range s.GetEvents() {
		l := Log{Timestamp: int64(e.GetTimeUnixNano() / 1000), Fields: []KeyValue{text("event", e.GetName())}}
		for _, a := range e.GetAttributes() {
			l.Fields = append(l.Fields, keyValue(a))
		}
		out.Logs = append(out.Logs, l)
	}
	return out
}

// references are the parent, then the links; a link to the parent adds nothing.
func references(s *tracepb.Span) []Reference {
	refs := []Reference{}
	traceID, parent := hex.EncodeToString(s.GetTraceId()), hex.EncodeToString(s.GetParentSpanId())
	if strings.Trim(parent, "0") != "" {
		refs = append(refs, Reference{RefType: childOf, TraceID: traceID, SpanID: parent})
	}
	for _, l := range s.GetLinks() {
		r := Reference{RefType: followsFrom, TraceID: hex.EncodeToString(l.GetTraceId()), SpanID: hex.EncodeToString(l.GetSpanId())}
		if r.TraceID != traceID || r.SpanID != parent {
			refs = append(refs, r)
		}
	}
	return refs
}

var kinds = map[tracepb.Span_SpanKind]string{
	tracepb.Span_SPAN_KIND_INTERNAL: "internal", tracepb.Span_SPAN_KIND_SERVER: "server", tracepb.Span_SPAN_KIND_CLIENT: "client",
	tracepb.Span_SPAN_KIND_PRODUCER: "producer", tracepb.Span_SPAN_KIND_CONSUMER: "consumer",
}

func text(key, value string) KeyValue { return KeyValue{Key: key, Type: "string", Value: value} }

func keyValue(a *commonpb.KeyValue) KeyValue {
	kv := KeyValue{Key: a.GetKey()}
	switch v := a.GetValue().GetValue().(type) {
	case *commonpb.AnyValue_BoolValue:
		kv.Type, kv.Value = "bool", v.BoolValue
	case *commonpb.AnyValue_IntValue:
		kv.Type, kv.Value = "int64", v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		kv.Type, kv.Value = "float64", v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		kv.Type, kv.Value = "binary", base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_StringValue:
		kv.Type, kv.Value = "string", v.StringValue
	default:
		data, _ := json.Marshal(plain(a.GetValue())) // of maps, lists and numbers: it cannot fail but for NaN, which gives ""
		kv.Type, kv.Value = "string", string(data)
	}
	return kv
}

// plain is an attribute value as encoding/json understands it.
func plain(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return v.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return v.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		list := []any{}
		for _, e := range v.ArrayValue.GetValues() {
			list = append(list, plain(e))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		m := map[string]any{}
		for _, e := range v.KvlistValue.GetValues() {
			m[e.GetKey()] = plain(e.GetValue())
		}
		return m
	}
	return nil
}
