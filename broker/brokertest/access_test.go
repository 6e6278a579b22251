package brokertest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// api is the management API of a node, for one user.
type api struct {
	t              *testing.T
	addr           string
	user, password string
	reason         string // header X-Reason
}

func apiOf(t *testing.T, n *brokertest.Node) api {
	return api{t: t, addr: n.HTTPAddr(), user: "guest", password: "guest"}
}

func (a api) as(user, password string) api {
	a.user, a.password = user, password
	return a
}

// do sends a request and returns the status and the answer.
func (a api) do(method, path, body string) (int, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.SetBasicAuth(a.user, a.password)
	if a.reason != "" {
		req.Header.Set("X-Reason", a.reason)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// want sends a request that must be answered by the status, and by the text if there is
// one.
func (a api) want(status int, method, path, body string, text ...string) {
	a.t.Helper()
	got, answer := a.do(method, path, body)
	if got != status {
		a.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, got, answer, status)
	}
	for _, s := range text {
		if !strings.Contains(answer, s) {
			a.t.Fatalf("%s %s %s: %s, want %s in it", method, path, body, answer, s)
		}
	}
}

// list decodes the list at path.
func (a api) list(path string) []map[string]any {
	a.t.Helper()
	_, answer := a.do(http.MethodGet, path, "")
	var l []map[string]any
	if err := json.Unmarshal([]byte(answer), &l); err != nil {
		a.t.Fatalf("%s: %v: %s", path, err, answer)
	}
	return l
}

// addUser adds a user who may do everything in the virtual hosts.
func (a api) addUser(name, tags string, vhosts ...string) {
	a.t.Helper()
	a.want(http.StatusCreated, http.MethodPut, "/api/users/"+name, fmt.Sprintf(`{"password":"p","tags":%q}`, tags))
	for _, v := range vhosts {
		a.want(http.StatusCreated, http.MethodPut, "/api/permissions/"+url.PathEscape(v)+"/"+name, `{"configure":".*","write":".*","read":".*"}`)
	}
}

// dialAs opens a connection as a user with password p.
func dialAs(t *testing.T, n *brokertest.Node, user, vhost string) (*amqp.Connection, error) {
	t.Helper()
	props := amqp.NewConnectionProperties()
	props.SetClientConnectionName("of-" + user)
	c, err := amqp.DialConfig("amqp://"+user+":p@"+n.AMQPAddr()+"/", amqp.Config{Vhost: vhost, Properties: props})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func mustDialAs(t *testing.T, n *brokertest.Node, user, vhost string) *amqp.Connection {
	t.Helper()
	c, err := dialAs(t, n, user, vhost)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// closed waits for the end of a connection and returns why.
func closed(t *testing.T, c <-chan *amqp.Error) *amqp.Error {
	t.Helper()
	select {
	case err := <-c:
		if err == nil {
			t.Fatal("closed without a reason")
		}
		return err
	case <-time.After(deadline):
		t.Fatal("it stays open")
	}
	return nil
}

func notify(c *amqp.Connection) <-chan *amqp.Error {
	return c.NotifyClose(make(chan *amqp.Error, 1))
}

func TestUsersOverHTTP(t *testing.T) {
	a := apiOf(t, brokertest.Start(t))
	const get, put, post, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete
	a.want(200, get, "/api/whoami", "", `"name":"guest"`, `"tags":["administrator"]`)
	a.want(201, put, "/api/users/u", `{"password":"p","tags":"monitoring, management"}`)
	a.want(204, put, "/api/users/u", `{"password":"p","tags":["policymaker"]}`)
	a.want(200, get, "/api/users/u", "", `"tags":["policymaker"]`, `"hashing_algorithm":"rabbit_password_hashing_sha256"`, `"limits":{}`, `"name":"u"`)
	a.want(200, get, "/api/users/without-permissions", "", `"u"`)
	a.want(200, get, "/api/users/", "", `"guest"`, `"u"`) // with the slash that some tools send
	for body, text := range map[string]string{
		`{"password":"p"}`: "tags_not_present",
		`{"password":"p","password_hash":"","tags":""}`:              "both_password_and_password_hash_are_provided",
		`{"password_hash":"AAAA","tags":""}`:                         "password hash has",
		`{"password_hash":"","hashing_algorithm":"rot13","tags":""}`: "rot13",
		`{"password":"p","tags":[""]}`:                               "the tag ''",
		`{"password":"p","tags":7}`:                                  "not_json",
		`nonsense`:                                                   "not_json",
	} {
		a.want(400, put, "/api/users/w", body, text)
	}
	a.want(404, get, "/api/users/w", "")
	a.want(404, del, "/api/users/w", "")

	a.want(201, put, "/api/permissions/%2F/u", `{"configure":"^c","write":"^w","read":"^r"}`)
	a.want(204, put, "/api/permissions/%2F/u", `{"configure":"^c","write":"^w","read":"^r"}`)
	const permission = `{"configure":"^c","read":"^r","user":"u","vhost":"/","write":"^w"}`
	a.want(200, get, "/api/permissions/%2F/u", "", permission)
	a.want(200, get, "/api/users/u/permissions", "", "["+permission+"]")
	a.want(200, get, "/api/vhosts/%2F/permissions", "", permission, `"guest"`)
	a.want(200, get, "/api/permissions", "", permission, `"guest"`)
	a.want(400, put, "/api/permissions/%2F/u", `{"configure":"^c"}`, "[{key_missing,write},{key_missing,read}]")
	a.want(400, put, "/api/permissions/%2F/u", `{"configure":"(","write":"","read":""}`, "invalid regular expression")
	a.want(400, put, "/api/permissions/%2F/w", `{"configure":"","write":"","read":""}`, "vhost_or_user_not_found")
	a.want(400, put, "/api/permissions/x/u", `{"configure":"","write":"","read":""}`, "vhost_or_user_not_found")
	a.want(201, put, "/api/topic-permissions/%2F/u", `{"exchange":"amq.topic","write":"^a","read":"^b"}`)
	const topic = `{"exchange":"amq.topic","read":"^b","user":"u","vhost":"/","write":"^a"}`
	a.want(200, get, "/api/topic-permissions/%2F/u/amq.topic", "", topic)
	for _, path := range []string{"/api/topic-permissions", "/api/topic-permissions/%2F/u", "/api/users/u/topic-permissions", "/api/vhosts/%2F/topic-permissions"} {
		a.want(200, get, path, "", "["+topic+"]")
	}
	a.want(204, del, "/api/topic-permissions/%2F/u/amq.topic", "")
	a.want(404, del, "/api/topic-permissions/%2F/u", "")
	a.want(204, del, "/api/permissions/%2F/u", "")
	a.want(404, del, "/api/permissions/%2F/u", "")
	a.want(404, get, "/api/permissions/%2F/u", "")

	a.want(204, put, "/api/user-limits/u/max-channels", `{"value":5}`)
	a.want(200, get, "/api/user-limits", "", `[{"user":"u","value":{"max-channels":5}}]`)
	a.want(400, put, "/api/user-limits/u/max-queues", `{"value":5}`, "Unrecognised terms")
	a.want(400, put, "/api/user-limits/u/max-channels", `{}`, "[{key_missing,value}]")
	a.want(404, get, "/api/user-limits/w", "")
	a.want(204, del, "/api/user-limits/u/max-channels", "")
	a.want(200, get, "/api/user-limits/u", "", "[]")
	a.want(204, post, "/api/users/bulk-delete", `{"users":["u","nobody"]}`)
	a.want(404, get, "/api/users/u", "")
}

func TestVirtualHostsOverHTTP(t *testing.T) {
	n := brokertest.Start(t, func(c *broker.Config) { c.VHostsMax = 2 })
	a := apiOf(t, n)
	const get, put, del = http.MethodGet, http.MethodPut, http.MethodDelete
	a.want(201, put, "/api/vhosts/v", `{"description":"text","tags":"a,b","default_queue_type":"quorum"}`)
	a.want(204, put, "/api/vhosts/v", "")
	a.want(200, get, "/api/vhosts/v", "", `"description":"text"`, `"tags":["a","b"]`, `"default_queue_type":"quorum"`, `"cluster_state":{"broker-1":"running"}`)
	a.want(200, get, "/api/vhosts", "", `"name":"/"`, `"name":"v"`)
	a.want(400, put, "/api/vhosts/w", "", "cannot create vhost 'w': vhost limit of 2 is reached")
	a.want(200, get, "/api/permissions/v/guest", "", `"configure":".*"`) // who makes one may use it
	a.want(204, put, "/api/vhost-limits/v/max-queues", `{"value":1}`)
	a.want(200, get, "/api/vhost-limits/v", "", `[{"value":{"max-queues":1},"vhost":"v"}]`)
	a.want(404, put, "/api/vhost-limits/w/max-queues", `{"value":1}`)

	// A queue without a type gets the virtual host's.
	c, err := amqp.Dial("amqp://guest:guest@" + n.AMQPAddr() + "/v")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "q", nil)
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	_, err = ch.QueueDeclare("q2", true, false, false, false, nil)
	refused(t, err, 406, "PRECONDITION_FAILED - cannot declare queue 'q2': queue limit in vhost 'v' (1) is reached")
	a.want(204, del, "/api/vhost-limits/v/max-queues", "")
	gone := notify(c)
	a.want(204, del, "/api/vhosts/v", "")
	refused(t, closed(t, gone), 320, "CONNECTION_FORCED - vhost 'v' is deleted")
	a.want(404, del, "/api/vhosts/v", "")
	a.want(404, get, "/api/queues/v", "")
	if _, err := amqp.Dial("amqp://guest:guest@" + n.AMQPAddr() + "/v"); err == nil {
		t.Error("a virtual host that is gone lets clients in")
	}
}

func TestOperatorPoliciesOverHTTP(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	const get, put, del = http.MethodGet, http.MethodPut, http.MethodDelete
	declare(t, dial(t, n.URL()), "q", nil)
	a.want(201, put, "/api/policies/%2F/p", `{"pattern":"^q","definition":{"max-length":10,"message-ttl":99}}`)
	a.want(201, put, "/api/operator-policies/%2F/p", `{"pattern":"^q","definition":{"max-length":5}}`)
	a.want(204, put, "/api/operator-policies/%2F/p", `{"pattern":"^q","definition":{"max-length":5}}`)
	a.want(200, get, "/api/operator-policies/%2F/p", "", `"apply-to":"all"`, `"max-length":5`)
	a.want(200, get, "/api/operator-policies/%2F", "", `"max-length":5`)
	a.want(200, get, "/api/policies/%2F/p", "", `"max-length":10`)
	a.want(200, get, "/api/queues/%2F/q", "", `"policy":"p"`, `"operator_policy":"p"`, `"effective_policy_definition":{"max-length":5,"message-ttl":99}`)
	a.want(400, put, "/api/operator-policies/%2F/x", `{"pattern":"","definition":{"dead-letter-exchange":"x"}}`, "are not recognised policy settings")
	a.want(404, put, "/api/operator-policies/nowhere/p", `{"pattern":"","definition":{"max-length":5}}`)
	a.want(400, put, "/api/operator-policies/%2F/p", `{"pattern":""}`, "[{key_missing,definition}]")
	a.want(204, del, "/api/operator-policies/%2F/p", "")
	a.want(404, del, "/api/operator-policies/%2F/p", "")
	a.want(200, get, "/api/queues/%2F/q", "", `"effective_policy_definition":{"max-length":10,"message-ttl":99}`)
}

func TestTagsOpenDoors(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	a.want(201, http.MethodPut, "/api/vhosts/v", "")
	a.addUser("none", "", "/")
	a.addUser("manages", "management", "/")
	a.addUser("makes", "policymaker", "/")
	a.addUser("watches", "monitoring")
	for _, c := range []struct {
		user, method, path, body string
		status                   int
		reason                   string
	}{
		{"none", "GET", "/api/whoami", "", 401, "Not management user"},
		{"manages", "GET", "/api/whoami", "", 200, ""},
		{"manages", "GET", "/api/users", "", 401, "Not administrator user"},
		{"watches", "GET", "/api/users", "", 401, "Not administrator user"},
		{"manages", "GET", "/api/nodes", "", 401, "Not monitor user"},
		{"watches", "GET", "/api/nodes", "", 200, ""},
		{"manages", "GET", "/api/queues/%2F", "", 200, ""},
		{"manages", "GET", "/api/queues/v", "", 401, "User not authorised to access virtual host"},
		{"manages", "GET", "/api/queues/nowhere", "", 401, "User not authorised to access virtual host"},
		{"watches", "GET", "/api/queues/v", "", 200, ""},
		{"manages", "PUT", "/api/policies/%2F/p", `{"pattern":"","definition":{"max-length":1}}`, 401, "Not policymaker user"},
		{"makes", "PUT", "/api/policies/%2F/p", `{"pattern":"","definition":{"max-length":1}}`, 201, ""},
		{"makes", "PUT", "/api/policies/v/p", `{"pattern":"","definition":{"max-length":1}}`, 401, "User not authorised to access virtual host"},
		{"makes", "PUT", "/api/operator-policies/%2F/p", `{"pattern":"","definition":{"max-length":1}}`, 401, "Not administrator user"},
		{"makes", "PUT", "/api/vhosts/w", "", 401, "Not administrator user"},
		{"makes", "POST", "/api/cluster/join", `{"peer":"127.0.0.1:1"}`, 401, "Not administrator user"},
		{"nobody", "GET", "/api/whoami", "", 401, "Login failed"},
	} {
		status, answer := a.as(c.user, "p").do(c.method, c.path, c.body)
		if status != c.status || !strings.Contains(answer, c.reason) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.user, c.method, c.path, status, answer, c.status, c.reason)
		}
	}
	if l := a.as("manages", "p").list("/api/vhosts"); len(l) != 1 || l[0]["name"] != "/" {
		t.Errorf("a manager sees %v", l)
	}
	for _, path := range []string{"/healthz", "/readyz", "/api/health/checks/ready-to-serve-clients"} {
		a.as("", "").want(200, "GET", path, "", "ok")
	}
	// Connections: one's own, or all.
	mustDialAs(t, n, "manages", "/")
	other := mustDialAs(t, n, "none", "/")
	if l := a.as("manages", "p").list("/api/connections"); len(l) != 1 || l[0]["user"] != "manages" {
		t.Errorf("a manager sees %v", l)
	}
	if l := a.as("watches", "p").list("/api/connections"); len(l) != 2 {
		t.Errorf("a watcher sees %v", l)
	}
	name := url.PathEscape(other.LocalAddr().String() + " -> " + n.AMQPAddr())
	a.as("manages", "p").want(404, "DELETE", "/api/connections/"+name, "")
	gone := notify(other)
	a.want(204, "DELETE", "/api/connections/"+name, "")
	refused(t, closed(t, gone), 320, "CONNECTION_FORCED - Closed via management plugin")
}

