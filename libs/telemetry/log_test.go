package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func traced() context.Context {
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
}

func TestBracketFormat(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(NewHandler(&b, "order", FormatBracket, nil)).With("a", 1).WithGroup("g")
	l.InfoContext(traced(), "placed", "id", "o 1")
	l.Info("no trace")
	l.Debug("not written")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], `INFO  [order,01000000000000000000000000000000,0200000000000000,true] placed a=1 g.id="o 1"`) ||
		!strings.HasSuffix(lines[1], "INFO  [order,,,false] no trace a=1") {
		t.Errorf("got %q", lines)
	}
}

func TestJSONFormat(t *testing.T) {
	var b bytes.Buffer
	slog.New(NewHandler(&b, "order", FormatJSON, nil)).InfoContext(traced(), "placed", "id", 7)
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line["service"] != "order" || line["trace_id"] != "01000000000000000000000000000000" || line["span_id"] != "0200000000000000" || line["id"] != 7.0 {
		t.Errorf("got %v", line)
	}
}
