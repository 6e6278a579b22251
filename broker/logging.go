package broker

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/warren-mq/warren/broker/internal/node"
)

// lines takes what a log handler is given, and hands it to the node as lines, too: they are
// published for whoever wants them.
type lines struct {
	slog.Handler
	to   *atomic.Pointer[node.Node] // nil until there is one
	text slog.Handler               // writes a line into the buffer
	line *lineBuffer
}

type lineBuffer struct {
	sync.Mutex
	bytes.Buffer
}

// publishing returns a logger that does what another does, and publishes its lines.
func publishing(l *slog.Logger, to *atomic.Pointer[node.Node]) *slog.Logger {
	b := &lineBuffer{}
	text := slog.NewTextHandler(&b.Buffer, &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(lines{Handler: l.Handler(), to: to, text: text, line: b})
}

// Handle implements slog.Handler.
func (h lines) Handle(ctx context.Context, r slog.Record) error {
	if n := h.to.Load(); n != nil {
		h.line.Lock()
		h.line.Reset()
		_ = h.text.Handle(ctx, r) // a buffer takes everything
		line := strings.TrimSuffix(h.line.String(), "\n")
		h.line.Unlock()
		n.LogLine(r.Time, routingKey(r.Level), line)
	}
	return h.Handler.Handle(ctx, r)
}

// routingKey is RabbitMQ's word for a level.
func routingKey(l slog.Level) string {
	if l == slog.LevelWarn {
		return "warning"
	}
	return strings.ToLower(l.String())
}

// WithAttrs implements slog.Handler.
func (h lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler, h.text = h.Handler.WithAttrs(attrs), h.text.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h lines) WithGroup(name string) slog.Handler {
	h.Handler, h.text = h.Handler.WithGroup(name), h.text.WithGroup(name)
	return h
}
