package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

type echoInput struct {
	Body struct {
		Name string `json:"name" minLength:"1"`
	}
}

type echoOutput struct {
	Body struct {
		Name string `json:"name"`
	}
}

func newServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{Service: "echo", Address: "127.0.0.1:0", TraceBaseURL: "http://traces/", BodyBytesMax: 1 << 20, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	huma.Post(s.API, "/echo/{id}", func(_ context.Context, in *struct {
		ID string `path:"id"`
		echoInput
	}) (*echoOutput, error) {
		if in.Body.Name == "fail" {
			return nil, errors.New("a secret")
		}
		if in.Body.Name == "panic" {
			panic("asked for")
		}
		out := &echoOutput{}
		out.Body.Name = in.Body.Name
		return out, nil
	})
	return s
}

func TestEveryErrorIsAProblem(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct {
		name, method, path, contentType, body string
		status                                int
	}{
		{"no such path", "GET", "/nowhere", "", "", 404},
		{"wrong method", "DELETE", "/echo/1", "", "", 405},
		{"malformed JSON", "POST", "/echo/1", "application/json", `{"name":`, 400},
		{"no body", "POST", "/echo/1", "application/json", "", 400},
		{"invalid value", "POST", "/echo/1", "application/json", `{"name":""}`, 422},
		{"unknown media type", "POST", "/echo/1", "application/x-strange", `hello`, 415},
		{"too large", "POST", "/echo/1", "application/json", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413},
		{"panic", "POST", "/echo/1", "application/json", `{"name":"panic"}`, 500},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
				if chunked {
					r.ContentLength = -1
				}
				if c.contentType != "" {
					r.Header.Set("Content-Type", c.contentType)
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				var p huma.ErrorModel
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Status != c.status ||
					w.Header().Get("Content-Type") != ContentTypeProblem {
					t.Errorf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
				}
			})
		}
	}
}

func TestSpanIsNamedAfterTheRouteAndLinked(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	s := newServer(t, nil)
	r := httptest.NewRequest("POST", "/echo/7", strings.NewReader(`{"name":"a"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health/live", nil))
	spans := rec.Ended()
	if len(spans) != 1 || spans[0].Name() != "POST /echo/{id}" {
		t.Fatalf("spans %v", spans)
	}
	id := spans[0].SpanContext().TraceID().String()
	if w.Header().Get("Trace-Link") != "http://traces/trace/"+id || !strings.Contains(w.Header().Get("traceparent"), id) {
		t.Errorf("headers %v", w.Header())
	}
	if strings.TrimSpace(w.Body.String()) != `{"name":"a"}` {
		t.Errorf("body %s", w.Body)
	}
}

func TestAnUnexpectedErrorIsForTheLogOnly(t *testing.T) {
	var log strings.Builder
	s := newServer(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	r := httptest.NewRequest("POST", "/echo/1", strings.NewReader(`{"name":"fail"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "a secret") {
		t.Errorf("%d %s, log: %s", w.Code, w.Body, log.String())
	}
}

func TestHealth(t *testing.T) {
	var broken error
	s := newServer(t, func(c *Config) {
		c.Ready = map[string]Check{"broker": func(context.Context) error { return broken }}
		c.Details = func() any { return "all of it" }
	})
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Body.String()
	}
	if code, body := get("/health"); code != 200 || !strings.Contains(body, "all of it") {
		t.Errorf("%d %s", code, body)
	}
	broken = errors.New("gone")
	if code, body := get("/health/ready"); code != 503 || !strings.Contains(body, `"broker":"gone"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := get("/health/live"); code != 200 {
		t.Errorf("live %d", code)
	}
	if code, body := get("/openapi.json"); code != 200 || !strings.Contains(body, "/echo/{id}") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get("/docs"); code != 200 || strings.Contains(body, "://") {
		t.Errorf("docs %d, or they load from elsewhere", code)
	}
}

func TestRunLetsRequestsFinishAndEndsStreams(t *testing.T) {
	s := newServer(t, func(c *Config) {
		c.RequestTimeout = time.Minute // a stream that it cut would end too late for this test
		c.Streams = func(r *http.Request) bool { return r.URL.Path == "/events" }
	})
	entered, leave := make(chan struct{}), make(chan struct{})
	s.Router.Get("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	})
	streaming := make(chan struct{}, 2)
	s.Router.Get("/events", func(_ http.ResponseWriter, r *http.Request) {
		streaming <- struct{}{}
		<-r.Context().Done()
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	answers := make(chan string, 3)
	get := func(path, accept string) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Address()+path, nil)
		req.Header.Set("Accept", accept)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answers <- string(b)
	}
	go get("/slow", "*/*")
	go get("/events", "text/event-stream")
	go get("/events", "*/*")
	<-entered
	<-streaming
	<-streaming
	cancel()
	for range 2 {
		if got := <-answers; got != "" {
			t.Errorf("stream answered %q", got)
		}
	}
	close(leave)
	if got := <-answers; got != "done" {
		t.Errorf("got %q", got)
	}
	select {
	case err := <-ran:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not return")
	}
}
