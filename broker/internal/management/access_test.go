package management_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/brokertest"
)

// allowed says who may do what, one line for each path: whom it takes, the methods, the
// path. It is written down a second time here on purpose.
const allowed = `
any GET /api/overview
any GET /api/whoami
any GET /api/auth
any GET /api/extensions
any GET /api/version
any GET /api/cluster-name
any GET /api/events/stream
any GET /api/queues
any GET /api/queues/detailed
any GET /api/queues/{vhost}
any GET,PUT,DELETE /api/queues/{vhost}/{name}
any DELETE /api/queues/{vhost}/{name}/contents
any GET /api/queues/{vhost}/{name}/bindings
any POST /api/queues/{vhost}/{name}/get
any POST /api/queues/{vhost}/{name}/move
any GET /api/exchanges
any GET /api/exchanges/{vhost}
any GET,PUT,DELETE /api/exchanges/{vhost}/{exchange}
any POST /api/exchanges/{vhost}/{exchange}/publish
any POST /api/exchanges/{vhost}/{exchange}/routes
any GET /api/exchanges/{vhost}/{exchange}/bindings/source
any GET /api/exchanges/{vhost}/{exchange}/bindings/destination
any GET /api/bindings
any GET /api/bindings/{vhost}
any GET,POST /api/bindings/{vhost}/e/{exchange}/q/{destination}
any GET,DELETE /api/bindings/{vhost}/e/{exchange}/q/{destination}/{props}
any GET,POST /api/bindings/{vhost}/e/{exchange}/e/{destination}
any GET,DELETE /api/bindings/{vhost}/e/{exchange}/e/{destination}/{props}
any GET /api/connections
any GET,DELETE /api/connections/username/{user}
any GET /api/vhosts/{vhost}/connections
any GET,DELETE /api/connections/{name}
any GET /api/connections/{name}/channels
any GET /api/channels
any GET /api/vhosts/{vhost}/channels
any GET /api/channels/{name}
any GET /api/consumers
any GET /api/consumers/{vhost}
any GET /api/vhosts
any GET /api/vhosts/{vhost}
any GET /api/vhost-limits
any GET /api/vhost-limits/{vhost}
any GET /api/policies
any GET /api/policies/{vhost}
any GET /api/policies/{vhost}/{name}
any GET /api/operator-policies
any GET /api/operator-policies/{vhost}
any GET /api/operator-policies/{vhost}/{name}
any GET /api/aliveness-test/{vhost}
any GET /api/healthchecks/node
any GET /api/healthchecks/node/{node}
any GET /api/health/checks/alarms
any GET /api/health/checks/local-alarms
any GET /api/health/checks/port-listener/{port}
any GET /api/health/checks/protocol-listener/{protocol}
any GET /api/health/checks/virtual-hosts
any GET /api/health/checks/node-is-mirror-sync-critical
any GET /api/health/checks/node-is-quorum-critical
any GET /api/health/checks/is-in-service
any GET /api/health/checks/below-node-connection-limit
any GET /api/health/checks/reached-target-cluster-size
any GET /api/health/checks/certificate-expiration/{n}/{unit}
any GET /api/health/checks/metadata-store/initialized
any GET /api/health/checks/metadata-store/initialized/with-data
any GET /api/health/checks/quorum-queues-without-elected-leaders/all-vhosts
any GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}
any GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}
policymaker PUT,DELETE /api/policies/{vhost}/{name}
policymaker GET /api/parameters
policymaker GET /api/parameters/{component}
policymaker GET /api/parameters/{component}/{vhost}
policymaker GET /api/parameters/{component}/{vhost}/{name}
policymaker GET /api/global-parameters
policymaker GET /api/global-parameters/{name}
policymaker GET /api/definitions/{vhost}
monitoring GET /api/nodes
monitoring GET /api/nodes/{node}
monitoring GET /api/nodes/{node}/memory
monitoring GET /api/events
monitoring GET /api/audit
monitoring GET /api/auth/attempts/{node}
monitoring GET /api/cluster/log-level
monitoring GET /api/queues/quorum/{vhost}/{name}/status
monitoring GET /api/shovels
monitoring GET /api/shovels/{vhost}
monitoring GET /api/federation-links
monitoring GET /api/federation-links/{vhost}
administrator PUT /api/cluster-name
administrator PUT /api/cluster/log-level
administrator POST /api/cluster/join
administrator PUT /api/cluster/limits
administrator POST /api/cluster/stop
administrator DELETE /api/cluster/nodes/{node}
administrator PUT,DELETE /api/cluster/nodes/{node}/maintenance
administrator PUT,DELETE /api/cluster/nodes/{node}/groups
administrator POST /api/rebalance/queues
administrator DELETE /api/reset
administrator DELETE /api/reset/{node}
administrator POST /api/queues/{vhost}/{name}/actions
administrator POST /api/queues/quorum/{vhost}/{name}/replicas/add
administrator DELETE /api/queues/quorum/{vhost}/{name}/replicas/delete
administrator POST /api/queues/quorum/{vhost}/{name}/leader
administrator POST /api/queues/quorum/replicas/on/{node}/grow
administrator DELETE /api/queues/quorum/replicas/on/{node}/shrink
administrator PUT,DELETE /api/vhosts/{vhost}
administrator POST /api/vhosts/{vhost}/start/{node}
administrator POST,DELETE /api/vhosts/{vhost}/deletion/protection
administrator PUT,DELETE /api/vhost-limits/{vhost}/{name}
administrator GET /api/users
administrator GET /api/users/without-permissions
administrator POST /api/users/bulk-delete
administrator GET,PUT,DELETE /api/users/{user}
administrator GET /api/user-limits
administrator GET /api/user-limits/{user}
administrator PUT,DELETE /api/user-limits/{user}/{name}
administrator GET /api/permissions
administrator GET /api/users/{user}/permissions
administrator GET /api/vhosts/{vhost}/permissions
administrator GET,PUT,DELETE /api/permissions/{vhost}/{user}
administrator GET /api/topic-permissions
administrator GET /api/users/{user}/topic-permissions
administrator GET /api/vhosts/{vhost}/topic-permissions
administrator GET,PUT,DELETE /api/topic-permissions/{vhost}/{user}
administrator GET,DELETE /api/topic-permissions/{vhost}/{user}/{exchange}
administrator PUT,DELETE /api/operator-policies/{vhost}/{name}
administrator PUT,DELETE /api/parameters/{component}/{vhost}/{name}
administrator PUT,DELETE /api/global-parameters/{name}
administrator GET,POST,PUT /api/definitions
administrator POST /api/definitions/{vhost}
administrator GET /api/feature-flags
administrator PUT /api/feature-flags/{name}/enable
administrator GET /api/deprecated-features
administrator GET /api/deprecated-features/used
`

