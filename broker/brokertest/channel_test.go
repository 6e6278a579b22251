package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

// send publishes one message without waiting for anything.
func send(t *testing.T, ch *amqp.Channel, exchange, key string, p amqp.Publishing) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := ch.PublishWithContext(ctx, exchange, key, false, false, p); err != nil {
		t.Fatal(err)
	}
}

// ready returns how many messages are ready in a queue.
func ready(t *testing.T, ch *amqp.Channel, queue string) int {
	t.Helper()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return q.Messages
}

func take(t *testing.T, ch *amqp.Channel, queue string) amqp.Delivery {
	t.Helper()
	d, ok, err := ch.Get(queue, false)
	if err != nil || !ok {
		t.Fatalf("get from %s: %v, %v", queue, ok, err)
	}
	return d
}

func receive(t *testing.T, ds <-chan amqp.Delivery) amqp.Delivery {
	t.Helper()
	select {
	case d, ok := <-ds:
		if !ok {
			t.Fatal("deliveries ended")
		}
		return d
	case <-time.After(deadline):
		t.Fatal("no delivery")
	}
	return amqp.Delivery{}
}

// refused says that err is the channel's or connection's end with that code and text.
func refused(t *testing.T, err error, code int, text string) {
	t.Helper()
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || e.Code != code || e.Reason != text {
		t.Fatalf("got %v, want %d %s", err, code, text)
	}
}

func TestTransactions(t *testing.T) {
	url := brokertest.Start(t).URL()
	watch := dial(t, url)
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			q := "tx-" + kind
			declare(t, watch, q, amqp.Table{"x-queue-type": kind})
			ch := dial(t, url)
			if err := ch.Tx(); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				send(t, ch, "", q, amqp.Publishing{Body: fmt.Appendf(nil, "m%d", i)})
			}
			if _, err := ch.QueueInspect(q); err != nil { // the publishes were taken in
				t.Fatal(err)
			}
			if n := ready(t, watch, q); n != 0 {
				t.Errorf("%d messages before the commit", n)
			}
			if err := ch.TxCommit(); err != nil {
				t.Fatal(err)
			}
			if n := ready(t, watch, q); n != 3 {
				t.Errorf("%d messages after the commit, want 3", n)
			}
			send(t, ch, "", q, amqp.Publishing{Body: []byte("never")})
			first, second := take(t, ch, q), take(t, ch, q)
			if err := errors.Join(second.Ack(false), first.Ack(false), ch.TxRollback()); err != nil {
				t.Fatal(err)
			}
			// What was rolled back is unacked again, and can be settled again.
			if err := errors.Join(first.Ack(false), second.Nack(false, true), ch.TxCommit()); err != nil {
				t.Fatal(err)
			}
			if d := take(t, ch, q); string(d.Body) != "m1" || !d.Redelivered {
				t.Errorf("got %q, redelivered %v", d.Body, d.Redelivered)
			}
			if d := take(t, ch, q); string(d.Body) != "m2" || d.Redelivered {
				t.Errorf("got %q, redelivered %v", d.Body, d.Redelivered)
			}
		})
	}
}

func TestTransactionsRefused(t *testing.T) {
	url := brokertest.Start(t).URL()
	refused(t, dial(t, url).TxCommit(), 406, "PRECONDITION_FAILED - channel is not transactional")
	refused(t, dial(t, url).TxRollback(), 406, "PRECONDITION_FAILED - channel is not transactional")
	ch := dial(t, url)
	if err := ch.Tx(); err != nil {
		t.Fatal(err)
	}
	refused(t, ch.Confirm(false), 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")
	ch = dial(t, url)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	refused(t, ch.Tx(), 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode")
}

// A message that goes nowhere comes back at the commit, before its answer.
func TestTransactionReturns(t *testing.T) {
	ch := dial(t, brokertest.Start(t).URL())
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	if err := ch.Tx(); err != nil {
		t.Fatal(err)
	}
	err := ch.PublishWithContext(context.Background(), "", "nowhere", true, false, amqp.Publishing{Body: []byte("b")})
	if err = errors.Join(err, ch.TxCommit()); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-returns:
		if r.ReplyCode != 312 || r.ReplyText != "NO_ROUTE" || string(r.Body) != "b" {
			t.Errorf("%+v", r)
		}
	default:
		t.Error("not returned")
	}
}

// The consumers of a channel share the count of qos with global.
func TestSharedPrefetch(t *testing.T) {
	url := brokertest.Start(t).URL()
	ch, watch := dial(t, url), dial(t, url)
	const each, limit = 10, 3
	if err := ch.Qos(limit, 0, true); err != nil {
		t.Fatal(err)
	}
	ds := make(chan amqp.Delivery, 2*each)
	for _, q := range []string{"left", "right"} {
		declare(t, watch, q, nil)
		publish(t, watch, q, 0, each)
		from, err := ch.Consume(q, q, false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for d := range from {
				ds <- d
			}
		}()
	}
	for done := 0; done < 2*each; {
		got := []amqp.Delivery{receive(t, ds)}
		for len(got) < min(limit, 2*each-done) {
			got = append(got, receive(t, ds))
		}
		if _, err := ch.QueueInspect("left"); err != nil { // what was on its way has come
			t.Fatal(err)
		}
		if len(ds) > 0 {
			t.Fatalf("more than %d deliveries await their acks", limit)
		}
		for _, d := range got {
			if err := d.Ack(false); err != nil {
				t.Fatal(err)
			}
		}
		done += len(got)
	}
	if n := ready(t, watch, "left") + ready(t, watch, "right"); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	// What waits for its turn goes back when the consumer goes.
	publish(t, watch, "left", 0, each)
	for range limit {
		receive(t, ds)
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
	if n := ready(t, watch, "left"); n != each {
		t.Errorf("%d messages after the channel's end, want %d", n, each)
	}
}

func TestSharedPrefetchRefused(t *testing.T) {
	url := brokertest.Start(t).URL()
	ch := dial(t, url)
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	if err := ch.Qos(1, 0, true); err != nil {
		t.Fatal(err)
	}
	_, err := ch.Consume("q", "", false, false, false, false, nil)
	refused(t, err, 540, "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos")
}
