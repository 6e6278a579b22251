// Package management is the node's HTTP front end, after RabbitMQ's management API:
// health checks for proxies and people, lists for tools, policies.
package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Broker is what this front end needs.
type Broker interface {
	Node() *node.Node
	JoinCluster(peer string, force bool) error
}

// bodyBytesMax bounds what a request may carry.
const bodyBytesMax = 1 << 20

type handler struct {
	b           Broker
	log         *slog.Logger
	guestRemote bool
}

// New returns the handler of all paths. guestRemote lets user guest in from other
// machines.
func New(b Broker, log *slog.Logger, guestRemote bool) http.Handler {
	h := &handler{b, log, guestRemote}
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, fault.New(fault.NotFound, "no resource at %s", r.URL.Path))
	})
	r.Get("/api/health/checks/ready-to-serve-clients", h.ready)
	for _, route := range [...]struct {
		method, path string
		handle       func(http.ResponseWriter, *http.Request) error
	}{
		{http.MethodGet, "/api/overview", h.overview},
		{http.MethodGet, "/api/nodes", h.nodes},
		{http.MethodGet, "/api/queues", h.queues},
		{http.MethodGet, "/api/queues/{vhost}", h.queues},
		{http.MethodGet, "/api/queues/{vhost}/{name}", h.queue},
		{http.MethodGet, "/api/policies", h.policies},
		{http.MethodPut, "/api/policies/{vhost}/{name}", h.setPolicy},
		{http.MethodDelete, "/api/policies/{vhost}/{name}", h.clearPolicy},
		{http.MethodPost, "/api/cluster/join", h.join},
	} {
		r.Method(route.method, route.path, h.authenticated(route.handle))
	}
	return r
}

// param returns a part of the path, which may hold an escaped slash: vhost "/" is %2F.
func param(r *http.Request, name string) string {
	v, err := url.PathUnescape(chi.URLParam(r, name))
	if err != nil {
		return chi.URLParam(r, name)
	}
	return v
}

// ready answers 200 if clients can be served, else 503 with the reason.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if err := h.b.Node().Ready(); err != nil {
		write(w, http.StatusServiceUnavailable, map[string]string{"status": "failed", "reason": err.Error()})
		return
	}
	write(w, http.StatusOK, map[string]string{"status": "ok"})
}

// authenticated lets users in who know their password; guest only from this machine,
// unless the setting says otherwise.
func (h *handler) authenticated(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok || h.b.Node().Authenticate(user, password) != nil || user == "guest" && !h.guestRemote && !loopback(r.RemoteAddr) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Warren"`)
			write(w, http.StatusUnauthorized, map[string]string{"error": "not_authorised", "reason": "Login failed"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		if err := f(w, r); err != nil {
			h.fail(w, r, err)
		}
	}
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

var statuses = map[fault.Kind]int{
	fault.NotFound: http.StatusNotFound, fault.PreconditionFailed: http.StatusBadRequest,
	fault.AccessRefused: http.StatusForbidden, fault.NotAllowed: http.StatusBadRequest,
	fault.Unavailable: http.StatusServiceUnavailable,
}

// errBadRequest marks what the caller sent wrong.
var errBadRequest = errors.New("bad request")

func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, ok := statuses[fault.KindOf(err)]
	if errors.Is(err, errBadRequest) {
		status, ok = http.StatusBadRequest, true
	}
	if !ok {
		status = http.StatusInternalServerError
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	reason := err.Error()
	kind := map[int]string{http.StatusNotFound: "Object Not Found", http.StatusBadRequest: "bad_request"}[status]
	if kind == "" {
		kind = http.StatusText(status)
	}
	write(w, status, map[string]string{"error": kind, "reason": reason})
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

func read(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %w", errBadRequest, err)
	}
	return nil
}
