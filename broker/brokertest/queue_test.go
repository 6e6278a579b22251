package brokertest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// offer publishes messages one after the other and says which were confirmed.
func offer(t *testing.T, ch *amqp.Channel, exchange, key string, ps ...amqp.Publishing) []bool {
	t.Helper()
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	oks := make([]bool, 0, len(ps))
	for _, p := range ps {
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, false, false, p)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := c.WaitContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		oks = append(oks, ok)
	}
	return oks
}

func bodies(list ...string) []amqp.Publishing {
	ps := make([]amqp.Publishing, 0, len(list))
	for _, b := range list {
		ps = append(ps, amqp.Publishing{Body: []byte(b)})
	}
	return ps
}

// bothTypes runs a test with a classic queue and with a replicated one.
func bothTypes(t *testing.T, url string, test func(t *testing.T, ch *amqp.Channel, name string, declare func(amqp.Table))) {
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			ch := dial(t, url)
			name := fmt.Sprintf("%s-%s", t.Name(), kind)
			test(t, ch, name, func(args amqp.Table) {
				args["x-queue-type"] = kind
				declare(t, ch, name, args)
			})
		})
	}
}

func TestOverflowRejectsPublishes(t *testing.T) {
	bothTypes(t, brokertest.Start(t).URL(), func(t *testing.T, ch *amqp.Channel, name string, declare func(amqp.Table)) {
		declare(amqp.Table{"x-max-length": 2, "x-overflow": "reject-publish"})
		got := offer(t, ch, "", name, bodies("a", "b", "c", "d")...)
		if want := []bool{true, true, false, false}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("confirmed %v, want %v", got, want)
		}
		if err := take(t, ch, name).Ack(false); err != nil {
			t.Fatal(err)
		}
		if got := offer(t, ch, "", name, bodies("e")...); !got[0] {
			t.Error("refused although there was room")
		}
		if n := ready(t, ch, name); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

// A message that one of two queues refuses is refused, and stays in the other.
func TestOverflowOfOneOfTwoQueues(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "full", amqp.Table{"x-max-length": 0, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	declare(t, ch, "open", amqp.Table{"x-queue-type": "quorum"})
	declare(t, ch, "dead", nil)
	for _, q := range []string{"full", "open"} {
		if err := ch.QueueBind(q, "", "amq.fanout", false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := offer(t, ch, "amq.fanout", "", bodies("a")...); got[0] {
		t.Error("confirmed")
	}
	if n := ready(t, ch, "open"); n != 1 {
		t.Errorf("%d messages in the open queue", n)
	}
	ds, err := ch.Consume("dead", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := receive(t, ds)
	if d.Headers["x-first-death-reason"] != "maxlen" || d.Headers["x-first-death-queue"] != "full" {
		t.Errorf("headers %v", d.Headers)
	}
}

func TestMessagePriorities(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "q", amqp.Table{"x-max-priority": 5})
	for i, p := range []uint8{0, 3, 9, 5, 1} {
		offer(t, ch, "", "q", amqp.Publishing{Priority: p, Body: fmt.Append(nil, i)})
	}
	got := ""
	for range 5 {
		got += string(take(t, ch, "q").Body)
	}
	if got != "23140" {
		t.Errorf("order %s, want 23140", got)
	}
}

func TestOneActiveConsumer(t *testing.T) {
	url := brokertest.Start(t).URL()
	bothTypes(t, url, func(t *testing.T, ch *amqp.Channel, name string, declare func(amqp.Table)) {
		declare(amqp.Table{"x-single-active-consumer": true})
		one, two := dial(t, url), dial(t, url)
		first, err := one.Consume(name, "one", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		second, err := two.Consume(name, "two", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		offer(t, ch, "", name, bodies("a", "b")...)
		a, b := receive(t, first), receive(t, first)
		if err := a.Ack(false); err != nil {
			t.Fatal(err)
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
		if d := receive(t, second); string(d.Body) != "b" || !d.Redelivered || string(b.Body) != "b" {
			t.Errorf("got %q after %q", d.Body, b.Body)
		}
	})
	_, err := dial(t, url).Consume("TestOneActiveConsumer/classic-classic", "", false, true, false, false, nil)
	refused(t, err, 403, "ACCESS_REFUSED - queue 'TestOneActiveConsumer/classic-classic' in vhost '/' in exclusive use")
	_, _, err = dial(t, url).Get("TestOneActiveConsumer/quorum-quorum", true)
	refused(t, err, 405, "RESOURCE_LOCKED - cannot obtain access to locked queue 'TestOneActiveConsumer/quorum-quorum' in vhost '/'. "+
		"basic.get operations are not supported by <<\"quorum\">> queues with single active consumer")
}

// A queue that nobody uses goes, and what is in it is not dead-lettered.
func TestQueueExpires(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "dead", nil)
	declare(t, ch, "q", amqp.Table{"x-expires": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	offer(t, ch, "", "q", bodies("a")...)
	// Publishing to it is no use of it.
	returned := ch.NotifyReturn(make(chan amqp.Return, 1))
	for until := time.Now().Add(deadline); len(returned) == 0; {
		c, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", "q", true, false, amqp.Publishing{})
		if err != nil {
			t.Fatal(err)
		}
		c.Wait()
		if time.Now().After(until) {
			t.Fatal("the queue is still there")
		}
	}
	if n := ready(t, ch, "dead"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A message expires wherever it is in the queue.
func TestExpiryBehindOthers(t *testing.T) {
	bothTypes(t, brokertest.Start(t).URL(), func(t *testing.T, ch *amqp.Channel, name string, _ func(amqp.Table)) {
		declare(t, ch, "dead", nil)
		declare(t, ch, name, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
		offer(t, ch, "", name, amqp.Publishing{Body: []byte("stays")}, amqp.Publishing{Body: []byte("goes"), Expiration: "30"})
		ds, err := ch.Consume("dead", "", true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := receive(t, ds); string(d.Body) != "goes" {
			t.Errorf("got %q", d.Body)
		}
		if n := ready(t, ch, name); n != 1 {
			t.Errorf("%d messages are left, want 1", n)
		}
	})
}

func TestDelayedMessages(t *testing.T) {
	c := brokertest.StartCluster(t, 3)
	ch := dial(t, c.Nodes[0].URL())
	args := amqp.Table{"x-delayed-type": "direct"}
	if err := ch.ExchangeDeclare("later", "x-delayed-message", true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	if err := ch.QueueBind("q", "k", "later", false, nil); err != nil {
		t.Fatal(err)
	}
	delayed := func(ms int32) amqp.Publishing {
		return amqp.Publishing{Headers: amqp.Table{"x-delay": ms}, Body: fmt.Append(nil, ms)}
	}
	start := time.Now()
	if got := offer(t, ch, "later", "k", delayed(1500), delayed(900), delayed(0)); !got[0] || !got[1] || !got[2] {
		t.Fatalf("confirmed %v", got)
	}
	if n := ready(t, ch, "amq.delayed.later"); n != 2 {
		t.Errorf("%d messages wait, want 2", n)
	}
	c.Nodes[1].Kill() // whoever leads: nothing is lost
	url := c.Nodes[0].URL()
	ds, err := dial(t, url).Consume("q", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int32{0, 900, 1500} {
		d := receive(t, ds)
		if string(d.Body) != fmt.Sprint(want) {
			t.Fatalf("got %s, want %d", d.Body, want)
		}
		if passed := time.Since(start); passed < time.Duration(want)*time.Millisecond {
			t.Errorf("%d ms came after %v", want, passed)
		}
		if got := d.Headers["x-delay"]; want > 0 && got != -want || d.Exchange != "later" || d.RoutingKey != "k" {
			t.Errorf("x-delay %v, exchange %q, key %q", got, d.Exchange, d.RoutingKey)
		}
	}
	_, err = dial(t, url).Consume("amq.delayed.later", "", true, false, false, false, nil)
	refused(t, err, 403, "ACCESS_REFUSED - queue 'amq.delayed.later' in vhost '/' keeps the delayed messages of exchange 'later': "+
		"it can be purged, and goes with its exchange")
	offer(t, ch, "later", "k", delayed(3600_000))
	if n, err := ch.QueuePurge("amq.delayed.later", false); err != nil || n != 1 {
		t.Errorf("purged %d, %v", n, err)
	}
	if err := ch.ExchangeDelete("later", false, false); err != nil {
		t.Fatal(err)
	}
	_, err = ch.QueueDeclarePassive("amq.delayed.later", true, false, false, false, nil)
	refused(t, err, 404, "NOT_FOUND - no queue 'amq.delayed.later' in vhost '/'")
	err = dial(t, url).ExchangeDeclare("x", "x-delayed-message", true, false, false, false, nil)
	refused(t, err, 406, "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type")
}

// With at-least-once, a dead letter stays until there is a place for it.
func TestDeadLettersAtLeastOnce(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "q", amqp.Table{
		"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-dead-letter-strategy": "at-least-once",
		"x-dead-letter-exchange": "missing", "x-max-length": 1,
	})
	offer(t, ch, "", "q", bodies("a")...)
	if err := take(t, ch, "q").Reject(false); err != nil {
		t.Fatal(err)
	}
	// It is not ready any more, but it counts.
	if n := ready(t, ch, "q"); n != 0 {
		t.Errorf("%d messages are ready", n)
	}
	if got := offer(t, ch, "", "q", bodies("b")...); got[0] {
		t.Error("the dead letter does not count in the length")
	}
	if err := ch.ExchangeDeclare("missing", "fanout", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "dead", nil)
	if err := ch.QueueBind("dead", "", "missing", false, nil); err != nil {
		t.Fatal(err)
	}
	ds, err := ch.Consume("dead", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := receive(t, ds); string(d.Body) != "a" {
		t.Errorf("got %q", d.Body)
	}
}

// A client's account of deaths is not believed; the broker's own goes on.
func TestDeathsAreTheBrokersOwn(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "q", amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	declare(t, ch, "dead", amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
	forged := amqp.Table{"x-death": []any{amqp.Table{"queue": "q", "reason": "rejected", "count": int64(7)}}, "x-first-death-queue": "no", "mine": "yes"}
	offer(t, ch, "", "q", amqp.Publishing{Headers: forged})
	from := "q"
	for i := range 4 {
		d := take(t, ch, from)
		if err := d.Reject(false); err != nil {
			t.Fatal(err)
		}
		from = map[string]string{"q": "dead", "dead": "q"}[from]
		for ready(t, ch, from) == 0 {
			if t.Context().Err() != nil {
				t.Fatal("it did not come")
			}
		}
		if i < 3 {
			continue
		}
		d = take(t, ch, from)
		deaths, _ := d.Headers["x-death"].([]any)
		if len(deaths) != 2 || d.Headers["x-first-death-queue"] != "q" || d.Headers["mine"] != "yes" {
			t.Fatalf("headers %v", d.Headers)
		}
		for _, x := range deaths {
			if n := x.(amqp.Table)["count"]; n != int64(2) {
				t.Errorf("count %v, want 2: %v", n, x)
			}
		}
	}
}

func TestHeadersExchange(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	declare(t, ch, "q", nil)
	if err := ch.QueueBind("q", "", "amq.headers", false, amqp.Table{"x-match": "any", "a": int32(1), "b": "x"}); err != nil {
		t.Fatal(err)
	}
	for i, h := range []amqp.Table{nil, {"a": int32(2)}, {"b": "x", "c": true}, {"a": int32(1)}} {
		offer(t, ch, "amq.headers", "", amqp.Publishing{Headers: h, Body: fmt.Append(nil, i)})
	}
	if n := ready(t, ch, "q"); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}
