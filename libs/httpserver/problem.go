package httpserver

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// ContentTypeProblem is RFC 9457's media type.
const ContentTypeProblem = "application/problem+json"

// WriteProblem answers with problem details in the shape that huma's operations use.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	writeJSON(w, status, ContentTypeProblem, huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}

// conceal keeps the text of an unexpected error from the client, whom it does not help, and gives it to the log.
func (s *Server) conceal(hc huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok || m.Status < http.StatusInternalServerError || len(m.Errors) == 0 {
		return v, nil
	}
	s.cfg.Logger.ErrorContext(hc.Context(), "request failed", "status", m.Status, "error", m.Errors[0].Message)
	out := *m
	out.Errors = nil
	return &out, nil
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"title":"Internal Server Error","status":500}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client is gone: nobody is left to tell
}
