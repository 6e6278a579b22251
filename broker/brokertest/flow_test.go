package brokertest_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// While any node of the cluster runs out of something, nobody publishes to any node;
// deliveries and their acknowledgements go on.
func TestAlarmsBlockPublishers(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	conn, err := amqp.Dial(c.Nodes[0].URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 4))
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	publish(t, ch, "q", 0, 3)

	next := func(active bool, reason string) {
		t.Helper()
		select {
		case b := <-blocked:
			if b.Active != active || b.Reason != reason {
				t.Fatalf("got %+v, want active %v, %q", b, active, reason)
			}
		case <-time.After(deadline):
			t.Fatal("no word of the alarm")
		}
	}
	// Until the alarm has come round, publishes are confirmed; then the first is not.
	block := func(memory, disk uint64, reason string) *amqp.DeferredConfirmation {
		t.Helper()
		c.Nodes[2].SetLimits(memory, disk)
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		for {
			d, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "q", false, false, amqp.Publishing{Body: []byte("later")})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-d.Done():
			case b := <-blocked:
				if !b.Active || b.Reason != reason {
					t.Fatalf("got %+v, want %q", b, reason)
				}
				return d
			}
		}
	}
	const huge = 1 << 60
	waits := block(0, huge, "low on disk")

	// On the same channel, consuming goes on.
	other := dial(t, c.Nodes[1].URL())
	ds, err := other.Consume("q", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := receive(t, ds).Ack(false); err != nil {
			t.Fatal(err)
		}
	}
	if waits.Acked() {
		t.Fatal("confirmed in spite of the alarm")
	}
	c.Nodes[2].SetLimits(0, 0)
	next(false, "")
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if ok, err := waits.WaitContext(ctx); !ok || err != nil {
		t.Fatalf("confirmed %v, %v", ok, err)
	}
	waits = block(1, huge, "low on memory & disk")
	// The alarms of a node that is gone are gone.
	c.Nodes[2].Kill()
	next(false, "")
	if ok, err := waits.WaitContext(ctx); !ok || err != nil {
		t.Fatalf("confirmed %v, %v", ok, err)
	}
}

// A channel that publishes and consumes may acknowledge while it is blocked.
func TestAcksOfABlockedChannel(t *testing.T) {
	n := brokertest.Start(t)
	ch, watch := dial(t, n.URL()), dial(t, n.URL())
	declare(t, ch, "in", nil)
	declare(t, ch, "out", nil)
	publish(t, watch, "in", 0, 1)
	d := take(t, ch, "in")
	n.SetLimits(0, 1<<60)
	awaitAlarm(t, n)
	send(t, ch, "", "out", amqp.Publishing{})
	if err := d.Ack(false); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(deadline); ; {
		q, err := watch.QueueDelete("in", false, false, false)
		if err == nil && q == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	if n := ready(t, watch, "out"); n != 0 {
		t.Error("published in spite of the alarm")
	}
	n.SetLimits(0, 0)
	for until := time.Now().Add(deadline); ready(t, watch, "out") == 0; {
		if time.Now().After(until) {
			t.Fatal("never published")
		}
	}
}

// awaitAlarm waits until the node blocks a publisher.
func awaitAlarm(t *testing.T, n *brokertest.Node) {
	t.Helper()
	conn, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	blocked := conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(deadline); ; {
		send(t, ch, "", "nowhere", amqp.Publishing{})
		select {
		case <-blocked:
			return
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(until) {
			t.Fatal("no alarm")
		}
	}
}

func TestConsumerTimeout(t *testing.T) {
	url := brokertest.Start(t).URL()
	for _, by := range []string{"consumer", "queue"} {
		t.Run(by, func(t *testing.T) {
			ch, watch := dial(t, url), dial(t, url)
			name := t.Name()
			consumer, queue := amqp.Table{}, amqp.Table{"x-queue-type": "quorum"}
			map[string]amqp.Table{"consumer": consumer, "queue": queue}[by]["x-consumer-timeout"] = 150
			declare(t, ch, name, queue)
			publish(t, watch, name, 0, 2)
			if err := ch.Qos(2, 0, false); err != nil {
				t.Fatal(err)
			}
			cancelled := ch.NotifyCancel(make(chan string, 1))
			ds, err := ch.Consume(name, "stuck", false, false, false, false, consumer)
			if err != nil {
				t.Fatal(err)
			}
			first, second := receive(t, ds), receive(t, ds)
			if err := second.Ack(false); err != nil {
				t.Fatal(err)
			}
			select {
			case tag := <-cancelled:
				if tag != "stuck" {
					t.Errorf("cancelled %q", tag)
				}
			case <-time.After(deadline):
				t.Fatal("not cancelled")
			}
			d := take(t, watch, name)
			if !d.Redelivered || string(d.Body) != "m0" || d.Headers["x-delivery-count"] != nil || d.Headers["x-acquired-count"] != int64(1) {
				t.Errorf("%q, redelivered %v, %v", d.Body, d.Redelivered, d.Headers)
			}
			// The late word does no harm, a word too many does.
			if err := first.Ack(false); err != nil {
				t.Fatal(err)
			}
			if _, err := ch.QueueInspect(name); err != nil {
				t.Fatalf("after a late acknowledgement: %v", err)
			}
			ended := ch.NotifyClose(make(chan *amqp.Error, 1))
			if err := first.Ack(false); err != nil {
				t.Fatal(err)
			}
			refused(t, <-ended, 406, "PRECONDITION_FAILED - unknown delivery tag 1")
		})
	}
}

// A consumer that does not read holds no more than a window of bytes, however large the
// messages are and however many it would take.
func TestASlowReaderDrawsLittle(t *testing.T) {
	n := brokertest.Start(t)
	watch := dial(t, n.URL())
	declare(t, watch, "q", nil)
	const size, count = 1 << 20, 64
	for i := range count {
		offer(t, watch, "", "q", amqp.Publishing{Body: make([]byte, size), MessageId: fmt.Sprint(i)})
	}
	socket := &sleepy{awake: make(chan struct{})}
	conn, err := amqp.DialConfig(n.URL(), amqp.Config{Dial: socket.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	slow, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	ds, err := slow.Consume("q", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := receive(t, ds)
	socket.asleep.Store(true)
	if err := first.Ack(false); err != nil {
		t.Fatal(err)
	}
	// What can be on its way: a window, what waits to be written, and what the sockets hold.
	if left := ready(t, watch, "q"); left < count/4 {
		t.Errorf("only %d of %d messages are still in the queue", left, count)
	}
	close(socket.awake)
	for range count - 1 {
		if err := receive(t, ds).Ack(false); err != nil {
			t.Fatal(err)
		}
	}
}

// sleepy is a connection whose owner can stop reading.
type sleepy struct {
	net.Conn
	asleep atomic.Bool
	awake  chan struct{} // closed: it may read again
}

func (s *sleepy) dial(network, addr string) (c net.Conn, err error) {
	s.Conn, err = amqp.DefaultDial(deadline)(network, addr)
	return s, err
}

func (s *sleepy) Read(b []byte) (int, error) {
	if s.asleep.Load() {
		<-s.awake
	}
	return s.Conn.Read(b)
}
