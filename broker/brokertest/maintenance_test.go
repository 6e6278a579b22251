package brokertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// load publishes and consumes on whatever node takes it, and knows what was confirmed and
// what came. Only the loss of a connection is no error to it.
type load struct {
	t                           *testing.T
	urls                        []string
	queue                       string
	reconnect, serial           atomic.Int64
	publishers, consumers       sync.WaitGroup
	endPublishing, endConsuming context.CancelFunc

	mu                  sync.Mutex
	confirmed, received map[string]bool
}

func newLoad(t *testing.T, queue string, urls []string) *load {
	l := &load{t: t, urls: urls, queue: queue, confirmed: map[string]bool{}, received: map[string]bool{}}
	var publishing, consuming context.Context
	publishing, l.endPublishing = context.WithCancel(t.Context())
	consuming, l.endConsuming = context.WithCancel(t.Context())
	for i := range 3 {
		l.publishers.Go(func() { l.keep(publishing, i, func(ch *amqp.Channel) error { return l.publish(publishing, ch) }) })
		l.consumers.Go(func() { l.keep(consuming, i, func(ch *amqp.Channel) error { return l.consume(consuming, ch) }) })
	}
	t.Cleanup(func() {
		l.endPublishing()
		l.endConsuming()
		l.publishers.Wait()
		l.consumers.Wait()
	})
	return l
}

// keep runs f on a channel to one node after the other, until the test's end.
func (l *load) keep(ctx context.Context, first int, f func(*amqp.Channel) error) {
	for at := first; ctx.Err() == nil; at++ {
		c, err := amqp.Dial(l.urls[at%len(l.urls)])
		if err == nil {
			var ch *amqp.Channel
			if ch, err = c.Channel(); err == nil {
				err = f(ch)
			}
			_ = c.Close()
		}
		if err != nil && ctx.Err() == nil {
			l.reconnect.Add(1)
			var e *amqp.Error
			var n net.Error
			if errors.As(err, &e) && e.Code != amqp.ConnectionForced && !errors.Is(err, amqp.ErrClosed) ||
				e == nil && !errors.As(err, &n) && !strings.Contains(err.Error(), "EOF") {
				l.t.Errorf("a client got %v", err)
				return
			}
		}
	}
}

func (l *load) publish(ctx context.Context, ch *amqp.Channel) error {
	if err := ch.Confirm(false); err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	for ctx.Err() == nil {
		body := strconv.FormatInt(l.serial.Add(1), 10)
		d, err := ch.PublishWithDeferredConfirmWithContext(l.t.Context(), "", l.queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte(body),
		})
		if err != nil {
			return err
		}
		select {
		case <-d.Done():
			if !d.Acked() && !ch.IsClosed() {
				return errors.New("a nack")
			}
		case e := <-closed:
			if e == nil {
				return amqp.ErrClosed
			}
			return e
		case <-time.After(deadline):
			return errors.New("no confirm in time")
		}
		if d.Acked() {
			l.mu.Lock()
			l.confirmed[body] = true
			l.mu.Unlock()
		}
	}
	return nil
}

