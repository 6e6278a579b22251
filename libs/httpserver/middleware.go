package httpserver

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traced leaves out what is asked every few seconds and tells nobody anything.
func traced(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/health") }

// trace puts the trace on the response: traceparent, and a link that a person can click.
func (s *Server) trace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sc := trace.SpanContextFromContext(r.Context()); sc.IsValid() {
			propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(w.Header()))
			if s.cfg.TraceBaseURL != "" {
				w.Header().Set("Trace-Link", s.cfg.TraceBaseURL+"/trace/"+sc.TraceID().String())
			}
		}
		next.ServeHTTP(w, r)
	})
}

// route names the span after the route, which is known only when the router has done its work.
func route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			pattern := chi.RouteContext(r.Context()).RoutePattern()
			if pattern == "" {
				return
			}
			attr := attribute.String("http.route", pattern)
			span := trace.SpanFromContext(r.Context())
			span.SetName(r.Method + " " + pattern)
			span.SetAttributes(attr)
			if l, ok := otelhttp.LabelerFromContext(r.Context()); ok {
				l.Add(attr)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// recover turns a panic into a 500; the stack goes to the log and the span, never to the client.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler {
				panic(v)
			}
			span := trace.SpanFromContext(r.Context())
			span.SetStatus(codes.Error, fmt.Sprint(v))
			s.cfg.Logger.ErrorContext(r.Context(), "handler panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			WriteProblem(w, http.StatusInternalServerError, "unexpected error")
		}()
		next.ServeHTTP(w, r)
	})
}

// limit bounds the body and the time of a request. An event stream has no deadline but ends when the server stops.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.BodyBytesMax {
			WriteProblem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has %d bytes, at most %d are read", r.ContentLength, s.cfg.BodyBytesMax))
			return
		}
		// One byte more than the limit, so that huma's own limit answers first.
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.BodyBytesMax+1)
		ctx, cancel := r.Context(), context.CancelFunc(nil)
		if s.stream(r) {
			ctx, cancel = context.WithCancel(ctx)
			defer context.AfterFunc(s.closing, cancel)()
		} else {
			ctx, cancel = context.WithTimeout(ctx, s.cfg.RequestTimeout)
		}
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (s *Server) stream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream") || s.cfg.Streams != nil && s.cfg.Streams(r)
}
