package management_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/brokertest"
)

// TestAudit changes things on one node, is refused on another, and reads both on a third,
// also after one was started again.
func TestAudit(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	first, second, third := newAPI(t, c.Nodes[0]), newAPI(t, c.Nodes[1]), newAPI(t, c.Nodes[2])
	first.header.Set("User-Agent", "terraform/1.9")
	first.want(201, put, "/api/users/u", `{"password":"s3cret","tags":"management"}`)
	first.header.Set("X-Warren-Console", "1")
	first.want(201, put, "/api/queues/%2F/a%2Fb", `{}`)
	first.want(200, post, "/api/exchanges/%2F/amq.topic/routes", `{"routing_key":"k"}`) // changes nothing
	first.want(200, post, "/api/queues/%2F/a%2Fb/get", `{"count":1,"ackmode":"peek","encoding":"auto"}`)
	first.want(400, put, "/api/queues/%2F/w", `{"arguments":{"x-max-length":"ten"}}`)
	second.user, second.password = "u", "s3cret"
	second.want(401, del, "/api/users/guest", "")
	second.want(401, get, "/api/audit", "")
	check := func() {
		t.Helper()
		list, _ := third.want(200, get, "/api/audit", "").([]any)
		var lines []string
		for _, e := range list {
			with, _ := field(e, "with").(string)
			refused := ""
			if e, _ := field(e, "error").(string); e != "" {
				refused = "refused"
			}
			at, _ := field(e, "timestamp").(float64)
			from, _ := field(e, "from").(string)
			if at == 0 || !strings.HasPrefix(from, "127.0.0.1:") {
				t.Errorf("%v", e)
			}
			line := []string{field(e, "node").(string), field(e, "user").(string), with[:min(len(with), 9)], field(e, "method").(string), field(e, "path").(string), refused}
			lines = append(lines, strings.TrimSpace(strings.Join(line, " ")))
		}
		want := `broker-2 u Go-http-c DELETE /api/users/guest refused
broker-1 guest console PUT /api/queues/%2F/w refused
broker-1 guest console PUT /api/queues/%2F/a%2Fb
broker-1 guest terraform PUT /api/users/u`
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
	check()
	third.want(200, get, "/api/audit?name=delete&page=1", "", `"filtered_count":1`)
	if v := third.want(200, get, "/api/audit", "").([]any); strings.Contains(strings.ToLower(string(mustJSON(t, v))), "s3cret") {
		t.Error("a password is in the audit log")
	}
	c.Nodes[0].Stop()
	c.Nodes[0].Start()
	c.Nodes[0].AwaitReady()
	until(t, func() string { // the third node may take the first for gone for a moment yet
		if resp, _ := third.do(get, "/api/audit", ""); resp.Header.Get("X-Warren-Missing") != "" {
			return "broker-1 is still missing"
		}
		if _, n := third.do(get, "/api/nodes/broker-1?columns=running", ""); field(n, "running") != true {
			return "broker-1 is still down"
		}
		return ""
	})
	check()
}

// TestMembersAndLeaders moves a replicated queue about.
func TestMembersAndLeaders(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	d := c.Join("broker-4")
	a := newAPI(t, d)
	a.want(201, put, "/api/queues/%2F/q", `{"arguments":{"x-queue-type":"quorum"}}`)
	a.want(201, put, "/api/queues/%2F/plain", `{"durable":false}`)
	path := "/api/queues/quorum/%2F/q"
	out, in := "", map[string]bool{}
	for _, m := range field(a.want(200, get, path+"/status", ""), "members").([]any) {
		in[field(m, "node").(string)] = true
	}
	for _, n := range c.Nodes {
		if !in[n.Name()] {
			out = n.Name()
		}
	}
	if len(in) != 3 || out == "" {
		t.Fatal(in, out)
	}
	members := func(want int) func() string {
		return func() string {
			_, v := a.do(get, path+"/status", "")
			list, _ := field(v, "members").([]any)
			if len(list) != want {
				return "members: " + string(mustJSON(t, list))
			}
			for _, m := range list {
				if field(m, "role") == "learner" {
					return "one is still learning"
				}
			}
			return ""
		}
	}
	node := func(name string) string { return `{"node":"` + name + `"}` }
	a.want(400, del, path+"/replicas/delete", node("broker-1"), "")
	a.want(202, post, path+"/replicas/add", node(out))
	a.want(400, post, path+"/replicas/add", node(out), "already")
	a.want(404, post, path+"/replicas/add", node("nobody"), "")
	a.want(400, post, path+"/replicas/add", `{}`, "key node is missing")
	until(t, members(4))
	for range 2 { // there and back again
		_, v := a.do(get, path+"/status", "")
		leader, to := field(v, "leader"), "broker-1"
		if leader == to {
			to = "broker-2"
		}
		until(t, func() string {
			if _, v := a.do(get, path+"/status", ""); field(v, "leader") == to {
				return ""
			}
			a.do(post, path+"/leader", node(to))
			return to + " does not lead"
		})
	}
	a.want(400, post, "/api/queues/quorum/%2F/plain/leader", node("broker-1"), "not replicated")
	a.want(404, post, path+"/leader", node("nobody"), "")
	a.want(202, del, path+"/replicas/delete", node(out))
	until(t, members(3))
	a.want(400, post, path+"/leader", node(out), "does not hold")
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
