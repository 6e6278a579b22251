// Package tracestore is a small trace back end for demos, tests and machines without containers: OTLP in, Jaeger's query API
// and one page out. It is Jaeger-compatible, it is not Jaeger: traces live in memory, bounded in bytes.
package tracestore

// The JSON of Jaeger's query API. Times and durations are microseconds.
type (
	// Trace is one trace as /api/traces/{id} has it.
	Trace struct {
		TraceID   string             `json:"traceID"`
		Spans     []Span             `json:"spans"`
		Processes map[string]Process `json:"processes"` // by Span.ProcessID
		Warnings  []string           `json:"warnings"`
	}
	// Span is one span.
	Span struct {
		TraceID       string      `json:"traceID"`
		SpanID        string      `json:"spanID"`
		OperationName string      `json:"operationName"`
		References    []Reference `json:"references"`
		StartTime     int64       `json:"startTime"`
		Duration      int64       `json:"duration"`
		Tags          []KeyValue  `json:"tags"`
		Logs          []Log       `json:"logs"`
		ProcessID     string      `json:"processID"`
		Warnings      []string    `json:"warnings"`

		process Process
	}
	// Reference is a parent (CHILD_OF) or a link (FOLLOWS_FROM).
	Reference struct {
		RefType string `json:"refType"`
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	}
	// Process is who made a span.
	Process struct {
		ServiceName string     `json:"serviceName"`
		Tags        []KeyValue `json:"tags"`
	}
	// KeyValue is an attribute. Type is string, bool, int64, float64 or binary.
	KeyValue struct {
		Key   string `json:"key"`
		Type  string `json:"type"`
		Value any    `json:"value"`
	}
	// Log is a span event.
	Log struct {
		Timestamp int64      `json:"timestamp"`
		Fields    []KeyValue `json:"fields"`
	}
	// Dependency counts calls between two services.
	Dependency struct {
		Parent    string `json:"parent"`
		Child     string `json:"child"`
		CallCount int    `json:"callCount"`
	}
)

// Kinds of Reference.
const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// Tag returns the value of a tag of the span, nil when absent.
func (s Span) Tag(key string) any {
	for _, t := range s.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return nil
}

// Service returns the name of the service that made the span.
func (s Span) Service() string { return s.process.ServiceName }

// ParentID returns the id of the parent span, "" for a root.
func (s Span) ParentID() string {
	for _, r := range s.References {
		if r.RefType == childOf {
			return r.SpanID
		}
	}
	return ""
}

// Costs of what a span holds beside its text, roughly what Go's memory takes.
const (
	spanBytes      = 320
	attributeBytes = 64
	referenceBytes = 80
)

// bytes estimates the memory of a span.
func (s Span) bytes() int {
	n := spanBytes + len(s.TraceID) + len(s.SpanID) + len(s.OperationName) + len(s.References)*referenceBytes + tagBytes(s.Tags)
	for _, l := range s.Logs {
		n += attributeBytes + tagBytes(l.Fields)
	}
	return n
}

func tagBytes(tags []KeyValue) (n int) {
	for _, t := range tags {
		n += attributeBytes + len(t.Key)
		if s, ok := t.Value.(string); ok {
			n += len(s)
		}
	}
	return n
}
