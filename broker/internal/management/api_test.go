package management_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// api asks one node, as guest unless told otherwise.
type api struct {
	t              testing.TB
	addr           string
	user, password string
	header         http.Header
}

func newAPI(t testing.TB, n *brokertest.Node) *api {
	return &api{t: t, addr: n.HTTPAddr(), user: "guest", password: "guest", header: http.Header{}}
}

// do sends a request; the answer's body is decoded if it is JSON.
func (a *api) do(method, path, body string) (*http.Response, any) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for k, v := range a.header {
		req.Header[k] = v
	}
	req.SetBasicAuth(a.user, a.password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var v any
	_ = json.Unmarshal(b, &v)
	return resp, v
}

// want checks the status of an answer, and that it contains texts.
func (a *api) want(status int, method, path, body string, texts ...string) any {
	a.t.Helper()
	resp, v := a.do(method, path, body)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	if resp.StatusCode != status {
		a.t.Errorf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, b.String())
	}
	for _, text := range texts {
		if !strings.Contains(b.String(), text) {
			a.t.Errorf("%s %s: no %s in %s", method, path, text, b.String())
		}
	}
	return v
}

// field follows a path of keys.
func field(v any, path string) any {
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

const get, put, post, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete

func TestQueuesExchangesBindings(t *testing.T) {
	a := newAPI(t, brokertest.Start(t))
	a.want(201, put, "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":10,"x-dead-letter-exchange":"d"}}`)
	a.want(204, put, "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":10,"x-dead-letter-exchange":"d"}}`)
	a.want(200, get, "/api/queues/%2F?lengths_age=1800&lengths_incr=30", "", `"samples":[{"sample":0`) // however new it is
	a.want(400, put, "/api/queues/%2F/q", `{"durable":true,"arguments":{"x-max-length":11}}`, "inequivalent arg", "bad_request")
	a.want(400, put, "/api/queues/%2F/w", `{"arguments":{"x-max-length":"ten"}}`, "x-max-length")
	a.want(404, put, "/api/queues/nowhere/q", `{}`)
	a.want(200, get, "/api/queues/%2F/q", "", `"x-max-length":10`, `"messages":0`, `"state":"running"`, `"consumer_details":[]`, `"type":"classic"`)
	a.want(404, get, "/api/queues/%2F/w", "", "Object Not Found")
	a.want(201, put, "/api/exchanges/%2F/x", `{"type":"topic"}`)
	a.want(204, put, "/api/exchanges/%2F/x", `{"type":"topic","durable":"true"}`)
	a.want(400, put, "/api/exchanges/%2F/x", `{"type":"fanout"}`, "inequivalent arg 'type'")
	a.want(400, put, "/api/exchanges/%2F/y", `{}`, "{key_missing,type}")
	a.want(200, get, "/api/exchanges/%2F/x", "", `"type":"topic"`, `"durable":true`)

	resp, _ := a.do(post, "/api/bindings/%2F/e/x/q/q", `{"routing_key":"a.#","arguments":{"n":1}}`)
	location := resp.Header.Get("Location")
	if resp.StatusCode != 201 || !strings.HasPrefix(location, "q/a.%2523~") {
		t.Errorf("%d %q", resp.StatusCode, location)
	}
	props := strings.TrimPrefix(location, "q/")
	a.want(200, get, "/api/bindings/%2F/e/x/q/q", "", `"routing_key":"a.#"`, `"arguments":{"n":1}`, `"destination_type":"queue"`)
	a.want(200, get, "/api/bindings/%2F/e/x/q/q/"+props, "", `"source":"x"`)
	a.want(200, get, "/api/queues/%2F/q/bindings", "", `"source":""`, `"source":"x"`, `"properties_key":"q"`)
	a.want(200, get, "/api/exchanges/%2F/x/bindings/source", "", `"destination":"q"`)
	a.want(200, get, "/api/exchanges/%2F/x/bindings/destination", "", `[]`)
	a.want(201, post, "/api/bindings/%2F/e/amq.fanout/e/x", `{}`)
	a.want(200, get, "/api/bindings/%2F/e/amq.fanout/e/x/~", "", `"destination_type":"exchange"`)
	a.want(404, post, "/api/bindings/%2F/e/x/q/w", `{}`)

	a.want(200, post, "/api/exchanges/%2F/x/routes", `{"routing_key":"a.b"}`, `{"queues":["q"]}`)
	a.want(200, post, "/api/exchanges/%2F/x/routes", `{"routing_key":"b"}`, `{"queues":[]}`)
	a.want(200, post, "/api/exchanges/%2F/x/publish", `{"properties":{"delivery_mode":2,"headers":{"h":[1,"two"]},"correlation_id":"c"},"routing_key":"a.b","payload":"hello","payload_encoding":"string"}`, `{"routed":true}`)
	a.want(200, post, "/api/exchanges/%2F/x/publish", `{"properties":{},"routing_key":"b","payload":"","payload_encoding":"string"}`, `{"routed":false}`)
	a.want(200, post, "/api/exchanges/%2F/amq.default/publish", `{"properties":[],"routing_key":"q","payload":"AP8=","payload_encoding":"base64"}`, `{"routed":true}`)
	a.want(200, get, "/api/exchanges/%2F/x", "", `"publish_in":2`, `"publish_out":1`)
	a.want(200, get, "/api/overview", "", `"publish":3`, `"confirm":3`, `"return_unroutable":1`)
	a.want(400, post, "/api/exchanges/%2F/x/publish", `{"routing_key":"a"}`, "{key_missing,payload}")
	a.want(400, post, "/api/exchanges/%2F/x/publish", `{"properties":{"colour":"red"},"routing_key":"a","payload":"","payload_encoding":"string"}`, "no property colour")
	a.want(200, post, "/api/queues/%2F/q/get", `{"count":5,"ackmode":"ack_requeue_true","encoding":"auto"}`,
		`"payload":"hello"`, `"h":[1,"two"]`, `"correlation_id":"c"`, `"redelivered":false`, `"payload":"AP8="`, `"payload_encoding":"base64"`)
	a.want(200, post, "/api/queues/%2F/q/get", `{"count":"1","ackmode":"reject_requeue_false","encoding":"auto","truncate":2}`, `"payload":"he"`, `"payload_bytes":5`, `"redelivered":true`)
	a.want(400, post, "/api/queues/%2F/q/get", `{"count":1,"ackmode":"eat","encoding":"auto"}`, "allowed are")

	a.want(201, put, "/api/queues/%2F/r", `{}`)
	a.want(200, post, "/api/queues/%2F/q/move", `{"queue":"r"}`, `{"moved":1}`)
	a.want(200, post, "/api/queues/%2F/r/get", `{"count":5,"ackmode":"ack_requeue_false","encoding":"base64"}`, `"payload":"AP8="`)
	a.want(404, del, "/api/queues/%2F/nothing?if-empty=true", "", "no queue")
	a.want(204, del, "/api/queues/%2F/q/contents", "")
	a.want(204, del, "/api/bindings/%2F/e/x/q/q/"+props, "")
	a.want(404, del, "/api/bindings/%2F/e/x/q/q/"+props, "")
	a.want(401, del, "/api/exchanges/%2F/amq.fanout", "", "not allowed")
	a.want(204, del, "/api/exchanges/%2F/x?if-unused=true", "")
	a.want(204, del, "/api/queues/%2F/q?if-empty=true&if-unused=true", "")
}

