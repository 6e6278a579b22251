package tracestore

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed ui
var ui embed.FS

// traceIDsMax bounds the ids of one request.
const traceIDsMax = 100

// QueryHandler is Jaeger's query API and the page.
func (s *Store) QueryHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/services", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Services()) })
	mux.HandleFunc("GET /api/services/{service}/operations", func(w http.ResponseWriter, r *http.Request) {
		set := map[string]bool{}
		for _, o := range s.Operations(r.PathValue("service")) {
			set[o.Name] = true
		}
		answer(w, sortedKeys(set))
	})
	mux.HandleFunc("GET /api/operations", func(w http.ResponseWriter, r *http.Request) {
		answer(w, s.Operations(r.URL.Query().Get("service")))
	})
	mux.HandleFunc("GET /api/traces", s.searchTraces)
	mux.HandleFunc("GET /api/traces/{id}", s.getTrace)
	mux.HandleFunc("GET /api/dependencies", s.getDependencies)
	mux.HandleFunc("GET /api/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, errors.New("no such API: "+r.URL.Path))
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, "UP") })
	mux.HandleFunc("GET /ui/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, ui, "ui/"+r.PathValue("file"))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/search", http.StatusFound) })
	for _, path := range []string{"GET /search", "GET /trace/{id}", "GET /dependencies"} {
		mux.HandleFunc(path, page)
	}
	return mux
}

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:")
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeFileFS(w, r, ui, "ui/page.html")
}

func (s *Store) searchTraces(w http.ResponseWriter, r *http.Request) {
	params := r.URL.Query()
	if ids := params["traceID"]; len(ids) > 0 {
		found := []Trace{}
		for _, id := range ids[:min(len(ids), traceIDsMax)] {
			if t, ok := s.Trace(id); ok {
				found = append(found, t)
			}
		}
		answer(w, found)
		return
	}
	q, err := parseQuery(params)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	answer(w, s.Search(q))
}

func (s *Store) getTrace(w http.ResponseWriter, r *http.Request) {
	t, ok := s.Trace(r.PathValue("id"))
	if !ok {
		refuse(w, http.StatusNotFound, errors.New("trace not found"))
		return
	}
	if r.URL.Query().Has("download") {
		w.Header().Set("Content-Disposition", `attachment; filename="trace-`+t.TraceID+`.json"`)
	}
	answer(w, []Trace{t})
}

// getDependencies reads endTs and lookback, both milliseconds.
func (s *Store) getDependencies(w http.ResponseWriter, r *http.Request) {
	end, start := time.Time{}, time.Time{}
	if ms, err := strconv.ParseInt(r.URL.Query().Get("endTs"), 10, 64); err == nil {
		end = time.UnixMilli(ms)
		if back, err := strconv.ParseInt(r.URL.Query().Get("lookback"), 10, 64); err == nil {
			start = end.Add(-time.Duration(back) * time.Millisecond)
		}
	}
	answer(w, s.Dependencies(start, end))
}

// parseQuery reads Jaeger's parameters: service, operation, tags (a JSON object), tag (key:value, repeated), start and end
// (microseconds), lookback (1h, 2d), minDuration, maxDuration (1.5s, 200ms), limit.
func parseQuery(p url.Values) (Query, error) {
	q := Query{Service: p.Get("service"), Operation: p.Get("operation"), Tags: map[string]string{}}
	if raw := p.Get("tags"); raw != "" {
		if err := json.Unmarshal([]byte(raw), &q.Tags); err != nil {
			return q, fmt.Errorf("tags: %w", err)
		}
	}
	for _, tag := range p["tag"] {
		key, value, ok := strings.Cut(tag, ":")
		if !ok {
			return q, fmt.Errorf("tag %q is not key:value", tag)
		}
		q.Tags[key] = value
	}
	var err error
	if q.Start, err = micros(p, "start"); err != nil {
		return q, err
	}
	if q.End, err = micros(p, "end"); err != nil {
		return q, err
	}
	if back := p.Get("lookback"); back != "" && back != "custom" && q.Start.IsZero() {
		d, err := lookback(back)
		if err != nil {
			return q, fmt.Errorf("lookback: %w", err)
		}
		q.Start = time.Now().Add(-d)
	}
	for key, into := range map[string]*time.Duration{"minDuration": &q.MinDuration, "maxDuration": &q.MaxDuration} {
		if raw := p.Get(key); raw != "" {
			if *into, err = time.ParseDuration(raw); err != nil {
				return q, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	if raw := p.Get("limit"); raw != "" {
		if q.Limit, err = strconv.Atoi(raw); err != nil || q.Limit < 1 {
			return q, fmt.Errorf("limit %q is not a positive number", raw)
		}
	}
	return q, nil
}

func micros(p url.Values, key string) (time.Time, error) {
	raw := p.Get(key)
	if raw == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", key, err)
	}
	return time.UnixMicro(n), nil
}

func lookback(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}

// envelope is what Jaeger wraps every answer in.
type envelope struct {
	Data   any        `json:"data"`
	Total  int        `json:"total"`
	Limit  int        `json:"limit"`
	Offset int        `json:"offset"`
	Errors []apiError `json:"errors"`
}

type apiError struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
}

func answer(w http.ResponseWriter, data any) {
	e := envelope{Data: data}
	if names, ok := data.([]string); ok {
		e.Total = len(names)
	}
	write(w, http.StatusOK, e)
}

func refuse(w http.ResponseWriter, status int, err error) {
	write(w, status, envelope{Errors: []apiError{{Code: status, Msg: err.Error()}}})
}

func write(w http.ResponseWriter, status int, e envelope) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*") // read-only, and the demo's page is on another port
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the client is gone: nobody is left to tell
}