func (l *load) consume(ctx context.Context, ch *amqp.Channel) error {
	if err := ch.Qos(50, 0, false); err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	ds, err := ch.Consume(l.queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case d, ok := <-ds:
			if !ok {
				if e := <-closed; e != nil {
					return e
				}
				return amqp.ErrClosed
			}
			l.mu.Lock()
			l.received[string(d.Body)] = true
			l.mu.Unlock()
			if err := d.Ack(false); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// counts returns how many messages were confirmed, and how many of them did not come.
func (l *load) counts() (confirmed, missing int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for m := range l.confirmed {
		if !l.received[m] {
			missing++
		}
	}
	return len(l.confirmed), missing
}

func refuses(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

func maintenance(t *testing.T, ask *brokertest.Node, method, name string) {
	t.Helper()
	until(t, method+" maintenance", func() bool {
		status, _ := manage(t, ask, method, "/api/cluster/nodes/"+name+"/maintenance")
		return status == http.StatusNoContent
	})
}

func TestRollingRestartUnderLoad(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	declare(t, dial(t, c.Nodes[0].URL()), "q", amqp.Table{"x-queue-type": "quorum"})
	l := newLoad(t, "q", c.URLs())
	for i, n := range c.Nodes {
		other := c.Nodes[(i+1)%3]
		before, _ := l.counts()
		until(t, "messages flow", func() bool { now, _ := l.counts(); return now > before+50 })
		client, err := amqp.Dial(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		told := client.NotifyClose(make(chan *amqp.Error, 1))
		maintenance(t, other, http.MethodPut, n.Name())
		until(t, "the node says why it is not ready", func() bool { // the topology may be changing its leader, too
			status, body := manage(t, n, http.MethodGet, "/readyz")
			if status != http.StatusServiceUnavailable {
				t.Errorf("ready: %d %s", status, body)
			}
			return strings.Contains(body, "maintenance")
		})
		select {
		case e := <-told:
			if e == nil || e.Code != amqp.ConnectionForced || !strings.Contains(e.Reason, "Node was put into maintenance mode") {
				t.Errorf("the client was told %v", e)
			}
		case <-time.After(deadline):
			t.Fatal("the node keeps its clients")
		}
		if !refuses(n.AMQPAddr()) {
			t.Error("a node in maintenance takes clients")
		}
		until(t, "the leaderships are elsewhere", func() bool { return !leads(t, other, "q", n.Name()) })
		n.Stop()
		n.Start()
		until(t, "the node is back", func() bool { return len(voters(t, other, "q")) == 3 })
		// Until it knows what the others know, it does not serve, but its address is taken.
		until(t, "it is still in maintenance", func() bool { return refuses(n.AMQPAddr()) && !leads(t, other, "q", n.Name()) })
		maintenance(t, other, http.MethodDelete, n.Name())
		n.AwaitReady()
		until(t, "the node takes clients", func() bool { return !refuses(n.AMQPAddr()) })
	}
	l.endPublishing()
	l.publishers.Wait()
	until(t, "all messages", func() bool { _, missing := l.counts(); return missing == 0 })
	l.endConsuming()
	l.consumers.Wait()
	confirmed, _ := l.counts()
	t.Logf("%d messages, %d reconnects", confirmed, l.reconnect.Load())
}

// leads reports whether a node leads a queue, or nobody is known to.
func leads(t *testing.T, ask *brokertest.Node, queue, name string) bool {
	t.Helper()
	_, body := manage(t, ask, http.MethodGet, "/api/queues/quorum/%2F/"+queue+"/status")
	var q struct{ Leader string }
	if err := json.Unmarshal([]byte(body), &q); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return q.Leader == name || q.Leader == ""
}

// leaders returns who leads each queue, or is its home.
func leaders(t *testing.T, ask *brokertest.Node) map[string]string {
	t.Helper()
	_, body := manage(t, ask, http.MethodGet, "/api/queues")
	var list []struct{ Name, Node string }
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	all := map[string]string{}
	for _, q := range list {
		all[q.Name] = q.Node
	}
	return all
}

func TestNewQueuesAvoidNodesInMaintenance(t *testing.T) {
	const queues = 40 // more than there are placement groups
	c := brokertest.StartCluster(t, 3)
	drained := c.Nodes[2]
	create := func(ch *amqp.Channel, prefix string) {
		for i := range queues {
			declare(t, ch, prefix+strconv.Itoa(i), amqp.Table{"x-queue-type": "quorum"})
		}
	}
	create(dial(t, drained.URL()), "before-")
	maintenance(t, c.Nodes[0], http.MethodPut, drained.Name())
	until(t, "it leads nothing", func() bool {
		for _, n := range leaders(t, c.Nodes[0]) {
			if n == drained.Name() || n == "" {
				return false
			}
		}
		return true
	})
	create(dial(t, c.Nodes[0].URL()), "after-")
	for name, n := range leaders(t, c.Nodes[0]) {
		if n == drained.Name() {
			t.Errorf("%s leads %s", n, name)
		}
	}
	// Its management API goes on: what is declared there is at home elsewhere.
	a := apiOf(t, drained)
	a.want(http.StatusCreated, http.MethodPut, "/api/queues/%2F/plain", `{"durable":true}`)
	a.want(http.StatusCreated, http.MethodPut, "/api/queues/%2F/replicated", `{"durable":true,"arguments":{"x-queue-type":"quorum"}}`)
	for _, name := range []string{"plain", "replicated"} {
		at := ""
		until(t, name+" is seen elsewhere", func() bool { at = leaders(t, c.Nodes[0])[name]; return at != "" })
		if at == drained.Name() {
			t.Errorf("%s is at %s", name, at)
		}
	}
	ch := dial(t, c.Nodes[1].URL())
	publish(t, ch, "plain", 0, 10)
	expect(t, ch, "plain", 0, 10)
}
