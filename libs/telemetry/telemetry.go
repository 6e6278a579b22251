// Package telemetry sets up OpenTelemetry and structured logs for a service: traces and metrics over OTLP after the standard
// OTEL_ environment variables, log lines that carry the trace.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Defaults that differ from the SDK's.
const (
	// DefaultBatchDelay is the wait before spans are sent; the SDK's 5 s make people think that tracing is broken.
	DefaultBatchDelay = 200 * time.Millisecond
	// DefaultMetricInterval is the pace of metric export, unless OTEL_METRIC_EXPORT_INTERVAL says otherwise.
	DefaultMetricInterval = 10 * time.Second
)

// Config of a service's telemetry.
type Config struct {
	Service  string // service.name, unless OTEL_SERVICE_NAME says otherwise
	Version  string // service.version
	Instance string // service.instance.id, optional
	// Getenv reads the environment. The exporters read OTEL_EXPORTER_OTLP_* from the process on their own.
	Getenv func(string) string
	// Log is where log lines go.
	Log   io.Writer
	Level slog.Leveler // Info when nil
	// Format of log lines: FormatJSON (default) or FormatBracket.
	Format Format
}

// Telemetry is what Start set up.
type Telemetry struct {
	Logger  *slog.Logger
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
}

// Start sets otel's global providers and propagator and returns the logger.
//
// Spans are made always, so that ids are in logs and headers; they are exported when OTEL_EXPORTER_OTLP_ENDPOINT (or its
// _TRACES_ form) or OTEL_TRACES_EXPORTER=otlp is set. Metrics are exported only when OTEL_METRICS_EXPORTER=otlp or
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is set, because trace back ends refuse them. OTEL_EXPORTER_OTLP_PROTOCOL is
// http/protobuf (default) or grpc. OTEL_SDK_DISABLED=true turns export off.
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	service := first(cfg.Getenv("OTEL_SERVICE_NAME"), cfg.Service)
	res, err := newResource(ctx, cfg, service)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{Logger: slog.New(NewHandler(cfg.Log, service, cfg.Format, cfg.Level))}
	if t.traces, err = newTracerProvider(ctx, cfg, res); err != nil {
		return nil, err
	}
	if t.metrics, err = newMeterProvider(ctx, cfg, res); err != nil {
		return nil, errors.Join(err, t.traces.Shutdown(ctx))
	}
	otel.SetTracerProvider(t.traces)
	otel.SetMeterProvider(t.metrics)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.Baggage{}, propagation.TraceContext{}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.Logger.Warn("telemetry", "error", err) }))
	return t, nil
}

// Shutdown sends what is left and ends export.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	return errors.Join(t.traces.ForceFlush(ctx), t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}

func newResource(ctx context.Context, cfg Config, service string) (*resource.Resource, error) {
	attrs := []attribute.KeyValue{attribute.String("service.name", service)}
	if cfg.Version != "" {
		attrs = append(attrs, attribute.String("service.version", cfg.Version))
	}
	if cfg.Instance != "" {
		attrs = append(attrs, attribute.String("service.instance.id", cfg.Instance))
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv(), resource.WithAttributes(attrs...))
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	return res, nil
}

func newTracerProvider(ctx context.Context, cfg Config, res *resource.Resource) (*sdktrace.TracerProvider, error) {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exports(cfg, "TRACES", true) {
		exporter, err := newSpanExporter(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("telemetry: span exporter: %w", err)
		}
		delay := millis(cfg.Getenv("OTEL_BSP_SCHEDULE_DELAY"), DefaultBatchDelay)
		opts = append(opts, sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(delay)))
	}
	return sdktrace.NewTracerProvider(opts...), nil
}

func newSpanExporter(ctx context.Context, cfg Config) (sdktrace.SpanExporter, error) {
	if protocol(cfg, "TRACES") == "grpc" {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func newMeterProvider(ctx context.Context, cfg Config, res *resource.Resource) (*sdkmetric.MeterProvider, error) {
	opts := []sdkmetric.Option{sdkmetric.WithResource(res)}
	if exports(cfg, "METRICS", false) {
		exporter, err := newMetricExporter(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("telemetry: metric exporter: %w", err)
		}
		interval := millis(cfg.Getenv("OTEL_METRIC_EXPORT_INTERVAL"), DefaultMetricInterval)
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(interval))))
	}
	return sdkmetric.NewMeterProvider(opts...), nil
}

func newMetricExporter(ctx context.Context, cfg Config) (sdkmetric.Exporter, error) {
	if protocol(cfg, "METRICS") == "grpc" {
		return otlpmetricgrpc.New(ctx)
	}
	return otlpmetrichttp.New(ctx)
}

// exports decides whether a signal (TRACES, METRICS) leaves the process. general is whether the common endpoint counts.
func exports(cfg Config, signal string, general bool) bool {
	if cfg.Getenv("OTEL_SDK_DISABLED") == "true" {
		return false
	}
	switch cfg.Getenv("OTEL_" + signal + "_EXPORTER") {
	case "none":
		return false
	case "otlp":
		return true
	}
	return cfg.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "" || general && cfg.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

func protocol(cfg Config, signal string) string {
	return first(cfg.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), cfg.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"))
}

func millis(s string, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
