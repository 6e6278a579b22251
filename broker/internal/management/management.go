// Package management is the node's HTTP front end, after RabbitMQ's management API:
// health checks for proxies and people, lists for tools, users and what they may do.
package management

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Broker is what this front end needs.
type Broker interface {
	Node() *node.Node
	JoinCluster(peer string, force bool) error
	// SetLimits changes the limits of this node, in bytes, behind its alarms.
	SetLimits(memory, diskFree uint64)
	// LogLevel is the least level that this node logs; nil: whoever embeds it says that.
	LogLevel() *slog.LevelVar
	// Stop begins an orderly stop of this node.
	Stop()
	// CertificateEnd returns until when the AMQP listener's certificate is good; zero:
	// there is none.
	CertificateEnd() time.Time
}

// bodyBytesMax bounds what a request may carry.
const bodyBytesMax = 1 << 20

type handler struct {
	b           Broker
	log         *slog.Logger
	guestRemote bool
	connMax     int // 0: no limit
	view        view
	guard       guard
	streams     atomic.Int32
	large       chan struct{} // one for each large list that is being made
	stopping    <-chan struct{}
}

// request is a request of a user who has logged in.
type request struct {
	*http.Request
	user *metadata.User
	// changesNothing is set by a handler whose method only looks as if it did.
	changesNothing bool
}

// role is what a user must be for a request.
type role struct {
	tags    []string // one of them; nil: any that lets a user in here
	refusal string
}

var (
	anyUser = role{[]string{tagManagement, tagPolicymaker, tagMonitoring, tagAdministrator}, "Not management user"}
	policy  = role{[]string{tagPolicymaker, tagAdministrator}, "Not policymaker user"}
	monitor = role{[]string{tagMonitoring, tagAdministrator}, "Not monitor user"}
	admin   = role{[]string{tagAdministrator}, "Not administrator user"}
)

// The tags that mean something here.
const (
	tagManagement    = "management"
	tagPolicymaker   = "policymaker"
	tagMonitoring    = "monitoring"
	tagAdministrator = "administrator"
)

type route struct {
	method, path string
	role         role
	handle       func(http.ResponseWriter, *request) error
}

// Config is the front end's settings.
type Config struct {
	Logger *slog.Logger
	// GuestRemote lets user guest in from other machines.
	GuestRemote bool
	// ConnectionsMax is how many client connections the node takes; 0: no limit.
	ConnectionsMax int
	// Metrics serves the pages below /metrics.
	Metrics http.Handler
	// Done ends what goes on for as long as the client likes.
	Done <-chan struct{}
}

// New returns the handler of all paths.
func New(b Broker, c Config) http.Handler {
	h := &handler{b: b, log: c.Logger, guestRemote: c.GuestRemote, connMax: c.ConnectionsMax, stopping: c.Done, large: make(chan struct{}, largeAtOnce)}
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, fault.New(fault.NotFound, "no resource at %s", r.URL.Path))
	})
	for _, path := range [...]string{"/api/health/checks/ready-to-serve-clients", "/readyz"} {
		r.Get(path, h.ready)
	}
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	r.Get("/api/openapi.json", h.openapi)
	pages := console()
	r.Get("/", pages.ServeHTTP)
	r.Get("/{file}", pages.ServeHTTP)
	if c.Metrics != nil {
		r.Handle("/metrics", c.Metrics)
		r.Handle("/metrics/*", c.Metrics)
	}
	for _, t := range h.allRoutes() {
		r.Method(t.method, t.path, h.authenticated(t.role, t.handle))
	}
	// A page of another site must not make a browser change something here.
	return http.NewCrossOriginProtection().Handler(withoutLastSlash(r))
}

func (h *handler) allRoutes() []route {
	return slices.Concat(h.clusterRoutes(), h.overviewRoutes(), h.healthRoutes(), h.queueRoutes(), h.exchangeRoutes(), h.bindingRoutes(),
		h.policyRoutes(), h.parameterRoutes(), h.userRoutes(), h.permissionRoutes(), h.vhostRoutes(), h.connectionRoutes(), h.definitionRoutes(), h.eventRoutes(), h.auditRoutes(), h.replicaRoutes())
}

