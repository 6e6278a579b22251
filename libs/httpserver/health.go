package httpserver

import (
	"context"
	_ "embed"
	"net/http"
	"time"
)

// checkTimeout bounds all readiness checks of one request together.
const checkTimeout = 2 * time.Second

type healthBody struct {
	Status  string            `json:"status"` // UP or DOWN
	Checks  map[string]string `json:"checks,omitempty"`
	Details any               `json:"details,omitempty"`
}

// live says that the process answers.
func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, "application/json", healthBody{Status: "UP"})
}

// ready says whether requests shall be sent here: 200 or 503.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	status, body := s.check(r.Context())
	writeJSON(w, status, "application/json", body)
}

// health is ready with details, for people.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	status, body := s.check(r.Context())
	if s.cfg.Details != nil {
		body.Details = s.cfg.Details()
	}
	writeJSON(w, status, "application/json", body)
}

func (s *Server) check(ctx context.Context) (int, healthBody) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	status, body := http.StatusOK, healthBody{Status: "UP", Checks: map[string]string{}}
	if s.closing.Err() != nil {
		body.Checks["server"] = "stopping"
	}
	for name, check := range s.cfg.Ready {
		if err := check(ctx); err != nil {
			body.Checks[name] = err.Error()
		}
	}
	if len(body.Checks) > 0 {
		status, body.Status = http.StatusServiceUnavailable, "DOWN"
	}
	return status, body
}

//go:embed docs.html
var docsPage []byte

// docs is a page that reads /openapi.json; it needs nothing from elsewhere.
func docs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'")
	_, _ = w.Write(docsPage)
}
