package oteltrace

import (
	"strings"

	"github.com/warren-mq/warren/libs/stream"
	"go.opentelemetry.io/otel/propagation"
)

// field is a header that Extract reads; fieldOther is one that only has to go before another hop is written.
type field uint8

const (
	fieldOther field = iota
	fieldTraceparent
	fieldTracestate
	fieldBaggage
	fieldB3
	fieldB3TraceID
	fieldB3SpanID
	fieldB3Sampled
	fieldB3Flags
	fieldSleuthTraceID
	fieldSleuthSpanID
	fieldSleuthSampled
	fieldSleuthFlags
	fieldSpan
	fieldCount
)

// byName are the headers, in lower case, that describe one hop and must not survive a forward.
var byName = map[string]field{
	headerTraceparent: fieldTraceparent, headerTracestate: fieldTracestate, headerBaggage: fieldBaggage, headerB3: fieldB3, headerSpan: fieldSpan,
	"x-b3-traceid": fieldB3TraceID, "x-b3-spanid": fieldB3SpanID, "x-b3-sampled": fieldB3Sampled, "x-b3-flags": fieldB3Flags,
	"x-b3-parentspanid": fieldOther,
	"spantraceid":       fieldSleuthTraceID, "spanid": fieldSleuthSpanID, "spansampled": fieldSleuthSampled, "spanflags": fieldSleuthFlags,
	"spanparentspanid": fieldOther, "spanname": fieldOther, "spanprocessid": fieldOther,
	"x-span-name": fieldOther, "x-process-id": fieldOther, "currentspan": fieldOther, "x-current-span": fieldOther, "x-currentspan": fieldOther,
	"messagesent": fieldOther, "x-message-sent": fieldOther, "nativeheaders": fieldOther,
}

// fieldOf finds the field of a header's name in any case; false for headers of the application.
func fieldOf(name string) (field, bool) {
	if f, ok := byName[name]; ok {
		return f, true
	}
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			f, ok := byName[strings.ToLower(name)]
			return f, ok
		}
	}
	return fieldOther, false
}

// fields are the values of those headers that a message has.
type fields [fieldCount]string

var _ propagation.TextMapCarrier = (*fields)(nil)

// read takes the trace headers of h; false when there are none.
func (f *fields) read(h stream.Headers) (found bool) {
	for k := range h {
		if i, ok := fieldOf(k); ok && i != fieldOther {
			f[i] = h.String(k)
			found = found || f[i] != "" && i != fieldSpan
		}
	}
	return found
}

// readNative reads the map of lists that Spring's channel interceptor adds.
func (f *fields) readNative(h stream.Headers) bool {
	native, _ := h["nativeHeaders"].(stream.Headers)
	if len(native) == 0 {
		return false
	}
	first := make(stream.Headers, len(native))
	for k, v := range native {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		first[k] = v
	}
	return f.read(first)
}

// Get implements [propagation.TextMapCarrier] for what OpenTelemetry's propagators read.
func (f *fields) Get(key string) string { return f[byName[key]] }

// Set implements [propagation.TextMapCarrier].
func (f *fields) Set(key, value string) { f[byName[key]] = value }

// Keys implements [propagation.TextMapCarrier].
func (f *fields) Keys() []string { return []string{headerTraceparent, headerTracestate, headerBaggage} }