func TestConnectionsOfTheCluster(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	a := apiOf(t, c.Nodes[0])
	a.addUser("u", "", "/") // and at once it is known everywhere
	var conns []*amqp.Connection
	for _, n := range c.Nodes {
		conns = append(conns, mustDialAs(t, n, "u", "/"))
	}
	ch, err := conns[2].Channel()
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "q", nil)
	if _, err := ch.Consume("q", "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	l := a.list("/api/connections")
	if len(l) != 3 {
		t.Fatalf("%d connections: %v", len(l), l)
	}
	of := map[any]map[string]any{}
	for _, m := range l {
		of[m["node"]] = m
	}
	m := of["broker-3"]
	for key, want := range map[string]any{
		"name": conns[2].LocalAddr().String() + " -> " + c.Nodes[2].AMQPAddr(), "user": "u", "vhost": "/", "state": "running",
		"user_provided_name": "of-u", "protocol": "AMQP 0-9-1", "auth_mechanism": "PLAIN", "ssl": false, "channels": 1.0,
		"peer_host": "127.0.0.1", "frame_max": 131072.0, "channel_max": 2047.0, "type": "network",
	} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
	props, _ := m["client_properties"].(map[string]any)
	if props["connection_name"] != "of-u" || m["recv_oct"].(float64) <= 0 || m["send_oct"].(float64) <= 0 || m["connected_at"].(float64) <= 0 {
		t.Errorf("%v", m)
	}
	name := m["name"].(string)
	chs := a.list("/api/channels")
	if len(chs) != 1 || chs[0]["name"] != name+" (1)" || chs[0]["consumer_count"] != 1.0 {
		t.Errorf("channels: %v", chs)
	}
	a.want(200, "GET", "/api/connections/"+url.PathEscape(name)+"/channels", "", `"number":1`)
	gone := notify(conns[2])
	by := a
	by.reason = "maintenance"
	by.want(204, "DELETE", "/api/connections/"+url.PathEscape(name), "")
	refused(t, closed(t, gone), 320, "CONNECTION_FORCED - maintenance")
	a.want(404, "DELETE", "/api/connections/nobody", "")
	// The user goes, with all connections.
	gone = notify(conns[1])
	apiOf(t, c.Nodes[2]).want(204, "DELETE", "/api/users/u", "")
	refused(t, closed(t, gone), 320, "CONNECTION_FORCED - user 'u' is deleted")
	if _, err := dialAs(t, c.Nodes[0], "u", "/"); err == nil {
		t.Error("a user who is gone logs in")
	}
}

