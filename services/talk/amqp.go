package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTimeout = 5 * time.Second
	heartbeat   = 5 * time.Second
	bodies      = 5 // the talk publishes five messages
	// quiet is how long no message may come until there are no more.
	quiet = 10 * time.Second
)

func dial(url string) (*amqp.Connection, error) {
	return amqp.DialConfig(url, amqp.Config{Dial: amqp.DefaultDial(dialTimeout), Heartbeat: heartbeat, Locale: "en_US"})
}

// with calls f with a channel.
func with(url string, f func(ch *amqp.Channel) error) error {
	conn, err := dial(url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // f has what it needs, and the node may have gone
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return f(ch)
}

// declare declares a durable queue.
func declare(url, queue string) error {
	return with(url, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		return err
	})
}

// publish publishes persistent messages, numbered from first, and waits until they are confirmed.
func publish(ctx context.Context, url, queue string, first int) error {
	return with(url, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		for i := range bodies {
			c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{
				DeliveryMode: amqp.Persistent, MessageId: fmt.Sprint(first + i), Body: fmt.Appendf(nil, "message %d", first+i),
			})
			if err != nil {
				return err
			}
			if ok, err := c.WaitContext(ctx); err != nil || !ok {
				return fmt.Errorf("message %d was not confirmed: %w", first+i, err)
			}
		}
		return nil
	})
}

// consume takes messages from a queue until there are as many different ones as there should be, or no more come.
func consume(ctx context.Context, url, queue string) (count int, err error) {
	seen := map[string]bool{}
	err = with(url, func(ch *amqp.Channel) error {
		deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		timer := time.NewTimer(quiet)
		defer timer.Stop()
		for len(seen) < bodies {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return errors.New("the broker has ended the consumer")
				}
				seen[d.MessageId] = true
				if err := d.Ack(false); err != nil {
					return err
				}
				timer.Reset(quiet)
			case <-timer.C:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return ch.Close() // when this has come back, the acknowledgements have been read
	})
	return len(seen), err
}

// empty removes what a queue holds.
func empty(url, queue string) error {
	return with(url, func(ch *amqp.Channel) error {
		_, err := ch.QueuePurge(queue, false)
		return err
	})
}

// publishCmd is for the labs.
type publishCmd struct {
	URL   string `arg:"" help:"Of a node or the proxy, such as amqp://guest:guest@127.0.0.1:5673/."`
	Queue string `arg:"" help:"Name of the queue."`
}

// Run implements the command.
func (c *publishCmd) Run(ctx context.Context) error {
	if err := declare(c.URL, c.Queue); err != nil {
		return err
	}
	if err := publish(ctx, c.URL, c.Queue, 0); err != nil {
		return err
	}
	fmt.Printf("%d confirmed\n", bodies)
	return nil
}

// consumeCmd is for the labs.
type consumeCmd struct {
	URL   string `arg:"" help:"Of a node or the proxy."`
	Queue string `arg:"" help:"Name of the queue."`
	Stay  bool   `help:"Stay connected, after that, until the connection ends."`
}

// Run implements the command.
func (c *consumeCmd) Run(ctx context.Context) error {
	if c.Stay {
		return c.stay(ctx)
	}
	n, err := consume(ctx, c.URL, c.Queue)
	if refused, ok := errors.AsType[*amqp.Error](err); ok {
		fmt.Println(refused.Code, refused.Reason)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println("gets", n)
	return nil
}

// stay consumes until the connection ends, or ctx.
func (c *consumeCmd) stay(ctx context.Context) error {
	return with(c.URL, func(ch *amqp.Channel) error {
		deliveries, err := ch.ConsumeWithContext(ctx, c.Queue, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		for d := range deliveries {
			fmt.Printf("%s\n", d.Body)
		}
		if ctx.Err() == nil {
			fmt.Println("connection failed")
		}
		return nil
	})
}