// takes says which tags are enough.
var takes = map[string][]string{
	"any": {"management", "policymaker", "monitoring", "administrator"}, "policymaker": {"policymaker", "administrator"},
	"monitoring": {"monitoring", "administrator"}, "administrator": {"administrator"},
}

// ends are requests that would take the node away from the test.
var ends = []string{"POST /api/cluster/stop", "POST /api/cluster/join", "DELETE /api/vhosts/{vhost}"}

// asUser sends a request, and returns the answer without waiting for its end.
func asUser(t *testing.T, n *brokertest.Node, user, method, path string, header http.Header) (int, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.HTTPAddr()+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if user != "" {
		req.SetBasicAuth(user, "p")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b := make([]byte, 300)
	k, _ := io.ReadFull(resp.Body, b[:min(300, max(int(resp.ContentLength), 1))])
	return resp.StatusCode, string(b[:k])
}

// TestWhoMayDoWhat tries every route as everybody.
func TestWhoMayDoWhat(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.want(201, put, "/api/vhosts/v", "")
	a.want(201, put, "/api/vhosts/hidden", "")
	tags := append([]string{"none"}, takes["any"]...)
	for _, tag := range tags {
		a.want(201, put, "/api/users/"+tag, fmt.Sprintf(`{"password":"p","tags":%q}`, strings.TrimPrefix(tag, "none")))
		a.want(201, put, "/api/permissions/v/"+tag, `{"configure":".*","write":".*","read":".*"}`)
	}
	rules := map[string]string{} // by method and path
	for line := range strings.Lines(strings.TrimSpace(allowed)) {
		f := strings.Fields(line)
		for method := range strings.SplitSeq(f[1], ",") {
			rules[method+" "+f[2]] = f[0]
		}
	}
	var doc struct{ Paths map[string]map[string]any }
	b, err := json.Marshal(a.want(200, get, "/api/openapi.json", ""))
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			route := strings.ToUpper(method) + " " + path
			rule, known := rules[route]
			if !known {
				t.Errorf("%s: nobody has said who may", route)
				continue
			}
			delete(rules, route)
			tryRoute(t, n, route, rule, tags)
			tried++
		}
	}
	for route := range rules {
		t.Errorf("%s is not there", route)
	}
	if tried < 150 {
		t.Errorf("%d routes only", tried)
	}
}