func TestLimitsCountTheCluster(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	a := apiOf(t, c.Nodes[1])
	a.addUser("u", "", "/")
	a.want(201, "PUT", "/api/vhosts/v", "")
	a.want(201, "PUT", "/api/permissions/v/u", `{"configure":"","write":"","read":""}`)
	a.want(204, "PUT", "/api/vhost-limits/v/max-connections", `{"value":2}`)
	first := mustDialAs(t, c.Nodes[0], "u", "v")
	mustDialAs(t, c.Nodes[1], "u", "v")
	_, err := dialAs(t, c.Nodes[2], "u", "v")
	refused(t, err, 530, "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (2) is reached")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third := mustDialAs(t, c.Nodes[2], "u", "v")
	a.want(204, "PUT", "/api/user-limits/u/max-connections", `{"value":2}`)
	_, err = dialAs(t, c.Nodes[0], "u", "/")
	refused(t, err, 530, "NOT_ALLOWED - connection refused for user 'u': user connection limit (2) is reached")
	a.want(204, "DELETE", "/api/user-limits/u/max-connections", "")
	a.want(204, "PUT", "/api/user-limits/u/max-channels", `{"value":1}`)
	other := mustDialAs(t, c.Nodes[0], "u", "/")
	if _, err := other.Channel(); err != nil {
		t.Fatal(err)
	}
	_, err = third.Channel()
	refused(t, err, 530, "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of 1")
}

