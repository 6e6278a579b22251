package queue

import (
	"strings"
	"testing"
)

func TestExpiry(t *testing.T) {
	c := plain()
	c.TTL = 100
	b := newBench(t, c)
	b.publishTTL("short", 10)
	b.publishTTL("long", 1000) // the queue's is lower
	b.publish("none")
	b.now += 9
	b.expect("")
	b.counts(3, 0)
	b.now++
	b.q().Touch()
	b.expect("")
	b.counts(2, 0)
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:long")
	b.now += 200
	b.q().Touch()
	b.expect("") // what is held does not expire
	b.counts(0, 1)
	b.nack(2)
	b.expect("") // but once it is back
	b.counts(0, 0)
	if b.q().Len() != 0 || b.q().Wake(b.now) != 0 {
		t.Fatalf("%d messages are left, expiring %v", b.q().Len(), b.q().Wake(b.now) != 0)
	}
}

func TestExpiryGoesOnAfterADeadLetter(t *testing.T) {
	c := plain()
	c.DeadLetter = true
	b := newBench(t, c)
	b.publishTTL("a", 10)
	b.publishTTL("b", 20)
	b.now += 10
	b.q().Touch()
	b.expect("dead:a:expired")
	b.own(AppendSettle(nil, 1, []Range{{1, 1}})) // it was buried
	if b.q().Wake(b.now) == 0 {
		t.Fatal("b was forgotten")
	}
	b.now += 10
	b.q().Touch()
	b.expect("dead:b:expired")
}

func TestNoTimeToLiveMeansAtOnceOrNever(t *testing.T) {
	b := newBench(t, plain())
	b.publishTTL("late", 0)
	b.expect("")
	b.counts(0, 0)
	b.consume("X", Consumer{Prefetch: 1})
	b.publishTTL("now", 0)
	b.publishTTL("too many", 0)
	b.now += 5 // the log took its time
	b.expect("X:now")
	b.nack(2)
	b.expect("")
	if b.q().Len() != 0 {
		t.Fatalf("%d messages are left", b.q().Len())
	}
}

func TestMaxLengthDropsTheOldest(t *testing.T) {
	c := plain()
	c.MaxLength, c.DeadLetter = 2, true
	b := newBench(t, c)
	b.publish("a", "b", "c", "d")
	b.expect("dead:a:maxlen dead:b:maxlen")
	b.counts(2, 0)
	b.consume("X", Consumer{})
	b.publish("e", "f", "g")
	b.expect("X:c X:d X:e X:f X:g") // what a consumer takes is not too much
	b.counts(0, 5)
	b.q().Cancel(b.consumers["X"])
	b.nack(3, 4, 5, 6)
	b.expect("dead:c:maxlen dead:d:maxlen")
	b.counts(2, 1)
}

func TestMaxLengthInBytesCountsBodies(t *testing.T) {
	c := plain()
	c.MaxLengthBytes = 20
	b := newBench(t, c)
	b.publish(strings.Repeat("a", 10), strings.Repeat("b", 10))
	b.expect("")
	b.counts(2, 0)
	b.publish("c")
	b.expect("")
	b.counts(2, 0)
	c.MaxLengthBytes = 5 // a policy
	b.own(AppendSet(nil, 1, c))
	b.expect("")
	b.counts(1, 0)
}

func TestDeliveryLimit(t *testing.T) {
	c := plain()
	c.DeliveryLimit, c.DeadLetter, c.Quorum = 2, true, true
	b := newBench(t, c)
	b.consume("X", Consumer{})
	b.publish("a")
	b.expect("X:a")
	b.fail(1)
	b.expect("X:a!1")
	b.nack(1) // not counted
	b.expect("X:a!1")
	b.fail(1)
	b.expect("X:a!2")
	b.fail(1)
	b.expect("dead:a:delivery_limit")
	b.counts(0, 0)
}

func TestADeadLetterIsKeptUntilItIsSettled(t *testing.T) {
	c := plain()
	c.DeadLetter = true
	b := newBench(t, c)
	b.publish("a", "b")
	b.consume("X", Consumer{Prefetch: 1})
	b.expect("X:a")
	b.reject(1)
	b.expect("X:b dead:a:rejected")
	if b.q().Len() != 2 {
		t.Fatalf("%d messages, want both", b.q().Len())
	}
	b.reject(1) // once is enough
	b.nack(1)   // and it does not come back
	b.expect("")
	b.counts(0, 1)
	b.shard.Lead(true) // a new leader buries it too
	b.expect("dead:a:rejected")
	b.own(AppendSettle(nil, 1, []Range{{1, 1}}))
	b.shard.Lead(true)
	b.expect("")
	b.counts(1, 0)
}

func TestWithoutADeadLetterExchangeARejectedMessageIsGone(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a")
	b.consume("X", Consumer{})
	b.expect("X:a")
	b.reject(1)
	b.expect("")
	if b.q().Len() != 0 {
		t.Fatal("it is still there")
	}
}

func TestDeadLettersGoWithTheirExchange(t *testing.T) {
	c := plain()
	c.DeadLetter = true
	b := newBench(t, c)
	b.publish("a", "b")
	b.consume("X", Consumer{})
	b.expect("X:a X:b")
	b.reject(1)
	b.own(AppendSet(nil, 1, plain())) // the policy that named the exchange was cleared
	b.expect("")
	if b.q().Len() != 1 {
		t.Fatalf("%d messages are left", b.q().Len())
	}
	b.counts(0, 1)
}
