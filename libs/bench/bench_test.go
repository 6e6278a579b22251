package bench

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

const (
	senders   = 64  // that wait for their confirm
	pipelined = 256 // messages of one batch
	prefetch  = 256
	bodyBytes = 256
	patience  = 10 * time.Second // for the next message
)

var body = make([]byte, bodyBytes)

// client sends and receives on one destination. send returns when all are confirmed.
type client struct {
	name    string
	send    func(b *testing.B, n int) // n messages, one after another, in one call
	receive func(b *testing.B, n int) // n messages, each acknowledged
}

// tracings are the ways to trace.
var tracings = []struct {
	name    string
	sampler sdktrace.Sampler // nil: no tracing
	write   []oteltrace.Generation
}{
	{"off", nil, nil}, {"unsampled", sdktrace.NeverSample(), nil}, {"sampled", sdktrace.AlwaysSample(), nil},
	{"unsampled-w3c", sdktrace.NeverSample(), []oteltrace.Generation{oteltrace.W3C}},
	{"sampled-w3c", sdktrace.AlwaysSample(), []oteltrace.Generation{oteltrace.W3C}},
}

// each runs f with every client on a broker of its own.
func each(b *testing.B, f func(b *testing.B, c client)) {
	run(b, func(b *testing.B, url string) client { return bare(b, url, "bare", nil) }, f)
	run(b, func(b *testing.B, url string) client { return bare(b, url, "bare-trace-headers", traceHeaders) }, f)
	run(b, mill, f)
	for _, t := range tracings {
		run(b, func(b *testing.B, url string) client {
			return warren(b, url, "warren-tracing-"+t.name, t.sampler, t.write)
		}, f)
	}
}

func run(b *testing.B, open func(*testing.B, string) client, f func(*testing.B, client)) {
	url := brokertest.Start(b).URL()
	c := open(b, url)
	b.Run(c.name, func(b *testing.B) {
		b.ReportAllocs()
		before := cpu(b)
		f(b, c)
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	})
}

// cpu is the processor time that this process has used, in nanoseconds: on a machine that others use, too, it says more than the
// clock. In BenchmarkReceive it has the sending in it, receive-cpu-ns/op has not.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkSend has many senders that wait for their confirms, as the requests of a service do.
func BenchmarkSend(b *testing.B) {
	each(b, func(b *testing.B, c client) {
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for range share(b.N, i) {
					c.send(b, 1)
				}
			})
		}
		wg.Wait()
	})
}

func share(n, i int) int {
	if i < n%senders {
		return n/senders + 1
	}
	return n / senders
}

// BenchmarkSendBatch has one sender that sends many at once, as an outbox relay does.
func BenchmarkSendBatch(b *testing.B) {
	each(b, func(b *testing.B, c client) {
		for left := b.N; left > 0; left -= pipelined {
			c.send(b, min(left, pipelined))
		}
	})
}

// BenchmarkReceive empties a queue.
func BenchmarkReceive(b *testing.B) {
	each(b, func(b *testing.B, c client) {
		for left := b.N; left > 0; left -= pipelined {
			c.send(b, min(left, pipelined))
		}
		b.ResetTimer()
		before := cpu(b)
		c.receive(b, b.N)
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "receive-cpu-ns/op")
	})
}

// traceHeaders are what a message carries that is traced, without anybody making or reading them.
var traceHeaders = amqp.Table{
	"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
	"x-trace-span": "00f067aa0ba902b7",
}