func TestNodeLimits(t *testing.T) {
	n := brokertest.Start(t, func(c *broker.Config) { c.ConnectionsMax, c.ChannelsMax, c.ConsumersMax = 2, 2, 1 })
	one, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.Close() })
	two, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Close() })
	_, err = amqp.Dial(n.URL())
	refused(t, err, 530, "NOT_ALLOWED - connection refused: node connection limit (2) is reached")
	ch, err := one.Channel()
	if err != nil {
		t.Fatal(err)
	}
	again, err := two.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil { // a channel that is closed counts no more
		t.Fatal(err)
	}
	if _, err = two.Channel(); err != nil {
		t.Fatal(err)
	}
	_, err = two.Channel()
	refused(t, err, 530, "NOT_ALLOWED - number of channels opened on node 'broker-1' has reached the maximum allowed limit of 2")
	declare(t, ch, "q", nil)
	if _, err := ch.Consume("q", "", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	_, err = ch.Consume("q", "", false, false, false, false, nil)
	refused(t, err, 530, "NOT_ALLOWED - reached maximum (1) of consumers per channel")
}

func TestUpdateSecret(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	a.addUser("u", "", "/")
	c := mustDialAs(t, n, "u", "/")
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "lost", nil)
	declare(t, ch, "kept", nil)
	for _, q := range []string{"lost", "kept"} {
		if _, err := ch.Consume(q, q, false, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	cancelled := ch.NotifyCancel(make(chan string, 2))
	a.want(204, "PUT", "/api/permissions/%2F/u", `{"configure":"","write":"","read":"^kept$"}`)
	a.want(204, "PUT", "/api/users/u", `{"password":"new","tags":""}`)
	if err := c.UpdateSecret("new", "test"); err != nil {
		t.Fatal(err)
	}
	select {
	case tag := <-cancelled:
		if tag != "lost" {
			t.Errorf("%s was cancelled", tag)
		}
	case <-time.After(deadline):
		t.Fatal("no consumer was cancelled")
	}
	gone := notify(c)
	_ = c.UpdateSecret("old", "test") // the answer is the end of the connection
	refused(t, closed(t, gone), 530, "NOT_ALLOWED - New secret was refused by one of the backends")
	if len(cancelled) > 0 {
		t.Errorf("%s was cancelled, too", <-cancelled)
	}

	c, err = amqp.Dial("amqp://u:new@" + n.AMQPAddr() + "/")
	if err != nil {
		t.Fatal(err)
	}
	a.want(204, "DELETE", "/api/permissions/%2F/u", "")
	gone = notify(c)
	_ = c.UpdateSecret("new", "test")
	refused(t, closed(t, gone), 530, "NOT_ALLOWED - access to vhost '/' refused for user 'u'")
}

func TestGuestPasswordsAreNeverBlank(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	a.want(201, "PUT", "/api/users/u", `{"password":"","tags":"administrator"}`)
	a.want(201, "PUT", "/api/permissions/%2F/u", `{"configure":".*","write":".*","read":".*"}`)
	a.as("u", "").want(401, "GET", "/api/whoami", "", "Login failed")
	_, err := amqp.Dial("amqp://u:@" + n.AMQPAddr() + "/")
	if e := (*amqp.Error)(nil); !errors.As(err, &e) || e.Code != 403 {
		t.Errorf("a blank password: %v", err)
	}
}

func TestUsersOutliveTheirNode(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	a.addUser("u", "monitoring", "/")
	a.want(204, "PUT", "/api/user-limits/u/max-connections", `{"value":1}`)
	a.want(201, "PUT", "/api/topic-permissions/%2F/u", `{"exchange":"amq.topic","write":"^a","read":"^b"}`)
	a.want(201, "PUT", "/api/operator-policies/%2F/o", `{"pattern":"^q","definition":{"max-length":5}}`)
	n.Kill()
	n.Start()
	n.AwaitReady()
	a.as("u", "p").want(200, "GET", "/api/whoami", "", `"tags":["monitoring"]`)
	a.want(200, "GET", "/api/topic-permissions/%2F/u", "", `"write":"^a"`)
	a.want(200, "GET", "/api/operator-policies/%2F/o", "", `"max-length":5`)
	mustDialAs(t, n, "u", "/")
	_, err := dialAs(t, n, "u", "/")
	refused(t, err, 530, "NOT_ALLOWED - connection refused for user 'u': user connection limit (1) is reached")
}

// TestAnswersNeedNoQueue: the queue behind direct reply-to is nobody's business.
func TestAnswersNeedNoQueue(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	a.want(201, "PUT", "/api/policies/%2F/p", `{"pattern":"","definition":{"max-length":0}}`)
	a.want(204, "PUT", "/api/vhost-limits/%2F/max-queues", `{"value":0}`)
	ch := dial(t, n.URL())
	answers, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l := a.list("/api/queues"); len(l) > 0 {
		t.Errorf("queues: %v", l)
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	// Nobody serves the request: it comes back, and shows where an answer would go.
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	if err := ch.PublishWithContext(t.Context(), "amq.direct", "nobody", true, false, amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to"}); err != nil {
		t.Fatal(err)
	}
	var to string
	select {
	case r := <-returns:
		to = r.ReplyTo
	case err := <-closed:
		t.Fatal(err)
	case <-time.After(deadline):
		t.Fatal("nothing came back")
	}
	if err := dial(t, n.URL()).PublishWithContext(t.Context(), "", to, false, false, amqp.Publishing{Body: []byte("answer")}); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, answers); string(d.Body) != "answer" {
		t.Errorf("got %q", d.Body)
	}
}