func tryRoute(t *testing.T, n *brokertest.Node, route, rule string, tags []string) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	in := func(vhost string) string {
		return strings.NewReplacer("{vhost}", vhost, "{user}", "nobody", "{node}", "nowhere", "{port}", "1", "{n}", "1", "{unit}", "days",
			"{name}", "x", "{exchange}", "x", "{destination}", "x", "{props}", "~", "{component}", "c", "{protocol}", "amqp", "{pattern}", "x").Replace(path)
	}
	if status, text := asUser(t, n, "", method, in("v"), nil); status != 401 || !strings.Contains(text, "Login failed") {
		t.Errorf("%s without login: %d %s", route, status, text)
	}
	if method != get {
		header := http.Header{"Sec-Fetch-Site": {"cross-site"}}
		if status, text := asUser(t, n, "administrator", method, in("v"), header); status != 403 {
			t.Errorf("%s from another site's page: %d %s", route, status, text)
		}
	}
	for _, tag := range tags {
		may := slices.Contains(takes[rule], tag)
		if may && slices.Contains(ends, route) {
			continue
		}
		switch status, text := asUser(t, n, tag, method, in("v"), nil); {
		case may && (status == 401 || status == 405 || status == 500):
			t.Errorf("%s as %s: %d %s", route, tag, status, text)
		case !may && (status != 401 || !strings.Contains(text, "not_authorised")):
			t.Errorf("%s as %s: %d %s, want a refusal", route, tag, status, text)
		}
		// Who does not watch over all knows nothing of other virtual hosts.
		if strings.Contains(path, "{vhost}") && (tag == "management" || tag == "policymaker") {
			if status, text := asUser(t, n, tag, method, in("hidden"), nil); status != 401 {
				t.Errorf("%s as %s, in a virtual host without permissions: %d %s", route, tag, status, text)
			}
		}
	}
}

// TestWhatIsOpen names what nobody has to log in for, and tries to get at more.
func TestWhatIsOpen(t *testing.T) {
	n := brokertest.Start(t)
	for path, want := range map[string]int{
		"/": 200, "/app.js": 200, "/style.css": 200, "/healthz": 200, "/readyz": 200, "/metrics": 200, "/metrics/per-object": 200,
		"/api/health/checks/ready-to-serve-clients": 200, "/api/openapi.json": 200,
		"/nothing.js": 404, "/../management.go": 404, "/..%2fmanagement.go": 404, "/..%2f..%2f..%2fetc%2fpasswd": 404, "/%2e%2e/%2e%2e/etc/passwd": 404,
		"/console/app.js": 404, "/.": 404, "/metrics/../api/users": 404, "/api/./users": 404, "/api//users": 404,
		"/API/users": 404, "/api/users/": 401,
	} {
		req, err := http.NewRequestWithContext(t.Context(), get, "http://"+n.HTTPAddr(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path // as it is: no client has cleaned it
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want && !(want == 404 && (resp.StatusCode == 301 || resp.StatusCode == 307 || resp.StatusCode == 400 || resp.StatusCode == 401)) {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
		if h := resp.Header; resp.StatusCode == 200 && path[:min(4, len(path))] == "/api" && h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}
