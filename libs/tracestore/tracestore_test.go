package tracestore

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func running(t *testing.T) *Server {
	t.Helper()
	s := NewServer(Config{QueryAddress: "127.0.0.1:0", OTLPHTTPAddress: "127.0.0.1:0", OTLPGRPCAddress: "127.0.0.1:0"})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return s
}

// get decodes the data of an API answer.
func get[T any](t *testing.T, s *Server, path string) (data T, status int) {
	t.Helper()
	resp, err := http.Get(s.QueryURL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e struct {
		Data T `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	return e.Data, resp.StatusCode
}

// emit sends one trace of two services through an exporter and returns its id.
func emit(t *testing.T, exporter sdktrace.SpanExporter) string {
	t.Helper()
	provider := func(service string) *sdktrace.TracerProvider {
		return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter),
			sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service), attribute.String("host.name", "h"))))
	}
	ctx, root := provider("order").Tracer("scope").Start(t.Context(), "POST /orders", trace.WithSpanKind(trace.SpanKindServer))
	_, child := provider("payment").Tracer("scope").Start(ctx, "process order.placed.payment", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.Int("n", 7), attribute.StringSlice("list", []string{"a", "b"})), trace.WithLinks(trace.LinkFromContext(ctx)))
	child.AddEvent("retry", trace.WithAttributes(attribute.Int("attempt", 1)))
	child.SetStatus(codes.Error, "declined")
	child.End()
	root.End()
	return root.SpanContext().TraceID().String()
}

func TestBothProtocolsInJaegersJSONOut(t *testing.T) {
	s := running(t)
	overHTTP, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(s.OTLPHTTPURL()+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	overGRPC, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpointURL(s.OTLPGRPCURL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, exporter := range []sdktrace.SpanExporter{overHTTP, overGRPC} {
		id := emit(t, exporter)
		traces, _ := get[[]Trace](t, s, "/api/traces/"+id)
		if len(traces) != 1 || len(traces[0].Spans) != 2 || len(traces[0].Processes) != 2 {
			t.Fatalf("got %+v", traces)
		}
		root, child := traces[0].Spans[0], traces[0].Spans[1]
		if p := traces[0].Processes[child.ProcessID]; p.ServiceName != "payment" || p.Tags[0].Key != "host.name" {
			t.Errorf("process %+v", p)
		}
		if len(child.References) != 1 || child.References[0] != (Reference{RefType: "CHILD_OF", TraceID: id, SpanID: root.SpanID}) {
			t.Errorf("references %+v", child.References)
		}
		for key, want := range map[string]string{"span.kind": "consumer", "error": "true", "otel.status_description": "declined", "n": "7", "list": `["a","b"]`, "otel.scope.name": "scope"} {
			if got := fmt.Sprint(child.Tag(key)); got != want {
				t.Errorf("tag %s is %s, want %s", key, got, want)
			}
		}
		if len(child.Logs) != 1 || child.Logs[0].Fields[0].Value != "retry" {
			t.Errorf("logs %+v", child.Logs)
		}
		if err := exporter.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if names, _ := get[[]string](t, s, "/api/services"); strings.Join(names, ",") != "order,payment" {
		t.Errorf("services %v", names)
	}
	if ops, _ := get[[]string](t, s, "/api/services/order/operations"); strings.Join(ops, ",") != "POST /orders" {
		t.Errorf("operations %v", ops)
	}
	if deps, _ := get[[]Dependency](t, s, "/api/dependencies"); len(deps) != 1 || deps[0] != (Dependency{"order", "payment", 2}) {
		t.Errorf("dependencies %v", deps)
	}
	for query, want := range map[string]int{
		"": 2, "service=order": 2, "service=nobody": 0, "service=payment&tags=" + url.QueryEscape(`{"error":"true"}`): 2,
		"service=order&tag=error:true": 0, "limit=1": 1, "operation=" + url.QueryEscape("POST /orders"): 2,
		"lookback=1h": 2, "lookback=2d": 2, "minDuration=1h": 0, "maxDuration=1h": 2,
		fmt.Sprintf("start=%d", time.Now().Add(time.Hour).UnixMicro()): 0,
	} {
		if found, _ := get[[]Trace](t, s, "/api/traces?"+query); len(found) != want {
			t.Errorf("%s: %d traces, want %d", query, len(found), want)
		}
	}
}

func TestOTLPJSON(t *testing.T) {
	s := running(t)
	body := `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"js"}}]},"scopeSpans":[{"spans":[
		{"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00f067aa0ba902b7","parentSpanId":"","name":"op","kind":3,"startTimeUnixNano":"1000000","endTimeUnixNano":"3000000","unknown":1},
		{"traceId":"","spanId":"","name":"broken"}]}]}]}`
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, body)
	_ = z.Close()
	for _, encoding := range []string{"", "gzip"} {
		r, _ := http.NewRequest("POST", s.OTLPHTTPURL()+"/v1/traces", strings.NewReader(body))
		if encoding != "" {
			r, _ = http.NewRequest("POST", s.OTLPHTTPURL()+"/v1/traces", &zipped)
			r.Header.Set("Content-Encoding", encoding)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(answer), "rejectedSpans") {
			t.Errorf("%d %s", resp.StatusCode, answer)
		}
	}
	got, _ := get[[]Trace](t, s, "/api/traces/4bf92f3577b34da6a3ce929d0e0e4736")
	if len(got) != 1 || len(got[0].Spans) != 1 || got[0].Spans[0].StartTime != 1000 || got[0].Spans[0].Duration != 2000 {
		t.Errorf("got %+v", got)
	}
}

func TestBadRequests(t *testing.T) {
	s := running(t)
	for _, c := range []struct {
		path, contentType, body string
		status                  int
	}{
		{"/v1/traces", "application/json", "{", 400},
		{"/v1/traces", "application/x-protobuf", "\xff\xff", 400},
		{"/v1/traces", "text/plain", "x", 415},
		{"/v1/metrics", "application/x-protobuf", "anything", 200},
		{"/v1/logs", "application/json", "{}", 200},
	} {
		resp, err := http.Post(s.OTLPHTTPURL()+c.path, c.contentType, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s: %d, want %d", c.path, c.contentType, resp.StatusCode, c.status)
		}
	}
	for path, want := range map[string]int{"/api/traces/00": 404, "/api/nothing": 404, "/api/traces?limit=x": 400, "/api/traces?start=x": 400, "/api/traces?tag=x": 400} {
		if _, status := get[any](t, s, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	s := running(t)
	for _, path := range []string{"/", "/search", "/trace/00", "/dependencies", "/ui/page.css", "/ui/page.js", "/ui/parts.js", "/ui/search.js", "/ui/waterfall.js"} {
		resp, err := http.Get(s.QueryURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		text := strings.ReplaceAll(string(body), "http://www.w3.org/2000/svg", "")
		if resp.StatusCode != 200 || strings.Contains(text, "://") {
			t.Errorf("%s: %d, or it loads from elsewhere", path, resp.StatusCode)
		}
	}
}

func TestTheStoreIsBounded(t *testing.T) {
	s := NewStore(100_000)
	for i := range 1000 {
		s.Add([]Span{{TraceID: padded(fmt.Sprint(i)), SpanID: "1", StartTime: int64(i), Tags: []KeyValue{text("k", strings.Repeat("x", 100))}}})
	}
	found := s.Search(Query{Limit: 1000})
	if s.bytes > 100_000 || len(found) < 100 || len(found) > 250 {
		t.Errorf("%d bytes, %d traces", s.bytes, len(found))
	}
	if found[0].TraceID != padded("999") {
		t.Errorf("newest is %s", found[0].TraceID)
	}
	if _, ok := s.Trace("1"); ok {
		t.Error("the oldest trace is still here")
	}
	before := s.bytes
	s.Add([]Span{{TraceID: padded("999"), SpanID: "1"}})
	if s.bytes != before {
		t.Error("a span that came twice counts twice")
	}
}
