package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/trace"
)

// Format of log lines.
type Format string

// The formats.
const (
	// FormatJSON is one JSON object per line with service, trace_id and span_id.
	FormatJSON Format = "json"
	// FormatBracket is for people: time, level, Sleuth's [service,traceId,spanId,exportable], message, attributes.
	FormatBracket Format = "bracket"
)

// NewHandler returns a handler that adds the trace of the record's context. level is Info when nil.
func NewHandler(w io.Writer, service string, f Format, level slog.Leveler) slog.Handler {
	if level == nil {
		level = slog.LevelInfo
	}
	if f == FormatBracket {
		return &bracketHandler{w: w, mu: &sync.Mutex{}, service: service, level: level}
	}
	inner := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	return &traceHandler{inner.WithAttrs([]slog.Attr{slog.String("service", service)})}
}

// traceHandler adds trace_id and span_id.
type traceHandler struct{ slog.Handler }

func (h *traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *traceHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &traceHandler{h.Handler.WithAttrs(a)}
}
func (h *traceHandler) WithGroup(g string) slog.Handler { return &traceHandler{h.Handler.WithGroup(g)} }

// bracketHandler writes Sleuth's line.
type bracketHandler struct {
	w       io.Writer
	mu      *sync.Mutex // shared by all that derive from one
	service string
	level   slog.Leveler
	prefix  string // of keys, from groups
	attrs   string // already written, from WithAttrs
}

func (h *bracketHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *bracketHandler) Handle(ctx context.Context, r slog.Record) error {
	sc := trace.SpanContextFromContext(ctx)
	traceID, spanID := "", ""
	if sc.IsValid() {
		traceID, spanID = sc.TraceID().String(), sc.SpanID().String()
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %-5s [%s,%s,%s,%t] %s%s", r.Time.Format("15:04:05.000"), r.Level, h.service, traceID, spanID, sc.IsSampled(), r.Message, h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, h.prefix, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(b.Bytes())
	return err
}

func (h *bracketHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	var b bytes.Buffer
	for _, a := range attrs {
		writeAttr(&b, h.prefix, a)
	}
	c.attrs += b.String()
	return &c
}

func (h *bracketHandler) WithGroup(g string) slog.Handler {
	if g == "" {
		return h
	}
	c := *h
	c.prefix += g + "."
	return &c
}

func writeAttr(b *bytes.Buffer, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			writeAttr(b, prefix, g)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \"=\n\t") {
		s = strconv.Quote(s)
	}
	fmt.Fprintf(b, " %s%s=%s", prefix, a.Key, s)
}
