package server

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// BenchmarkPublishConfirm measures the front end alone: one raw connection publishes
// with confirms, the broker behind accepts at once.
func BenchmarkPublishConfirm(b *testing.B) {
	fake := newFake()
	fake.onPublish = func(l *fakeLink, ch uint16, n uint64, _ *message.Message) (bool, error) {
		l.s.Confirm([]node.Confirmation{{Channel: ch, Number: n}})
		return true, nil
	}
	_, addr := start(b, fake, nil)
	conn := dialRaw(b, addr)
	conn.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	conn.call(1, &amqp.ConfirmSelect{}, amqp.IDConfirmSelectOK)
	const batch = 100
	var out []byte
	body := make([]byte, 100)
	for range batch {
		out = amqp.AppendMethod(out, 1, &amqp.BasicPublish{Exchange: "amq.direct", RoutingKey: "orders"})
		out = amqp.AppendContent(out, 1, len(body), []byte{0x10, 0, 2})
		out = amqp.AppendBodyEnd(append(amqp.AppendBodyStart(out, 1, len(body)), body...))
	}
	acked := make(chan uint64, 1<<16)
	go func() {
		defer close(acked)
		for {
			m, err := conn.method()
			if err != nil {
				return
			}
			acked <- m.(*amqp.BasicAck).DeliveryTag
		}
	}()
	b.ReportAllocs()
	b.SetBytes(int64(len(out)) / batch)
	b.ResetTimer()
	var sent, done uint64
	for sent < uint64(b.N) {
		for sent-done > 2000 {
			done = max(done, <-acked)
		}
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		sent += batch
	}
	for done < sent {
		done = max(done, <-acked)
	}
	b.StopTimer()
	_ = conn.Close()
	for range acked {
	}
}

// BenchmarkDeliver measures how fast deliveries and their acks pass the front end.
func BenchmarkDeliver(b *testing.B) {
	fake := newFake()
	_, addr := start(b, fake, nil)
	c := dial(b, addr)
	ch := open(b, c)
	declare(b, ch, "q")
	in, err := ch.Consume("q", "c", true, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	fake.mu.Lock()
	l := fake.links[0]
	var h *node.Consumer
	for h = range l.consumers {
	}
	fake.mu.Unlock()
	m := &message.Message{RoutingKey: "q", Properties: []byte{0x10, 0, 2}, Body: make([]byte, 100)}
	ds := make([]node.Delivery, 50)
	for i := range ds {
		ds[i].Message = m
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(ds) {
		l.s.Deliver(h, ds)
		for range ds {
			<-in
		}
	}
}

// BenchmarkClientOnly is the least that a client of this kind costs, to compare with.
func BenchmarkClientOnly(b *testing.B) {
	_, addr := start(b, newFake(), nil)
	ch := open(b, dial(b, addr))
	b.ReportAllocs()
	for b.Loop() {
		if err := ch.Publish("", "nowhere", false, false, amqp091.Publishing{Body: make([]byte, 100)}); err != nil {
			b.Fatal(err)
		}
	}
}
