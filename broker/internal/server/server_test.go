package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout is when a test that waits for something gives up.
const testTimeout = 20 * time.Second

// start runs a server on a port of its own; the test's end shuts it down.
func start(t testing.TB, b *fakeBroker, change func(*Config)) (*Server, string) {
	t.Helper()
	cfg := Defaults()
	if change != nil {
		change(&cfg)
	}
	srv, err := New(cfg, From(b))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return srv, l.Addr().String()
}

// dial connects the client that everybody uses.
func dial(t testing.TB, addr string) *amqp091.Connection {
	t.Helper()
	c, err := amqp091.DialConfig("amqp://guest:guest@"+addr+"/", amqp091.Config{Heartbeat: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(t testing.TB, c *amqp091.Connection) *amqp091.Channel {
	t.Helper()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func declare(t testing.TB, ch *amqp091.Channel, name string) {
	t.Helper()
	if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
}

func publish(t testing.TB, ch *amqp091.Channel, exchange, key, body string) {
	t.Helper()
	err := ch.PublishWithContext(context.Background(), exchange, key, false, false, amqp091.Publishing{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
}

// next returns what comes from a channel, or fails.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatal("channel is closed")
		}
		return v
	case <-time.After(testTimeout):
		t.Fatal("nothing came")
	}
	panic("not reached")
}

func TestPublishAndConsume(t *testing.T) {
	b := newFake()
	_, addr := start(t, b, nil)
	conn := dial(t, addr)
	ch := open(t, conn)
	declare(t, ch, "q")
	headers := amqp091.Table{"n": int64(1), "nested": amqp091.Table{"ok": true}}
	// Sizes around the copy limit, the frame size and beyond one chunk.
	sizes := []int{0, 1, bodyCopyBytesMax, bodyCopyBytesMax + 1, 131064, 131065, 1 << 20, 16 << 20}
	in, err := ch.Consume("q", "me", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range sizes {
		body := strings.Repeat(fmt.Sprint(i), n)
		err := ch.PublishWithContext(context.Background(), "", "q", false, false, amqp091.Publishing{
			ContentType: "text/plain", Headers: headers, DeliveryMode: 2, MessageId: "m", Body: []byte(body),
		})
		if err != nil {
			t.Fatal(err)
		}
		d := next(t, in)
		if string(d.Body) != body || d.DeliveryTag != uint64(i+1) || d.RoutingKey != "q" || d.ConsumerTag != "me" ||
			d.ContentType != "text/plain" || d.MessageId != "m" || d.Headers["n"] != int64(1) || d.Redelivered {
			t.Fatalf("size %d: got %d bytes, %+v", n, len(d.Body), d.Headers)
		}
		if err := d.Ack(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.credits["me"] != len(sizes) {
		t.Errorf("credit for %d deliveries", b.credits["me"])
	}
}

func TestTopology(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	ch := open(t, dial(t, addr))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ch.ExchangeDeclare("x", "topic", true, false, false, false, nil))
	must(ch.ExchangeDeclarePassive("x", "topic", true, false, false, false, nil))
	must(ch.ExchangeDeclare("y", "fanout", true, false, false, true, nil))
	must(ch.ExchangeBind("y", "a.#", "x", false, nil))
	must(ch.ExchangeUnbind("y", "a.#", "x", false, nil))
	q, err := ch.QueueDeclare("", false, true, true, false, amqp091.Table{"x-max-length": 10})
	must(err)
	if !strings.HasPrefix(q.Name, "amq.gen-") {
		t.Error(q.Name)
	}
	must(ch.QueueBind("", "a.*", "x", false, nil)) // the queue declared last
	publish(t, ch, "x", "a.b", "one")
	publish(t, ch, "x", "b", "lost")
	publish(t, ch, "x", "a.c", "two")
	q2, err := ch.QueueDeclarePassive(q.Name, false, true, true, false, nil)
	must(err)
	if q2.Name != q.Name || q2.Messages != 2 || q2.Consumers != 0 {
		t.Errorf("%+v", q2)
	}
	n, err := ch.QueuePurge(q.Name, false)
	must(err)
	if n != 2 {
		t.Error("purged", n)
	}
	must(ch.QueueUnbind(q.Name, "a.*", "x", nil))
	publish(t, ch, "x", "a.b", "lost")
	n, err = ch.QueueDelete(q.Name, false, false, false)
	must(err)
	if n != 0 {
		t.Error("deleted with", n)
	}
	must(ch.ExchangeDelete("x", false, false))
	must(ch.Qos(10, 0, true))
	must(ch.Flow(true))
}

func TestConfirms(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	ch := open(t, dial(t, addr))
	declare(t, ch, "q")
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	returns := ch.NotifyReturn(make(chan amqp091.Return, 10))
	var waits []*amqp091.DeferredConfirmation
	for i := range 500 {
		key, body := "q", "ok"
		switch i % 10 {
		case 3:
			body = "nack"
		case 7:
			key = "nowhere"
		}
		d, err := ch.PublishWithDeferredConfirm("", key, i == 7, false, amqp091.Publishing{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	for i, d := range waits {
		ok, err := d.WaitContext(ctx)
		if err != nil {
			t.Fatalf("publish %d: %v", i, err)
		}
		if ok != (i%10 != 3) {
			t.Errorf("publish %d: %t", i, ok)
		}
	}
	r := next(t, returns)
	if r.ReplyCode != 312 || r.ReplyText != "NO_ROUTE" || r.RoutingKey != "nowhere" || string(r.Body) != "ok" {
		t.Errorf("%+v", r)
	}
}

func TestGetAndSettle(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	ch := open(t, dial(t, addr))
	declare(t, ch, "q")
	if _, ok, err := ch.Get("q", false); ok || err != nil {
		t.Fatal(ok, err)
	}
	for i := range 6 {
		publish(t, ch, "", "q", fmt.Sprint(i))
	}
	get := func(want string, redelivered bool) amqp091.Delivery {
		t.Helper()
		d, ok, err := ch.Get("q", false)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if string(d.Body) != want || d.Redelivered != redelivered {
			t.Fatalf("got %q (redelivered %t), want %q", d.Body, d.Redelivered, want)
		}
		return d
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d0, d1, d2 := get("0", false), get("1", false), get("2", false)
	if d2.DeliveryTag != 3 || d2.MessageCount != 3 {
		t.Errorf("tag %d, count %d", d2.DeliveryTag, d2.MessageCount)
	}
	check(d1.Nack(false, true))
	d1 = get("1", true)
	if d1.Headers["x-delivery-count"] != int64(1) {
		t.Errorf("headers %v", d1.Headers)
	}
	check(d0.Ack(false))
	check(d2.Reject(false))
	get("3", false)
	check(ch.Recover(true)) //nolint:staticcheck // old clients call it
	get("1", true)
	get("3", true)
	d4 := get("4", false)
	check(d4.Ack(true)) // and the two before
	check(ch.Ack(0, true))
	if d, ok, err := ch.Get("q", true); err != nil || !ok || string(d.Body) != "5" {
		t.Fatal(d, ok, err)
	}
	if _, ok, err := ch.Get("q", false); ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestCancelAndRequeue(t *testing.T) {
	b := newFake()
	_, addr := start(t, b, nil)
	conn := dial(t, addr)
	ch := open(t, conn)
	declare(t, ch, "q")
	if err := ch.Qos(2, 0, false); err != nil {
		t.Fatal(err)
	}
	in, err := ch.Consume("q", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		publish(t, ch, "", "q", fmt.Sprint(i))
	}
	first, second := next(t, in), next(t, in)
	if !strings.HasPrefix(first.ConsumerTag, "amq.ctag-") && first.ConsumerTag == "" {
		t.Error("tag", first.ConsumerTag)
	}
	if err := ch.Cancel(first.ConsumerTag, false); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-in; ok {
		t.Error("a delivery after cancel")
	}
	if err := second.Ack(false); err != nil { // what is held stays settleable
		t.Fatal(err)
	}
	if err := ch.Close(); err != nil { // gives back the first
		t.Fatal(err)
	}
	ch = open(t, conn)
	d, ok, err := ch.Get("q", true)
	if err != nil || !ok || string(d.Body) != "0" || !d.Redelivered || d.MessageCount != 3 {
		t.Error(d, ok, err)
	}

	// The queue goes, and so does its consumer.
	cancels := ch.NotifyCancel(make(chan string, 1))
	if _, err := ch.Consume("q", "gone", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDelete("q", false, false, false); err != nil {
		t.Fatal(err)
	}
	if tag := next(t, cancels); tag != "gone" {
		t.Error("cancelled", tag)
	}
}

func TestErrorsOfTheNode(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	conn := dial(t, addr)
	tests := []struct {
		name string
		do   func(ch *amqp091.Channel) error
		code int
		want string
	}{
		{"no queue", func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclarePassive("q", false, false, false, false, nil)
			return err
		}, 404, "NOT_FOUND - no queue 'q' in vhost '/'"},
		{"no last queue", func(ch *amqp091.Channel) error { return ch.QueueBind("", "k", "amq.direct", false, nil) },
			404, "NOT_FOUND - no previously declared queue"},
		{"no exchange", func(ch *amqp091.Channel) error {
			errs := ch.NotifyClose(make(chan *amqp091.Error, 1))
			_ = ch.Publish("none", "k", false, false, amqp091.Publishing{})
			return <-errs
		}, 404, "NOT_FOUND - no exchange 'none' in vhost '/'"},
		{"unknown tag", func(ch *amqp091.Channel) error {
			errs := ch.NotifyClose(make(chan *amqp091.Error, 1))
			_ = ch.Ack(7, false)
			return <-errs
		}, 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do(open(t, conn))
			var e *amqp091.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Reason != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	_, err := amqp091.Dial("amqp://guest:guest@" + addr + "/elsewhere")
	if e, ok := errors.AsType[*amqp091.Error](err); !ok || e.Code != 530 && e.Code != 403 {
		t.Errorf("got %v", err)
	}
	c, err := amqp091.DialConfig("amqp://"+addr+"/", amqp091.Config{
		SASL: []amqp091.Authentication{&amqp091.AMQPlainAuth{Username: "guest", Password: "guest"}},
	})
	if err != nil {
		t.Fatalf("AMQPLAIN: %v", err)
	}
	if p := c.Properties; p["product"] != "RabbitMQ" || p["version"] != "4.3.0+warren.0.0.0" ||
		!strings.HasPrefix(p["platform"].(string), "Warren 0.0.0, Go ") {
		t.Errorf("server properties %v", p)
	}
	if err := c.UpdateSecret("guest", "why not"); err != nil {
		t.Error(err)
	}
	_ = c.Close()
}

func TestShutdown(t *testing.T) {
	b := newFake()
	srv, addr := start(t, b, nil)
	conn := dial(t, addr)
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	e := next(t, closed)
	if want := "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"; e.Code != 320 || e.Reason != want {
		t.Errorf("got %d %s", e.Code, e.Reason)
	}
	if b.closes != 1 {
		t.Errorf("%d links closed", b.closes)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
}
