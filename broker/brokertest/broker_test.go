package brokertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

const deadline = 20 * time.Second

func dial(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	_, ch := brokertest.Dial(t, url)
	return ch
}

func declare(t *testing.T, ch *amqp.Channel, name string, args amqp.Table) {
	t.Helper()
	if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
}

// publish publishes n messages and waits for their confirms.
func publish(t *testing.T, ch *amqp.Channel, queue string, from, n int) {
	t.Helper()
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var waits []*amqp.DeferredConfirmation
	for i := range n {
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: fmt.Appendf(nil, "m%d", from+i),
		})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, c)
	}
	for i, w := range waits {
		if ok, err := w.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("message %d: confirmed %v, %v", i, ok, err)
		}
	}
}

// expect consumes n messages numbered from from, in order, and acks them.
func expect(t *testing.T, ch *amqp.Channel, queue string, from, n int) {
	t.Helper()
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		select {
		case d, ok := <-ds:
			if !ok {
				t.Fatal("deliveries ended")
			}
			if want := fmt.Sprintf("m%d", from+i); string(d.Body) != want {
				t.Fatalf("got %s, want %s", d.Body, want)
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
		case <-time.After(deadline):
			q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
			t.Fatalf("no message %d; the queue: %+v, %v", i, q, err)
		}
	}
}

// awaitReady waits until a queue has n messages ready.
func awaitReady(t *testing.T, ch *amqp.Channel, queue string, n int) {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Messages == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages ready, want %d", q.Messages, n)
		}
	}
}

func TestOneNodeKeepsItsMessages(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			n := brokertest.Start(t)
			ch := dial(t, n.URL())
			declare(t, ch, "q", amqp.Table{"x-queue-type": kind})
			publish(t, ch, "q", 0, 100)
			consumer := dial(t, n.URL())
			expect(t, consumer, "q", 0, 50)
			if err := consumer.Close(); err != nil {
				t.Fatal(err)
			}
			awaitReady(t, ch, "q", 50) // acks are not confirmed: see that they arrived
			n.Kill()
			n.Start()
			n.AwaitReady()
			expect(t, dial(t, n.URL()), "q", 50, 50)
		})
	}
}

func TestClusterGoesOnWithoutANode(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	quorum := amqp.Table{"x-queue-type": "quorum"}
	first := dial(t, c.Nodes[0].URL())
	declare(t, first, "q", quorum)
	publish(t, first, "q", 0, 100)
	for i, n := range c.Nodes {
		other := c.Nodes[(i+1)%3]
		n.Kill()
		ch := dial(t, other.URL())
		publish(t, ch, "q", 100+i*10, 10)
		consumer := dial(t, c.Nodes[(i+2)%3].URL())
		expect(t, consumer, "q", i*10, 10)
		if err := consumer.Close(); err != nil {
			t.Fatal(err)
		}
		awaitReady(t, ch, "q", 100)
		if i == 1 {
			n.Wipe() // comes back as a new replica
		}
		n.Start()
		n.AwaitReady()
	}
}

// setPolicy sets a policy through the management API.
func setPolicy(t *testing.T, n *brokertest.Node, name, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+n.HTTPAddr()+"/api/policies/%2F/"+name, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("policy: %s", resp.Status)
	}
}

// awaitMembers waits until a queue is held by n nodes and serves, and returns its leader.
func awaitMembers(t *testing.T, node *brokertest.Node, queue string, n int) string {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		req, err := http.NewRequest(http.MethodGet, "http://"+node.HTTPAddr()+"/api/queues/%2F/"+queue, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("guest", "guest")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var q struct {
			Leader string
			Online []string
		}
		err = json.NewDecoder(resp.Body).Decode(&q)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(q.Online) == n && q.Leader != "" {
			return q.Leader
		}
	}
	t.Fatalf("queue %s has not %d members", queue, n)
	return ""
}

