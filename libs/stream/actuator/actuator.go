// Package actuator shows the bindings of an App over HTTP, and changes their state, in the shapes of Spring Boot's actuator:
//
//	GET  /bindings             all bindings
//	GET  /bindings/{name}      one
//	POST /bindings/{name}      {"state": "STARTED" | "STOPPED" | "PAUSED" | "RESUMED"} changes it: 204, or 404, 400
//	GET  /health               binders and bindings, 200 or 503
//
// Whoever can reach the POST can stop the service from working: mount it where operators are, not users.
package actuator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/warren-mq/warren/libs/stream"
)

// bodyBytesMax bounds the body of a POST.
const bodyBytesMax = 4 << 10

// Binding is a binding as it is shown. The first seven fields are Spring's.
type Binding struct {
	BindingName string          `json:"bindingName"`
	Name        string          `json:"name"` // of the destination
	Group       string          `json:"group,omitempty"`
	Pausable    bool            `json:"pausable"`
	State       string          `json:"state"` // running, paused or stopped
	Paused      bool            `json:"paused"`
	Input       bool            `json:"input"`
	Health      []stream.Health `json:"health"` // of each destination and partition
}

// Handler serves app's bindings. Mount it with its prefix stripped: http.StripPrefix("/actuator", actuator.Handler(app)).
func Handler(app *stream.App) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bindings", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, all(app)) })
	mux.HandleFunc("GET /bindings/{name}", func(w http.ResponseWriter, r *http.Request) { show(w, r, app) })
	mux.HandleFunc("POST /bindings/{name}", func(w http.ResponseWriter, r *http.Request) { change(w, r, app) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { health(w, r, app) })
	return mux
}

func all(app *stream.App) []Binding {
	infos := app.Bindings()
	shown := make([]Binding, len(infos))
	for i, b := range infos {
		shown[i] = Binding{
			BindingName: b.Binding.Name, Name: b.Binding.Destination, Group: b.Binding.Group, Pausable: b.Input, Paused: b.Paused,
			Input: b.Input, State: "running", Health: b.Health,
		}
		switch {
		case !b.Running:
			shown[i].State = "stopped"
		case b.Paused:
			shown[i].State = "paused"
		}
	}
	return shown
}

func show(w http.ResponseWriter, r *http.Request, app *stream.App) {
	for _, b := range all(app) {
		if b.BindingName == r.PathValue("name") {
			write(w, http.StatusOK, b)
			return
		}
	}
	fail(w, http.StatusNotFound, "no such binding: "+r.PathValue("name"))
}

func change(w http.ResponseWriter, r *http.Request, app *stream.App) {
	var body struct{ State string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyBytesMax)).Decode(&body); err != nil {
		fail(w, http.StatusBadRequest, `the body is not {"state": "STARTED"}: `+err.Error())
		return
	}
	err := app.Control(r.Context(), r.PathValue("name"), stream.Command(strings.ToUpper(body.State)))
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, stream.ErrNoBinding):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, stream.ErrNotStarted):
		fail(w, http.StatusConflict, err.Error())
	default:
		fail(w, http.StatusBadRequest, err.Error())
	}
}

// component is a node of Spring's health tree.
type component struct {
	Status     string               `json:"status"`
	Details    any                  `json:"details,omitempty"`
	Components map[string]component `json:"components,omitempty"`
}

func health(w http.ResponseWriter, r *http.Request, app *stream.App) {
	status, up := http.StatusOK, "UP"
	details := map[string]any{}
	if err := app.Ready(r.Context()); err != nil {
		status, up = http.StatusServiceUnavailable, "DOWN"
		details["error"] = err.Error()
	}
	for _, b := range all(app) {
		details[b.BindingName] = b.Health
	}
	write(w, status, component{Status: up, Components: map[string]component{"binders": {Status: up, Details: details}}})
}

func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // the client may be gone
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
