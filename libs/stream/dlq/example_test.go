package dlq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/dlq"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// withBroker runs a broker in this process while f runs.
func withBroker(f func(ctx context.Context, url string) error) error {
	dir, err := os.MkdirTemp("", "dlq")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	n, err := broker.New(broker.Config{
		Name: "broker-1", DataDir: dir, Listen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", PeerListen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()
	ctx, cancel := context.WithTimeout(run, patience)
	defer cancel()
	if err = n.AwaitReady(ctx); err == nil {
		err = f(ctx, "amqp://guest:guest@"+n.AMQPAddr()+"/")
	}
	stop()
	return errors.Join(err, <-ended)
}

func ExampleQueue() {
	err := withBroker(func(ctx context.Context, url string) error {
		silent := slog.New(slog.DiscardHandler)
		binder, err := rabbit.New(rabbit.Config{Addresses: []string{url}, Logger: silent})
		if err != nil {
			return err
		}
		app, healed, failed := stream.New(binder, stream.WithLogger(silent)), make(chan struct{}), make(chan string)
		in := stream.Binding{Name: "in", Destination: "orders", Group: "payment", Consumer: stream.ConsumerProperties{AutoBindDLQ: true, MaxAttempts: 1}}
		in.Consumer.ErrorHandler = func(_ context.Context, m stream.Raw, err error) error {
			defer func() { failed <- m.ID }()
			return stream.Reject(err)
		}
		paid := make(chan string)
		stream.Consume(app, in, func(_ context.Context, m stream.Message[string]) error {
			select {
			case <-healed:
				paid <- m.Payload
				return nil
			default:
				return errors.New("no bank answers")
			}
		})
		app.Bind(stream.Binding{Name: "out", Destination: "orders"})
		if err := errors.Join(app.Start(ctx), app.WaitReady(ctx)); err != nil {
			return err
		}
		for _, payload := range []string{"o-1", "o-2", "test"} {
			if err := stream.Send(ctx, app, "out", stream.NewMessage(payload)); err != nil {
				return err
			}
			<-failed
		}
		if err := app.Control(ctx, "in", stream.CommandStop); err != nil { // every letter is written
			return err
		}
		if err := workOn(ctx, url); err != nil {
			return err
		}
		close(healed)
		if err := app.Control(ctx, "in", stream.CommandStart); err != nil {
			return err
		}
		fmt.Println("paid:", <-paid)
		return app.Stop(ctx)
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 3 letters of orders.payment: no bank answers
	// tests thrown away: 1
	// changed: 1
	// sent back: "o-2, please"
	// 1 left
	// paid: o-2, please
}

// workOn does to the letters what a person would.
func workOn(ctx context.Context, url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	var q *dlq.Queue
	if q, err = dlq.Open(conn, "orders.payment.dlq"); err != nil {
		return err
	}
	var letters []dlq.Letter
	if err := q.Browse(ctx, nil, 0, func(l dlq.Letter) error {
		letters = append(letters, l)
		return nil
	}); err != nil {
		return err
	}
	fmt.Printf("%d letters of %s: %s%s\n", len(letters), letters[0].Queue, letters[0].Reason, dlq.TraceOf(letters[0])) // it has no trace

	var tests dlq.Filter
	if tests, err = dlq.Where("payload == 'test' && headers['letter.replays'] == 0"); err != nil {
		return err
	}
	n, err := q.Purge(ctx, tests)
	if err != nil {
		return err
	}
	fmt.Println("tests thrown away:", n)

	second := dlq.ByID(letters[1].Message.ID)
	if n, err = q.Edit(ctx, second, func(l *dlq.Letter) error {
		l.Message.Payload = []byte(strings.Replace(string(l.Message.Payload), "o-2", "o-2, please", 1))
		return nil
	}); err != nil {
		return err
	}
	fmt.Println("changed:", n)

	var to dlq.Target = dlq.ToQueue // no other group of the destination sees it again
	if _, err = q.Replay(ctx, dlq.Options{
		Filter: dlq.And(second, func(l dlq.Letter) (bool, error) { return l.Count == 1, nil }), Limit: 10, Rate: 100, To: to,
		Each: func(l dlq.Letter) { fmt.Println("sent back:", string(l.Message.Payload)) },
	}); err != nil {
		return err
	}
	left, err := q.Len()
	fmt.Println(left, "left")
	return err
}
