package management_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// exported reads what a RabbitMQ 3.10 exported.
func exported(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantShop checks what the exports set up in a virtual host.
func wantShop(t *testing.T, a *api, vhost string) {
	t.Helper()
	a.want(200, get, "/api/queues/"+vhost+"/orders.payment", "", `"type":"quorum"`, `"x-delivery-limit":5`, `"policy":"ha"`, `"operator_policy":"op"`, `"durable":true`)
	a.want(200, get, "/api/queues/"+vhost+"/orders.log", "", `"x-message-ttl":60000`, `"x-max-priority":5`, `"x-dead-letter-exchange":""`)
	a.want(200, get, "/api/exchanges/"+vhost+"/orders", "", `"type":"topic"`, `"alternate-exchange":"unrouted"`)
	a.want(200, get, "/api/exchanges/"+vhost+"/unrouted", "", `"type":"fanout"`, `"internal":true`)
	a.want(200, get, "/api/bindings/"+vhost+"/e/orders/q/orders.payment", "", `"routing_key":"order.#"`)
	a.want(200, get, "/api/bindings/"+vhost+"/e/orders/e/unrouted", "", `"routing_key":"#"`)
	a.want(200, get, "/api/bindings/"+vhost+"/e/amq.headers/q/orders.log", "", `"arguments":{"n":1,"s":"text","t":true,"x-match":"any"}`)
	a.want(200, get, "/api/policies/"+vhost+"/ha", "", `"ha-mode":"all"`, `"max-length":1000`, `"priority":3`)
	a.want(200, get, "/api/operator-policies/"+vhost+"/op", "", `"max-length":5000`)
	a.want(200, get, "/api/vhost-limits/"+vhost, "", `"max-queues":50`)
}

func TestExportsOfRabbitMQ(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	// All but the federation, which this broker does not have.
	a.want(400, post, "/api/definitions", exported(t, "rabbitmq-3.10.json"), "component federation-upstream not found", `"path":"parameters[`, "(up in vhost shop)")
	wantShop(t, a, "shop")
	a.want(200, get, "/api/users/shop", "", `"tags":["management","monitoring"]`)
	a.want(200, get, "/api/permissions/shop/shop", "", `"configure":"^shop\\."`)
	a.want(200, get, "/api/topic-permissions/shop/shop", "", `"exchange":"amq.topic"`, `"write":"^a"`)
	a.want(200, get, "/api/global-parameters/mine", "", `{"a":1}`)
	// The password came with its hash.
	c, err := amqp.Dial("amqp://shop:s3cret@" + n.AMQPAddr() + "/shop")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	// A virtual host's own go into any other.
	a.want(201, put, "/api/vhosts/copy", "")
	a.want(400, post, "/api/definitions/copy", exported(t, "rabbitmq-3.10-vhost.json"), "federation-upstream")
	wantShop(t, a, "copy")
}

func TestDefinitionsRoundTrip(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.do(post, "/api/definitions", exported(t, "rabbitmq-3.10.json"))
	a.want(201, put, "/api/users/limited", `{"password":"p","tags":""}`)
	a.want(204, put, "/api/user-limits/limited/max-channels", `{"value":3}`)
	_, before := a.do(get, "/api/definitions", "")
	raw, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	a.want(204, post, "/api/definitions", string(raw)) // nothing new
	b := newAPI(t, brokertest.Start(t))
	b.want(204, post, "/api/definitions", string(raw))
	_, after := b.do(get, "/api/definitions", "")
	if x, err := json.Marshal(after); err != nil || !bytes.Equal(x, raw) {
		t.Errorf("%v\n%s\nwant\n%s", err, x, raw)
	}
	resp, _ := b.do(get, "/api/definitions?download=d.json", "")
	if got := resp.Header.Get("Content-Disposition"); got != "attachment; filename=d.json" {
		t.Error(got)
	}
}

func TestRefusedEntriesAreNamed(t *testing.T) {
	n := brokertest.Start(t)
	a := newAPI(t, n)
	a.want(201, put, "/api/queues/%2F/q", `{"durable":false}`)
	a.want(400, post, "/api/definitions", `{"queues":[{"name":"a","vhost":"/","durable":true,"arguments":{}},{"name":"q","vhost":"/","durable":true,"arguments":{}},
		{"name":"b","vhost":"nowhere","durable":true,"arguments":{}}],"bindings":[{"source":"amq.topic","vhost":"/","destination":"none","destination_type":"queue","routing_key":"k","arguments":{}}],
		"users":[{"name":"u","password_hash":"short","tags":"administrator"}]}`,
		`"path":"queues[1] (q in vhost /)"`, "inequivalent arg 'durable'", `"path":"queues[2] (b in vhost nowhere)"`, `"path":"bindings[0] (amq.topic to none in vhost /)"`,
		`"path":"users[0] (u)"`, `"imported":1`)
	a.want(200, get, "/api/queues/%2F/a", "")
	a.want(400, post, "/api/definitions", `{`, "not JSON")
	a.want(404, post, "/api/definitions/nowhere", `{}`)
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	f, err := m.CreateFormFile("file", "d.json")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte(`{"queues":[{"name":"form","vhost":"/","durable":true,"arguments":{}}]}`))
	_ = m.Close()
	a.header.Set("Content-Type", m.FormDataContentType())
	a.want(204, post, "/api/definitions", form.String())
	a.want(200, get, "/api/queues/%2F/form", "")
}

func TestDefinitionsAtBoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "d.json")
	save := func(name string) {
		content := `{"vhosts":[{"name":"v"}],"queues":[{"name":"` + name + `","vhost":"v","durable":true,"arguments":{"x-queue-type":"quorum"}}]}`
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("q")
	c := brokertest.StartCluster(t, 3, func(cfg *broker.Config) { cfg.Definitions = file })
	a := newAPI(t, c.Nodes[2])
	there := func(name string) func() string {
		return func() string {
			if resp, _ := a.do(get, "/api/queues/v/"+name, ""); resp.StatusCode != http.StatusOK {
				return name + ": " + resp.Status
			}
			return ""
		}
	}
	until(t, there("q"))
	// What was imported is not again: an operator may have deleted it since.
	a.want(204, del, "/api/vhosts/v", "")
	c.Nodes[0].Stop()
	c.Nodes[0].Start()
	c.Nodes[0].AwaitReady()
	a.want(404, get, "/api/vhosts/v", "")
	save("r")
	c.Nodes[0].Stop()
	c.Nodes[0].Start()
	until(t, there("r"))

	if _, err := broker.New(broker.Config{Name: "n", DataDir: t.TempDir(), Listen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Definitions: "/nowhere"}); err == nil ||
		!strings.Contains(err.Error(), "definitions") {
		t.Error(err)
	}
}