func TestPagesSortingColumns(t *testing.T) {
	a := newAPI(t, brokertest.Start(t))
	for i := range 12 {
		a.want(201, put, fmt.Sprintf("/api/queues/%%2F/q%02d", i), `{}`)
	}
	for range 3 {
		a.want(200, post, "/api/exchanges/%2F/amq.default/publish", `{"properties":{},"routing_key":"q07","payload":"","payload_encoding":"string"}`)
	}
	a.want(200, get, "/api/queues?page=2&page_size=5&columns=name", "",
		`"filtered_count":12`, `"item_count":5`, `"page":2`, `"page_count":3`, `"page_size":5`, `"total_count":12`, `[{"name":"q05"},{"name":"q06"},{"name":"q07"},{"name":"q08"},{"name":"q09"}]`)
	a.want(200, get, "/api/queues?page=1&name=Q1&columns=name", "", `"filtered_count":2`, `"total_count":12`, `[{"name":"q10"},{"name":"q11"}]`)
	a.want(200, get, "/api/queues?name=^q0[12]$&use_regex=true&columns=name", "", `[{"name":"q01"},{"name":"q02"}]`)
	a.want(400, get, "/api/queues?name=(&use_regex=true", "", "no regular expression")
	a.want(200, get, "/api/queues?sort=messages&sort_reverse=true&page=1&page_size=1&columns=name,messages,message_stats.publish", "",
		`[{"message_stats":{"publish":3},"messages":3,"name":"q07"}]`)
	a.want(400, get, "/api/queues?page=9&page_size=5", "", "page_out_of_range")
	a.want(400, get, "/api/queues?page=1&page_size=501", "", "page_size")
	a.want(400, get, "/api/queues?page=none", "", "not a number")
	a.want(200, get, "/api/queues?disable_stats=true&enable_queue_totals=true&name=q07", "", `"messages":3`)
	if v := a.want(200, get, "/api/queues?disable_stats=true&name=q07", ""); field(v.([]any)[0], "messages") != nil {
		t.Error(v)
	}
}

