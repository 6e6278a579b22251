package management

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTheDocumentDescribesTheRoutes compares both ways.
func TestTheDocumentDescribesTheRoutes(t *testing.T) {
	h := &handler{}
	known := map[string]bool{}
	for _, r := range h.allRoutes() {
		key := r.method + " " + r.path
		if known[key] {
			t.Errorf("%s is there twice", key)
		}
		known[key] = true
		text, example, has := strings.Cut(requestTexts[key], "|")
		if text == "" {
			t.Errorf("%s is not described", key)
		}
		if has && !json.Valid([]byte(example)) {
			t.Errorf("%s: the example is not JSON: %s", key, example)
		}
		if r.role.tags == nil || r.handle == nil {
			t.Errorf("%s: for whom, and what?", key)
		}
	}
	for key := range requestTexts {
		if !known[key] {
			t.Errorf("%s is described, and there is no such route", key)
		}
	}
	w := httptest.NewRecorder()
	New(nil, Config{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/openapi.json", nil))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary   string
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	served := 0
	for _, methods := range doc.Paths {
		served += len(methods)
	}
	if doc.OpenAPI != "3.1.0" || served != len(known) {
		t.Errorf("version %q, %d requests of %d", doc.OpenAPI, served, len(known))
	}
	if o := doc.Paths["/api/queues/{vhost}/{name}"]["put"]; o.Summary == "" || o.Responses["201"] == nil {
		t.Errorf("%+v", o)
	}
}
