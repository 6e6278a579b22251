package management

import (
	"net/http"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/node"
)

// Who changed something here, or tried to, is in the audit log of the node that was asked,
// and in its log.

func (h *handler) auditRoutes() []route {
	return []route{{http.MethodGet, "/api/audit", monitor, h.listChanges}}
}

// clientBytesMax bounds what is kept of a client's name for itself, pathBytesMax what is
// kept of a path, reasonBytesMax of the reason of a refusal.
const (
	clientBytesMax = 100
	pathBytesMax   = 500
	reasonBytesMax = 300
)

// audited notes how a request was answered.
type audited struct {
	http.ResponseWriter
	status int
	reason []byte // of a refusal: the answer's beginning
}

// WriteHeader implements http.ResponseWriter.
func (a *audited) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *audited) Write(b []byte) (int, error) {
	if a.status >= http.StatusBadRequest && len(a.reason) < reasonBytesMax {
		a.reason = append(a.reason, b[:min(len(b), reasonBytesMax-len(a.reason))]...)
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find what is below.
func (a *audited) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// clientOf is what asked, for people.
func clientOf(r *http.Request) string {
	if r.Header.Get(consoleHeader) != "" {
		return "console"
	}
	name := strings.ToValidUTF8(r.UserAgent(), "?")
	return name[:min(len(name), clientBytesMax)]
}

// audit writes a request down that changed something, or would have.
func (h *handler) audit(r *request, a *audited) {
	if r.changesNothing {
		return
	}
	path := r.URL.RequestURI()
	c := node.Change{
		User: r.user.Name, From: r.RemoteAddr, With: clientOf(r.Request), Method: r.Method, Path: path[:min(len(path), pathBytesMax)], Status: a.status,
		Error: strings.ToValidUTF8(strings.TrimSpace(string(a.reason)), "?"),
	}
	h.b.Node().NoteChange(c)
	if c.Error != "" {
		h.log.Info("a change through the management API was refused", "user", c.User, "method", c.Method, "path", c.Path, "peer", c.From, "status", c.Status)
		return
	}
	h.log.Info("changed through the management API", "user", c.User, "method", c.Method, "path", c.Path, "peer", c.From)
}

// listChanges returns the latest of the audit log of the whole cluster, the newest first.
func (h *handler) listChanges(w http.ResponseWriter, r *request) error {
	l := h.b.Node().ListChanges(r.Context())
	partial(w, l.Missing)
	slices.Reverse(l.Items)
	return h.list(w, r, rows{
		n: len(l.Items), name: func(i int) string { return l.Items[i].User + " " + l.Items[i].Method + " " + l.Items[i].Path },
		entry: func(i int, _ map[string]any) map[string]any {
			c := &l.Items[i]
			m := map[string]any{
				"timestamp": c.At, "node": c.Node, "user": c.User, "from": c.From, "with": c.With, "method": c.Method, "path": c.Path, "status": c.Status,
			}
			if c.Error != "" {
				m["error"] = c.Error
			}
			return m
		},
	})
}
