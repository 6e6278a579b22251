package brokertest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

var apiClient = http.Client{Timeout: deadline}

// manage makes a request of the management API, and returns status and body.
func manage(t *testing.T, n *brokertest.Node, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := apiClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// until waits until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// voters returns the nodes that hold a replicated queue and have a vote, sorted, as soon as
// all of them run and have caught up.
func voters(t *testing.T, n *brokertest.Node, queue string) []string {
	t.Helper()
	status, body := manage(t, n, http.MethodGet, "/api/queues/quorum/%2F/"+queue+"/status")
	if status != http.StatusOK {
		return nil // no leader at the moment
	}
	var q struct {
		Members []struct{ Node, Role, State string }
	}
	if err := json.Unmarshal([]byte(body), &q); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var names []string
	for _, m := range q.Members {
		if m.Role == "learner" || m.State != "running" {
			return nil
		}
		names = append(names, m.Node)
	}
	slices.Sort(names)
	return names
}

func nodeNames(t *testing.T, n *brokertest.Node) []string {
	t.Helper()
	_, body := manage(t, n, http.MethodGet, "/api/nodes")
	var list []struct{ Name string }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	names := []string{}
	for _, m := range list {
		names = append(names, m.Name)
	}
	return names
}

func TestForgetANode(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	ch := dial(t, c.Nodes[0].URL())
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	publish(t, ch, "q", 0, 200)
	dead := c.Nodes[2]

	for _, refused := range []struct{ path, want string }{
		{"broker-9", "no node 'broker-9' in the cluster"},
		{"broker-1", "can't forget itself"},
		{"broker-3", "is running"},
	} {
		if status, body := manage(t, c.Nodes[0], http.MethodDelete, "/api/cluster/nodes/"+refused.path); status/100 != 4 || !strings.Contains(body, refused.want) {
			t.Fatalf("forget %s: %d %s", refused.path, status, body)
		}
	}

	dead.Kill()
	// Another node takes its place under a name of its own.
	c.Join("broker-4")
	until(t, "the death is known", func() bool { return voters(t, c.Nodes[0], "q") == nil })
	if status, body := manage(t, c.Nodes[0], http.MethodDelete, "/api/cluster/nodes/broker-3"); status != http.StatusNoContent {
		t.Fatalf("forget: %d %s", status, body)
	}
	if names := nodeNames(t, c.Nodes[1]); !slices.Equal(names, []string{"broker-1", "broker-2", "broker-4"}) {
		t.Fatalf("nodes %v", names)
	}
	until(t, "the new member", func() bool {
		return slices.Equal(voters(t, c.Nodes[0], "q"), []string{"broker-1", "broker-2", "broker-4"})
	})

	// Its old data are refused; with none, it may come back.
	dead.Start()
	if err := dead.AwaitFailure(); err == nil || !strings.Contains(err.Error(), "broker-3 was removed from the cluster") {
		t.Fatalf("the forgotten node ended with %v", err)
	}
	publish(t, ch, "q", 200, 100)

	// Now the new member counts: the cluster goes on with it and one of the old.
	c.Nodes[1].Kill()
	publish(t, ch, "q", 300, 100)
	expect(t, dial(t, c.Nodes[0].URL()), "q", 0, 400)
}

func TestGrowAndShrink(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	ch := dial(t, c.Nodes[0].URL())
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	publish(t, ch, "q", 0, 200)
	if status, body := manage(t, c.Nodes[0], http.MethodDelete, "/api/cluster/nodes/broker-2/groups"); status/100 != 4 || !strings.Contains(body, "nobody can take the place") {
		t.Fatalf("shrink: %d %s", status, body)
	}
	c.Join("broker-4")
	for i, r := range []struct{ method, node string }{{http.MethodPut, "broker-4"}, {http.MethodDelete, "broker-2"}} {
		if status, body := manage(t, c.Nodes[0], r.method, "/api/cluster/nodes/"+r.node+"/groups"); status != http.StatusNoContent {
			t.Fatalf("%s %s: %d %s", r.method, r.node, status, body)
		}
		publish(t, ch, "q", 200+i*100, 100) // while members move
	}
	until(t, "the others hold the queue", func() bool {
		return slices.Equal(voters(t, c.Nodes[0], "q"), []string{"broker-1", "broker-3", "broker-4"})
	})
	if status, body := manage(t, c.Nodes[0], http.MethodPost, "/api/rebalance/queues"); status != http.StatusNoContent {
		t.Fatalf("rebalance: %d %s", status, body)
	}
	c.Nodes[1].Kill()
	publish(t, ch, "q", 400, 100)
	expect(t, dial(t, c.Nodes[3].URL()), "q", 0, 500)
}

func TestForgetNeedsAMajority(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	left := c.Nodes[0]
	ch := dial(t, left.URL())
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	publish(t, ch, "q", 0, 100)
	for _, n := range c.Nodes[1:] {
		n.Kill()
	}
	until(t, "both deaths are known", func() bool {
		_, body := manage(t, left, http.MethodGet, "/api/nodes")
		return strings.Count(body, `"running":false`) == 2
	})
	// One of three may not decide that it is the cluster, by force neither.
	for _, query := range []string{"", "?force=true"} {
		status, body := manage(t, left, http.MethodDelete, "/api/cluster/nodes/broker-3"+query)
		if status != http.StatusBadRequest || !strings.Contains(body, "1 of 3 members up, which is no majority; start the other nodes first") {
			t.Errorf("forget broker-3%s: %d %s", query, status, body)
		}
	}
	// What it knows can be taken to another cluster.
	if status, body := manage(t, left, http.MethodGet, "/api/definitions"); status != http.StatusOK || !strings.Contains(body, `"name":"q"`) {
		t.Errorf("definitions: %d %s", status, body)
	}
	// With a second one there is a majority, which may.
	c.Nodes[1].Start()
	c.Nodes[1].AwaitReady()
	until(t, "the third is forgotten", func() bool {
		status, _ := manage(t, left, http.MethodDelete, "/api/cluster/nodes/broker-3")
		return status == http.StatusNoContent
	})
	if names := nodeNames(t, left); !slices.Equal(names, []string{"broker-1", "broker-2"}) {
		t.Errorf("nodes %v", names)
	}
	expect(t, dial(t, left.URL()), "q", 0, 100)
}
