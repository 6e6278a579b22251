package brokertest_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// bound declares a queue on ch that hears an exchange, and consumes it.
func bound(t *testing.T, ch *amqp.Channel, exchange, key string) <-chan amqp.Delivery {
	t.Helper()
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(q.Name, key, exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	ds, err := ch.Consume(q.Name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// firstOf returns the first delivery that fits.
func firstOf(t *testing.T, ds <-chan amqp.Delivery, fits func(*amqp.Delivery) bool) *amqp.Delivery {
	t.Helper()
	var seen []string
	end := time.After(deadline)
	for {
		select {
		case d := <-ds:
			if fits(&d) {
				return &d
			}
			seen = append(seen, fmt.Sprint(d.RoutingKey, d.Headers))
		case <-end:
			t.Fatalf("it does not come; what came:\n%s", strings.Join(seen, "\n"))
		}
	}
}

func TestEvents(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	events := bound(t, dial(t, c.Nodes[0].URL()), "amq.rabbitmq.event", "#")
	ch := dial(t, c.Nodes[1].URL())
	wait := func(key string, fields amqp.Table) *amqp.Delivery {
		t.Helper()
		return firstOf(t, events, func(d *amqp.Delivery) bool {
			for k, v := range fields {
				if fmt.Sprint(d.Headers[k]) != fmt.Sprint(v) {
					return false
				}
			}
			return d.RoutingKey == key
		})
	}
	wait("connection.created", amqp.Table{"user": "guest", "vhost": "/"})
	if _, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-max-length": 5}); err != nil {
		t.Fatal(err)
	}
	d := wait("queue.created", amqp.Table{"name": "q", "vhost": "/", "durable": true, "type": "classic"})
	if len(d.Body) > 0 || d.Headers["timestamp_in_ms"] == nil || fmt.Sprint(d.Headers["arguments"]) != "map[x-max-length:5]" {
		t.Errorf("%+v", d)
	}
	if err := ch.QueueBind("q", "k", "amq.direct", false, nil); err != nil {
		t.Fatal(err)
	}
	wait("binding.created", amqp.Table{"source_name": "amq.direct", "destination_name": "q", "routing_key": "k"})
	if _, err := ch.Consume("q", "tag", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	wait("consumer.created", amqp.Table{"consumer_tag": "tag", "queue": "q"})
	if err := ch.Cancel("tag", false); err != nil {
		t.Fatal(err)
	}
	wait("consumer.deleted", amqp.Table{"consumer_tag": "tag"})
	if _, err := ch.QueueDelete("q", false, false, false); err != nil {
		t.Fatal(err)
	}
	wait("queue.deleted", amqp.Table{"name": "q"})
	a := apiOf(t, c.Nodes[2])
	a.want(http.StatusCreated, http.MethodPut, "/api/users/u", `{"password":"p","tags":""}`)
	wait("user.created", amqp.Table{"name": "u"})
	if _, err := amqp.Dial("amqp://u:wrong@" + c.Nodes[1].AMQPAddr() + "/"); err == nil {
		t.Error("let in")
	}
	wait("user.authentication.failure", amqp.Table{"name": "u"})
	c.Nodes[1].SetLimits(1, 0)
	wait("alarm.set", amqp.Table{"resource": "memory", "node": "broker-2"})
	c.Nodes[1].SetLimits(0, 0)
	wait("alarm.cleared", amqp.Table{"resource": "memory"})
	a.want(http.StatusOK, http.MethodGet, "/api/events", "", `"key":"queue.created"`, `"key":"alarm.cleared"`, `"key":"connection.created"`)
}

func TestFirehose(t *testing.T) {
	n := brokertest.Start(t)
	a := apiOf(t, n)
	watcher, ch := dial(t, n.URL()), dial(t, n.URL())
	copies := bound(t, watcher, "amq.rabbitmq.trace", "#")
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	publish := func(body string) {
		t.Helper()
		err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp.Publishing{CorrelationId: "c", Headers: amqp.Table{"h": "v"}, Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := ch.Get("q", true); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	publish("before")
	a.want(http.StatusNoContent, http.MethodPut, "/api/vhosts/%2F", `{"tracing":true}`)
	publish("traced")
	in := firstOf(t, copies, func(d *amqp.Delivery) bool { return d.RoutingKey == "publish." })
	props, _ := in.Headers["properties"].(amqp.Table)
	if string(in.Body) != "traced" || fmt.Sprintf("%v %v %v %v", in.Headers["routed_queues"], in.Headers["routing_keys"], in.Headers["user"], in.Headers["vhost"]) != "[q] [q] guest /" ||
		props["correlation_id"] != "c" || fmt.Sprint(props["headers"]) != "map[h:v]" {
		t.Errorf("%s %v", in.Body, in.Headers)
	}
	out := firstOf(t, copies, func(d *amqp.Delivery) bool { return d.RoutingKey == "deliver.q" })
	if string(out.Body) != "traced" || out.Headers["redelivered"] != int64(0) || out.Headers["node"] != "broker-1" {
		t.Errorf("%s %v", out.Body, out.Headers)
	}
	a.want(http.StatusNoContent, http.MethodPut, "/api/vhosts/%2F", `{"tracing":false}`)
	publish("after")
	select {
	case d := <-copies:
		t.Errorf("%s: %s", d.RoutingKey, d.Body)
	case <-time.After(100 * time.Millisecond): // nothing to wait for
	}
}

// TestLogLines reads a node's log from the exchange that RabbitMQ has for it, after the
// level was changed, and sees the cluster's name in what the server tells of itself.
func TestLogLines(t *testing.T) {
	level := new(slog.LevelVar)
	n := brokertest.Start(t, func(c *broker.Config) {
		c.LogLevel, c.Logger = level, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level}))
	})
	a := apiOf(t, n)
	lines := bound(t, dial(t, n.URL()), "amq.rabbitmq.log", "#")
	a.want(http.StatusNoContent, http.MethodPut, "/api/cluster-name", `{"name":"harbour"}`)
	d := firstOf(t, lines, func(d *amqp.Delivery) bool { return strings.Contains(string(d.Body), "/api/cluster-name") })
	if d.RoutingKey != "info" || d.ContentType != "text/plain" || d.Headers["node"] != "broker-1" || !strings.Contains(string(d.Body), "user=guest") {
		t.Errorf("%s: %s %v", d.RoutingKey, d.Body, d.Headers)
	}
	c, _ := brokertest.Dial(t, n.URL())
	if name := c.Properties["cluster_name"]; name != "harbour" {
		t.Errorf("the server says that its cluster is %v", name)
	}
	a.want(http.StatusNoContent, http.MethodPut, "/api/cluster/log-level", `{"level":"error"}`)
	a.want(http.StatusOK, http.MethodGet, "/api/cluster/log-level", "", `"level":"error"`)
	a.want(http.StatusNoContent, http.MethodPut, "/api/cluster-name", `{"name":"unheard"}`)
	a.want(http.StatusBadRequest, http.MethodPut, "/api/cluster/log-level", `{"level":"loud"}`, "there are alert")
	a.want(http.StatusNoContent, http.MethodPut, "/api/cluster/log-level", `{"level":"Warning"}`)
	a.want(http.StatusNoContent, http.MethodPut, "/api/cluster/log-level", `{"level":"debug"}`)
	a.want(http.StatusCreated, http.MethodPut, "/api/users/last", `{"password":"p","tags":""}`)
	firstOf(t, lines, func(d *amqp.Delivery) bool {
		if strings.Contains(string(d.Body), "unheard") {
			t.Errorf("logged below the level: %s", d.Body)
		}
		return strings.Contains(string(d.Body), "/api/users/last")
	})
}