func TestStatistics(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	c, ch := brokertest.Dial(t, n.URL())
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 10))
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Qos(7, 0, false); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp.Publishing{Body: []byte("12345")}); err != nil {
			t.Fatal(err)
		}
		<-confirms
	}
	if err := ch.PublishWithContext(t.Context(), "amq.fanout", "", false, false, amqp.Publishing{}); err != nil { // goes nowhere
		t.Fatal(err)
	}
	<-confirms
	ds, err := ch.Consume("q", "tag", false, false, false, false, amqp.Table{"x-priority": 3})
	if err != nil {
		t.Fatal(err)
	}
	first, second := <-ds, <-ds
	<-ds
	if err := first.Ack(false); err != nil {
		t.Fatal(err)
	}
	if err := second.Nack(false, true); err != nil {
		t.Fatal(err)
	}
	<-ds // again
	until(t, func() string {
		v := a.want(200, get, "/api/queues/%2F/q", "")
		for path, want := range map[string]any{
			"messages": 2.0, "messages_unacknowledged": 2.0, "consumers": 1.0, "message_bytes": 10.0, "message_stats.publish": 3.0,
			"message_stats.deliver": 4.0, "message_stats.redeliver": 1.0, "message_stats.ack": 1.0, "message_stats.deliver_get": 4.0,
		} {
			if got := field(v, path); got != want {
				return fmt.Sprintf("queue: %s is %v, want %v", path, got, want)
			}
		}
		return ""
	})
	channel := a.want(200, get, "/api/channels", "", `"consumer_tag"`[:0]).([]any)[0]
	for path, want := range map[string]any{
		"prefetch_count": 7.0, "confirm": true, "transactional": false, "messages_unconfirmed": 0.0, "messages_unacknowledged": 2.0,
		"consumer_count": 1.0, "message_stats.publish": 4.0, "message_stats.confirm": 4.0, "message_stats.drop_unroutable": 1.0,
		"message_stats.deliver": 4.0, "message_stats.redeliver": 1.0, "message_stats.ack": 1.0,
	} {
		if got := field(channel, path); got != want {
			t.Errorf("channel: %s is %v, want %v", path, got, want)
		}
	}
	a.want(200, get, "/api/consumers/%2F", "", `"consumer_tag":"tag"`, `"ack_required":true`, `"prefetch_count":7`, `"x-priority":3`, `"queue":{"name":"q","vhost":"/"}`)
	a.want(200, get, "/api/exchanges/%2F/amq.default", "", `"publish_in":3`, `"publish_out":3`)
	a.want(200, get, "/api/overview", "", `"publish":4`, `"confirm":4`, `"consumers":1`, `"channels":1`, `"connections":1`, `"queues":1`, `"connection_created":1`)
	a.want(200, get, "/api/overview?lengths_age=60&lengths_incr=2&msg_rates_age=60&msg_rates_incr=2", "", `"samples":[`)
	a.want(400, get, "/api/overview?lengths_age=60", "", "go together")
	a.want(200, get, "/api/nodes/broker-1", "", `"running":true`, `"mem_used"`, `"disk_free"`, `"fd_used"`, `"uptime"`)
	a.want(200, get, "/api/nodes/broker-1/memory", "", `"rss"`)
	a.want(404, get, "/api/nodes/nobody", "")
	// What is counted stays when the channel is gone.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, func() string {
		v := a.want(200, get, "/api/overview", "")
		if got := []any{field(v, "message_stats.publish"), field(v, "churn_rates.connection_closed")}; got[0] != 4.0 || got[1] != 1.0 {
			return fmt.Sprint(got)
		}
		return ""
	})
}