func (h *handler) clusterRoutes() []route {
	return []route{
		{http.MethodPut, "/api/cluster/nodes/{node}/groups", admin, h.grow},
		{http.MethodDelete, "/api/cluster/nodes/{node}/groups", admin, h.grow},
		{http.MethodPost, "/api/cluster/join", admin, h.join},
		{http.MethodPut, "/api/cluster/limits", admin, h.setLimits},
		{http.MethodGet, "/api/cluster/log-level", monitor, h.logLevel},
		{http.MethodPut, "/api/cluster/log-level", admin, h.setLogLevel},
		{http.MethodPost, "/api/cluster/stop", admin, h.stop},
		{http.MethodDelete, "/api/cluster/nodes/{node}", admin, h.forget},
		{http.MethodPut, "/api/cluster/nodes/{node}/maintenance", admin, h.drain},
		{http.MethodDelete, "/api/cluster/nodes/{node}/maintenance", admin, h.drain},
	}
}

// withoutLastSlash takes a path that ends in a slash for the one that does not.
func withoutLastSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); len(p) > 1 && strings.HasSuffix(p, "/") {
			u := *r.URL
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
			r = r.Clone(r.Context())
			r.URL = &u
		}
		next.ServeHTTP(w, r)
	})
}

// param returns a part of the path, which may hold an escaped slash: vhost "/" is %2F.
func param(r *request, name string) string {
	v, err := url.PathUnescape(chi.URLParam(r.Request, name))
	if err != nil {
		return chi.URLParam(r.Request, name)
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

// authenticated lets users in who know their password and are what the route asks for;
// guest only from this machine, unless the setting says otherwise.
func (h *handler) authenticated(need role, f func(http.ResponseWriter, *request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		who, now := guardedOf(r.RemoteAddr, name), time.Now()
		if wait := h.guard.wait(who, now); ok && wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			write(w, http.StatusTooManyRequests, map[string]string{"error": "too_many_requests", "reason": "too many failed logins: try again later"})
			return
		}
		if ok {
			ok = h.b.Node().Authenticate(name, password) == nil
			h.guard.tried(who, ok, now)
		}
		switch {
		case !ok:
			refuse(w, r, "not_authorized", "Login failed")
			return
		case name == "guest" && !h.guestRemote && !loopback(r.RemoteAddr):
			refuse(w, r, "not_authorized", "User can only log in via localhost")
			return
		}
		q := &request{Request: r, user: h.user(name)}
		if q.user == nil || !q.user.HasTag(anyUser.tags...) {
			refuse(w, r, notAuthorised, anyUser.refusal)
			return
		}
		if r.Method != http.MethodGet {
			a := &audited{ResponseWriter: w, status: http.StatusOK}
			defer h.audit(q, a)
			w = a
		}
		if !q.user.HasTag(need.tags...) {
			refuse(w, r, notAuthorised, need.refusal)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax(r))
		err := h.visible(q)
		if err == nil {
			err = f(w, q)
		}
		if r.Method != http.MethodGet {
			h.view.forget()
		}
		switch {
		case errors.Is(err, errHidden):
			refuse(w, r, notAuthorised, "User not authorised to access virtual host")
		case err != nil:
			h.fail(w, r, err)
		}
	}
}

func (h *handler) user(name string) (u *metadata.User) {
	h.b.Node().View(func(s *metadata.State) { u = s.Users[name] })
	return u
}

// errHidden refuses what is in a virtual host that the user may not see.
var errHidden = errors.New("user not authorised to access virtual host")

// visible checks the virtual host that the path names: it must be there, for those who
// could know, and the user must have permissions in it, or watch over all.
func (h *handler) visible(r *request) error {
	name := param(r, "vhost")
	if name == "" || r.Method == http.MethodPut && slices.Contains(mayBeNew, chi.RouteContext(r.Context()).RoutePattern()) {
		return nil
	}
	known := false
	h.b.Node().View(func(s *metadata.State) { known = s.VHosts[name] != nil })
	switch {
	case !sees(r.user, name):
		return errHidden
	case !known:
		return fault.New(fault.NotFound, "no vhost '%s'", name)
	}
	return nil
}

// mayBeNew are the paths that say themselves what they think of a virtual host that is
// not there.
var mayBeNew = []string{"/api/vhosts/{vhost}", "/api/permissions/{vhost}/{user}", "/api/topic-permissions/{vhost}/{user}"}

// sees reports whether a user may know of what is in a virtual host.
func sees(u *metadata.User, vhost string) bool {
	_, allowed := u.Permissions[vhost]
	return allowed || u.HasTag(monitor.tags...)
}

// consoleHeader marks the console's requests.
const consoleHeader = "X-Warren-Console"

// notAuthorised is for those whose login is good; RabbitMQ spells the two differently.
const notAuthorised = "not_authorised"

func refuse(w http.ResponseWriter, r *http.Request, kind, reason string) {
	if r.Header.Get(consoleHeader) == "" { // the console asks by itself, not the browser
		w.Header().Set("WWW-Authenticate", `Basic realm="Warren"`)
	}
	write(w, http.StatusUnauthorized, map[string]string{"error": kind, "reason": reason})
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

var statuses = map[fault.Kind]int{
	fault.NotFound: http.StatusNotFound, fault.PreconditionFailed: http.StatusBadRequest,
	fault.AccessRefused: http.StatusUnauthorized, fault.NotAllowed: http.StatusBadRequest, fault.ResourceLocked: http.StatusBadRequest,
	fault.NotImplemented: http.StatusBadRequest, fault.ResourceError: http.StatusBadRequest, fault.Unavailable: http.StatusServiceUnavailable,
}

// bodyMax returns how many bytes a request may carry.
func bodyMax(r *http.Request) int64 {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/definitions"):
		return definitionsBytesMax
	case strings.HasSuffix(r.URL.Path, "/publish"):
		return messageBytesMax
	}
	return bodyBytesMax
}

// errBadRequest marks what the caller sent wrong.
var errBadRequest = errors.New("bad request")

// detailedError is a bad request whose reason is RabbitMQ's, for tools, and whose detail says
// more.
type detailedError struct{ reason, detail string }

// Error returns the reason.
func (e *detailedError) Error() string { return e.reason }

// Is reports that it is a bad request.
func (e *detailedError) Is(target error) bool { return target == errBadRequest }

func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, ok := statuses[fault.KindOf(err)]
	if _, isPage := errors.AsType[*pageError](err); isPage || errors.Is(err, errBadRequest) {
		status, ok = http.StatusBadRequest, true
	}
	if !ok {
		status = http.StatusInternalServerError
		h.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	reason := err.Error()
	kind := map[int]string{http.StatusNotFound: "Object Not Found", http.StatusBadRequest: "bad_request", http.StatusUnauthorized: notAuthorised}[status]
	if p, ok := errors.AsType[*pageError](err); ok {
		kind = p.kind
	}
	if kind == "" {
		kind = http.StatusText(status)
	}
	if d, ok := errors.AsType[*detailedError](err); ok {
		write(w, status, map[string]string{"error": kind, "reason": reason, "detail": d.detail})
		return
	}
	if status == http.StatusNotFound { // tools compare the reason with RabbitMQ's
		write(w, status, map[string]string{"error": kind, "reason": "Not Found", "detail": reason})
		return
	}
	write(w, status, map[string]string{"error": kind, "reason": reason})
}

func write(w http.ResponseWriter, status int, v any) {
	var e encoder
	if e.value(v); e.err != nil {
		status, e.b = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	begin(w, status)
	_, _ = w.Write(append(e.b, '\n'))
}

// begin writes the header of an answer in JSON.
func begin(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // names are in it, which anybody chose
	w.WriteHeader(status)
}

// changed answers a change: 201 if it made something, 204 if that was there.
func changed(w http.ResponseWriter, existed bool) {
	if existed {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// keysMissing refuses a body that lacks some keys: those that are nil; nil if none is.
func keysMissing(keys ...any) error {
	var missing []string
	for i := 0; i < len(keys); i += 2 {
		if reflect.ValueOf(keys[i+1]).IsNil() {
			missing = append(missing, fmt.Sprintf("{key_missing,%s}", keys[i]))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.New(fault.PreconditionFailed, "[%s]", strings.Join(missing, ","))
}

// readOptional is read for a body that may be missing.
func readOptional(r *request, v any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return read(r, v)
}

func read(r *request, v any) error {
	d := json.NewDecoder(r.Body)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: not_json: %w", errBadRequest, err)
	}
	return nil
}
