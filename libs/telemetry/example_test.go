package telemetry_test

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/warren-mq/warren/libs/telemetry"
)

// withoutTime cuts the time of day off, which changes.
type withoutTime struct{}

func (withoutTime) Write(p []byte) (int, error) {
	_, line, _ := strings.Cut(string(p), " ")
	return os.Stdout.WriteString(line)
}

func ExampleNewHandler() {
	log := slog.New(telemetry.NewHandler(withoutTime{}, "payment", telemetry.FormatBracket, nil))
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}, TraceFlags: trace.FlagsSampled,
	}))
	log.InfoContext(ctx, "paid", "order_id", "o-1")
	// Output: INFO  [payment,00000000000000000000000000000001,0000000000000002,true] paid order_id=o-1
}
