//go:build interop

package interop_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/config"
)

// bindAll binds all that the application's configuration does, but for a consumer of a queue that nobody declares.
func bindAll(g service, c *config.Config, bound map[string]bool) {
	for _, name := range c.Names() {
		b := c.Binding(name)
		if bound[name] {
			continue
		}
		bound[name] = true
		if !b.Consumer.Queue.BindQueue.Or(true) {
			continue
		}
		if strings.HasSuffix(name, "-in-0") || strings.HasSuffix(name, "-in") {
			stream.Consume(g.App, b, func(context.Context, stream.Message[[]byte]) error { return nil })
			continue
		}
		g.Bind(b)
	}
}

// The Go service declares beside the application what that has declared: no object is refused.
func testDeclared(t *testing.T, s *spring) {
	g := newService(t, s)
	c := springConfig(t, s, "application")
	for _, name := range []string{"declared-in-0", "declaredPartition-in-0"} {
		stream.Consume(g.App, c.Binding(name), func(context.Context, stream.Message[[]byte]) error { return nil })
	}
	g.start(t)
}

// One configuration makes the same objects, whoever reads it.
func TestTopology(t *testing.T) {
	if os.Getenv("WARREN_TEST_AMQP_URL") != "" {
		t.Skip("two brokers of our own are compared")
	}
	spring := brokertest.Start(t)
	there := startSpring(t, spring.URL(), "--spring.profiles.active=topology")
	ours := brokertest.Start(t)
	here := newRun(t, ours.URL())
	g := newService(t, here)
	bound := map[string]bool{}
	for _, file := range []string{"application", "application-topology"} {
		bindAll(g, springConfig(t, here, file), bound)
	}
	g.start(t)
	want, got := objects(t, spring, there.run), objects(t, ours, here.run)
	for _, o := range want {
		if !slices.Contains(got, o) {
			t.Errorf("only Spring declares %s", o)
		}
	}
	for _, o := range got {
		if !slices.Contains(want, o) {
			t.Errorf("only Go declares %s", o)
		}
	}
	if len(want) < 50 {
		t.Errorf("%d objects, there should be more", len(want))
	}
}

var anonymous = regexp.MustCompile(`anonymous\.[A-Za-z0-9_-]{22}`)

// objects are all exchanges, queues and bindings of a run, as text without its name.
func objects(t *testing.T, n *brokertest.Node, run string) (all []string) {
	t.Helper()
	for _, kind := range []string{"exchanges", "queues", "bindings"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.HTTPAddr()+"/api/"+kind+"/%2F", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("guest", "guest")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var list []map[string]any
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			about := map[string]any{}
			if args, ok := o["arguments"].(map[string]any); ok {
				delete(args, "x-queue-master-locator") // of anonymous queues, until Spring AMQP 4
			}
			for _, key := range []string{"name", "type", "durable", "auto_delete", "exclusive", "arguments", "source", "destination", "routing_key"} {
				if v, ok := o[key]; ok {
					about[key] = v
				}
			}
			text, err := json.Marshal(about)
			if err != nil {
				t.Fatal(err)
			}
			line := anonymous.ReplaceAllString(strings.ReplaceAll(string(text), run, "RUN"), "anonymous.ID")
			if (strings.Contains(line, "RUN") || strings.Contains(line, "DLX")) && !strings.Contains(line, "RUN.reports") {
				all = append(all, kind+" "+line)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Every property that Spring's binder has is known here, if only to say that it is not supported.
func testProperties(t *testing.T, s *spring) {
	s.publish(t, s.run+".properties", []byte(`"?"`))
	known := map[string]bool{}
	for _, k := range config.Keys() {
		known[k.Block+" "+k.Name] = true
	}
	all := s.next(t, "properties").Batch
	if len(all) < 100 {
		t.Errorf("%d properties, there should be more", len(all))
	}
	for _, p := range all {
		if !known[p] {
			t.Errorf("property %s is not known", p)
		}
	}
}

func dial(t *testing.T, url string) *amqp.Connection {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
