package telemetry_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/warren-mq/warren/libs/telemetry"
	"github.com/warren-mq/warren/libs/tracestore"
	"go.opentelemetry.io/otel"
)

func TestSpansArrive(t *testing.T) {
	s := tracestore.NewServer(tracestore.Config{QueryAddress: "-", OTLPHTTPAddress: "127.0.0.1:0", OTLPGRPCAddress: "127.0.0.1:0"})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	for protocol, url := range map[string]string{"http/protobuf": s.OTLPHTTPURL(), "grpc": s.OTLPGRPCURL()} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
		t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
		var log bytes.Buffer
		tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "order", Version: "1", Getenv: os.Getenv, Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		ctx, span := otel.Tracer("t").Start(t.Context(), protocol)
		tel.Logger.InfoContext(ctx, "hello")
		span.End()
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		id := span.SpanContext().TraceID().String()
		if got, ok := s.Store.Trace(id); !ok || got.Spans[0].OperationName != protocol || got.Processes["p1"].ServiceName != "order" {
			t.Errorf("%s: %+v", protocol, got)
		}
		if !strings.Contains(log.String(), id) {
			t.Errorf("log %s", log.String())
		}
	}
}

func TestNothingIsExportedUnasked(t *testing.T) {
	tel, err := telemetry.Start(t.Context(), telemetry.Config{Service: "order"})
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("t").Start(t.Context(), "x")
	if !span.SpanContext().IsValid() {
		t.Error("spans have no ids")
	}
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