func TestPolicyReplicatesALiveQueue(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	ch := dial(t, c.Nodes[0].URL())
	declare(t, ch, "q", nil)
	publish(t, ch, "q", 0, 300)
	// A consumer on another node holds some messages while the queue moves.
	consumer := dial(t, c.Nodes[1].URL())
	if err := consumer.Qos(20, 0, false); err != nil {
		t.Fatal(err)
	}
	ds, err := consumer.Consume("q", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	moved := true // nothing that was moved may look as if it had been delivered before
	next := func(want int) {
		t.Helper()
		select {
		case d := <-ds:
			if string(d.Body) != fmt.Sprintf("m%d", want) || moved && d.Redelivered {
				t.Fatalf("got %s (redelivered %v), want m%d", d.Body, d.Redelivered, want)
			}
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
		case <-time.After(deadline):
			t.Fatalf("no message %d", want)
		}
	}
	for i := range 50 {
		next(i)
	}
	setPolicy(t, c.Nodes[2], "ha-all", `{"pattern":"^q$","definition":{"ha-mode":"all"}}`)
	publish(t, ch, "q", 300, 100) // some before, some after the switch
	awaitMembers(t, c.Nodes[0], "q", 3)
	for i := 50; i < 350; i++ {
		next(i)
	}
	// The node that had the only copy dies: nobody misses it. If it led the queue, it may
	// have delivered what nobody got: that comes again, and says so.
	c.Nodes[0].Kill()
	moved = false
	for i := 350; i < 400; i++ {
		next(i)
	}
}

func TestHomeNodeDown(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	ch := dial(t, c.Nodes[0].URL())
	declare(t, ch, "home", nil)
	publish(t, ch, "home", 0, 5)
	// The talk's first experiment: another node dies, the queue is served everywhere.
	c.Nodes[1].Kill()
	consumer := dial(t, c.Nodes[2].URL())
	expect(t, consumer, "home", 0, 3)
	if err := consumer.Close(); err != nil {
		t.Fatal(err)
	}
	c.Nodes[1].Start()
	c.Nodes[1].AwaitReady()
	awaitReady(t, ch, "home", 2)
	// The second: its own node dies.
	c.Nodes[0].Kill()
	want := "NOT_FOUND - home node 'broker-1' of durable queue 'home' in vhost '/' is down or inaccessible"
	for name, use := range map[string]func(*amqp.Channel) error{
		"declare": func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("home", true, false, false, false, nil)
			return err
		},
		"consume": func(ch *amqp.Channel) error {
			_, err := ch.Consume("home", "", false, false, false, false, nil)
			return err
		},
	} {
		err := use(dial(t, c.Nodes[2].URL()))
		var e *amqp.Error
		if !errors.As(err, &e) || e.Code != amqp.NotFound || !strings.Contains(e.Reason, want) {
			t.Errorf("%s: %v, want 404 %s", name, err, want)
		}
	}
	survivor := dial(t, c.Nodes[1].URL())
	if err := survivor.QueueBind("home", "key", "amq.direct", false, nil); err != nil {
		t.Errorf("bind: %v", err)
	}
	// Nobody is there who could keep what is published now.
	if err := survivor.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := survivor.PublishWithDeferredConfirm("", "home", true, false, amqp.Publishing{Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if acked, err := confirm.WaitContext(ctx); err != nil || acked {
		t.Errorf("published: acked %v, %v", acked, err)
	}
	c.Nodes[0].Start()
	c.Nodes[0].AwaitReady()
	expect(t, dial(t, c.Nodes[2].URL()), "home", 3, 2)
}

// A client that publishes and then asks, on one channel, finds what it published.
func TestAChannelSeesWhatItPublished(t *testing.T) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			c := brokertest.StartCluster(t, 3)
			for i, n := range c.Nodes {
				ch := dial(t, n.URL())
				q := fmt.Sprintf("q%d", i)
				declare(t, ch, q, amqp.Table{"x-queue-type": kind})
				other := dial(t, c.Nodes[(i+1)%3].URL()) // away from where it was declared
				for k := range 20 {
					body := fmt.Sprintf("m%d", k)
					if err := other.PublishWithContext(t.Context(), "", q, true, false, amqp.Publishing{Body: []byte(body)}); err != nil {
						t.Fatal(err)
					}
					if d, ok, err := other.Get(q, true); err != nil || !ok || string(d.Body) != body {
						t.Fatalf("get %d: %q, %v, %v", k, d.Body, ok, err)
					}
				}
				if err := other.PublishWithContext(t.Context(), "", q, true, false, amqp.Publishing{}); err != nil {
					t.Fatal(err)
				}
				if n, err := other.QueuePurge(q, false); err != nil || n != 1 {
					t.Fatalf("purged %d, %v", n, err)
				}
			}
		})
	}
}