// until waits for f to find nothing wrong.
func until(t testing.TB, f func() string) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestParametersAndChecks(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.want(200, get, "/api/cluster-name", "", `{"name":"warren"}`)
	a.want(204, put, "/api/cluster-name", `{"name":"shop"}`)
	a.want(200, get, "/api/overview", "", `"cluster_name":"shop"`)
	a.want(201, put, "/api/global-parameters/p", `{"value":{"a":[1,2.5]}}`)
	a.want(204, put, "/api/global-parameters/p", `{"value":7}`)
	a.want(200, get, "/api/global-parameters/p", "", `{"name":"p","value":7}`)
	a.want(204, del, "/api/global-parameters/p", "")
	a.want(404, del, "/api/global-parameters/p", "")
	a.want(201, put, "/api/parameters/vhost-limits/%2F/limits", `{"value":{"max-queues":5}}`)
	a.want(200, get, "/api/parameters", "", `"component":"vhost-limits"`, `"max-queues":5`)
	a.want(204, del, "/api/parameters/vhost-limits/%2F/limits", "")
	a.want(400, put, "/api/parameters/shovel/%2F/s", `{"value":{}}`, "component shovel not found")
	a.want(201, put, "/api/vhosts/v", `{"description":"d","tags":"a,b","tracing":true}`)
	a.want(200, get, "/api/vhosts/v", "", `"tracing":true`, `"messages":0`)
	a.want(204, post, "/api/vhosts/v/deletion/protection", "")
	a.want(400, del, "/api/vhosts/v", "", "protected")
	a.want(204, del, "/api/vhosts/v/deletion/protection", "")
	a.want(204, del, "/api/vhosts/v", "")
	for _, path := range []string{
		"aliveness-test/%2F", "healthchecks/node", "health/checks/alarms", "health/checks/local-alarms", "health/checks/virtual-hosts",
		"health/checks/node-is-quorum-critical", "health/checks/is-in-service", "health/checks/ready-to-serve-clients", "health/checks/below-node-connection-limit",
		"health/checks/reached-target-cluster-size", "health/checks/certificate-expiration/1/months", "health/checks/metadata-store/initialized",
		"health/checks/quorum-queues-without-elected-leaders/all-vhosts", "health/checks/protocol-listener/amqp091",
		"health/checks/port-listener/" + n.AMQPAddr()[strings.LastIndex(n.AMQPAddr(), ":")+1:],
	} {
		a.want(200, get, "/api/"+path, "", `"status":"ok"`)
	}
	a.want(503, get, "/api/health/checks/port-listener/1", "", `"status":"failed"`, `"missing":1`)
	a.want(503, get, "/api/health/checks/protocol-listener/mqtt", "", "No active listener")
	a.want(400, get, "/api/health/checks/certificate-expiration/1/moons", "")
	n.SetLimits(1, 0)
	until(t, func() string {
		if resp, _ := a.do(get, "/api/health/checks/alarms", ""); resp.StatusCode != 503 {
			return "no alarm"
		}
		return ""
	})
	a.want(503, get, "/api/health/checks/local-alarms", "", `"resource":"memory"`, "in effect in the cluster: memory of broker-1")
	for _, path := range []string{"feature-flags", "shovels", "federation-links", "deprecated-features/used", "extensions", "version", "whoami"} {
		a.want(200, get, "/api/"+path, "")
	}
}