func bare(b *testing.B, url, name string, headers amqp.Table) client {
	conn, err := amqp.Dial(url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	open := func() *amqp.Channel {
		ch, err := conn.Channel()
		if err != nil {
			b.Fatal(err)
		}
		return ch
	}
	out := open()
	if err := out.Confirm(false); err != nil {
		b.Fatal(err)
	}
	if err := out.ExchangeDeclare("d", "topic", true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	if _, err := out.QueueDeclare("d.g", true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	if err := out.QueueBind("d.g", "#", "d", false, nil); err != nil {
		b.Fatal(err)
	}
	return client{name: name, send: func(b *testing.B, n int) {
		confirms := make([]*amqp.DeferredConfirmation, n)
		for i := range confirms {
			var err error
			confirms[i], err = out.PublishWithDeferredConfirm("d", "k", true, false, amqp.Publishing{
				Headers: headers, DeliveryMode: amqp.Persistent, MessageId: stream.NewID(), ContentType: stream.ContentTypeBytes, Body: body,
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
		for _, c := range confirms {
			if !c.Wait() {
				b.Error("nacked")
			}
		}
	}, receive: func(b *testing.B, n int) {
		in := open()
		defer in.Close()
		if err := in.Qos(prefetch, 0, false); err != nil {
			b.Fatal(err)
		}
		got, err := in.Consume("d.g", "", false, false, false, false, nil)
		if err != nil {
			b.Fatal(err)
		}
		for range n {
			d := <-got
			if err := d.Ack(false); err != nil {
				b.Fatal(err)
			}
		}
	}}
}

func warren(b *testing.B, url, name string, sampler sdktrace.Sampler, write []oteltrace.Generation) client {
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{url}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	opts := []stream.Option{stream.WithLogger(slog.New(slog.DiscardHandler))}
	if sampler != nil {
		tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(dropped{}))
		opts = append(opts, stream.WithInstrumentation(oteltrace.New(oteltrace.Config{TracerProvider: tp, Write: write})))
	}
	app := stream.New(binder, opts...)
	var left sync.WaitGroup
	in := stream.Binding{Name: "in", Destination: "d", Group: "g", ContentType: stream.ContentTypeBytes}
	in.Consumer.AutoStartup, in.Consumer.Prefetch = stream.Off, prefetch
	stream.Consume(app, in, func(context.Context, stream.Message[[]byte]) error {
		left.Done()
		return nil
	})
	out := stream.Binding{Name: "out", Destination: "d", ContentType: stream.ContentTypeBytes}
	out.Producer.RequiredGroups = []string{"g"}
	sender := stream.NewSender[[]byte](app, out)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = app.Stop(ctx) })
	if err := app.WaitReady(ctx); err != nil {
		b.Fatal(err)
	}
	return client{name: name, send: func(b *testing.B, n int) {
		ms := make([]stream.Message[[]byte], n)
		for i := range ms {
			ms[i].Payload, ms[i].RoutingKey = body, "k"
		}
		for _, err := range sender.SendBatch(ctx, ms) {
			if err != nil {
				b.Error(err)
			}
		}
	}, receive: func(b *testing.B, n int) {
		left.Add(n)
		if err := app.Control(ctx, "in", stream.CommandStart); err != nil {
			b.Fatal(err)
		}
		left.Wait()
		b.StopTimer()
		if err := app.Control(ctx, "in", stream.CommandStop); err != nil {
			b.Fatal(err)
		}
	}}
}

// dropped is where sampled spans go: what an exporter costs is not the question.
type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropped) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropped) Shutdown(context.Context) error                  { return nil }
func (dropped) ForceFlush(context.Context) error                { return nil }

func mill(b *testing.B, url string) client {
	config := wamqp.NewDurablePubSubConfig(url, wamqp.GenerateQueueNameTopicNameWithSuffix("g"))
	config.Publish.ConfirmDelivery, config.Publish.ChannelPoolSize = true, senders
	config.Publish.Mandatory = false
	config.Consume.Qos.PrefetchCount = prefetch
	log := watermill.NopLogger{}
	pub, err := wamqp.NewPublisher(config, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = pub.Close() })
	subscriber := func() *wamqp.Subscriber {
		sub, err := wamqp.NewSubscriber(config, log)
		if err != nil {
			b.Fatal(err)
		}
		return sub
	}
	first := subscriber()
	if err := errors.Join(first.SubscribeInitialize("d"), first.Close()); err != nil {
		b.Fatal(err)
	}
	return client{name: "watermill", send: func(b *testing.B, n int) {
		ms := make([]*message.Message, n)
		for i := range ms {
			ms[i] = message.NewMessage(stream.NewID(), body)
		}
		if err := pub.Publish("d", ms...); err != nil {
			b.Error(err)
		}
	}, receive: func(b *testing.B, n int) {
		sub := subscriber()
		got, err := sub.Subscribe(context.Background(), "d")
		if err != nil {
			b.Fatal(err)
		}
		for i := range n {
			select {
			case m := <-got:
				m.Ack()
			case <-time.After(patience):
				b.Fatalf("%d of %d messages came", i, n)
			}
		}
		b.StopTimer()
		if err := sub.Close(); err != nil {
			b.Fatal(err)
		}
	}}
}