func TestConnectionLimitCheck(t *testing.T) {
	n := brokertest.Start(t, func(c *broker.Config) { c.ConnectionsMax = 1 })
	a := newAPI(t, n)
	a.want(200, get, "/api/health/checks/below-node-connection-limit", "", `"status":"ok"`)
	c, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	a.want(503, get, "/api/health/checks/below-node-connection-limit", "", "node connection limit is reached", `"connections":1`, `"limit":1`)
}

func TestLogin(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.want(201, put, "/api/users/u", `{"password":"p","tags":"management"}`)
	bad := newAPI(t, n)
	bad.user, bad.password = "u", "wrong"
	for range 10 {
		bad.want(401, get, "/api/whoami", "", "Login failed")
	}
	resp, _ := bad.do(get, "/api/whoami", "")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	a.want(200, get, "/api/whoami", "") // only who failed has to wait
	// A page of another site can't change anything.
	foreign := newAPI(t, n)
	foreign.header.Set("Sec-Fetch-Site", "cross-site")
	if resp, _ := foreign.do(put, "/api/queues/%2F/q", "{}"); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	own := newAPI(t, n)
	own.header.Set("Sec-Fetch-Site", "same-origin")
	own.want(201, put, "/api/queues/%2F/q", "{}")
}

func TestUsersSeeTheirVirtualHosts(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.want(201, put, "/api/vhosts/v", "")
	a.want(201, put, "/api/queues/v/q", "{}")
	a.want(201, put, "/api/queues/%2F/secret", "{}")
	a.want(201, put, "/api/users/u", `{"password":"p","tags":"management"}`)
	a.want(201, put, "/api/permissions/v/u", `{"configure":"^q","write":"^q","read":"^q"}`)
	u := newAPI(t, n)
	u.user, u.password = "u", "p"
	if list := u.want(200, get, "/api/queues", "").([]any); len(list) != 1 || field(list[0], "name") != "q" {
		t.Error(list)
	}
	u.want(401, get, "/api/queues/%2F/secret", "", "not_authorised")
	u.want(401, put, "/api/queues/v/other", "{}", "configure access to queue 'other'")
	u.want(201, put, "/api/queues/v/q2", "{}")
	u.want(401, get, "/api/nodes", "")
	u.want(401, get, "/api/definitions", "")
	u.want(401, post, "/api/rebalance/queues", "")
	if v := u.want(200, get, "/api/overview", ""); field(v, "object_totals.queues") != 2.0 {
		t.Error(v)
	}
}

// TestOverviewCountsWhatIsListed: a queue for direct replies is nobody's to see, and its consumer is not counted.
func TestOverviewCountsWhatIsListed(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	c, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"q", "amq.rabbitmq.reply-to"} {
		if _, err := ch.Consume(queue, "", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	v := a.want(200, get, "/api/overview", "")
	for _, kind := range []string{"queues", "connections", "channels", "consumers"} {
		if list := a.want(200, get, "/api/"+kind, "").([]any); field(v, "object_totals."+kind) != float64(len(list)) || len(list) != 1 {
			t.Errorf("%s: the overview says %v, %d are listed, want 1", kind, field(v, "object_totals."+kind), len(list))
		}
	}
}
