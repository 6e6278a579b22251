package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// TestMain lets scripts run this program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"brokerctl": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs what operators write: testdata/script/*.txtar, each against a node of
// its own. Command connect opens a client connection with a channel, a queue "held" and
// a consumer of it; command publish publishes to a queue.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			tb, ok := e.T().(testing.TB)
			if !ok {
				tb = t
			}
			n := brokertest.Start(tb, func(c *broker.Config) { c.LogLevel = new(slog.LevelVar) })
			e.Setenv("WARREN_NODE", n.HTTPAddr())
			e.Setenv("HTTP", n.HTTPAddr())
			e.Setenv("AMQP", n.AMQPAddr())
			e.Setenv("URL", n.URL())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"connect": connect, "publish": publish, "stir": stir},
	})
}

// stir adds virtual hosts, one after the other, until the script ends: whoever waits for
// events sees some, whenever it began.
func stir(ts *testscript.TestScript, _ bool, _ []string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	node := ts.Getenv("WARREN_NODE")
	ts.Defer(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			run(ctx, []string{"-n", node, "add_vhost", fmt.Sprintf("seen-%d", i)}, io.Discard, io.Discard)
			run(ctx, []string{"-n", node, "add_user", fmt.Sprintf("unseen-%d", i), "p"}, io.Discard, io.Discard)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
}

// publish publishes a message to a queue, and waits until the queue has it.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	c, err := amqp.Dial(ts.Getenv("URL"))
	ts.Check(err)
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	ts.Check(err)
	ts.Check(ch.Confirm(false))
	confirm, err := ch.PublishWithDeferredConfirm("", args[0], false, false, amqp.Publishing{Body: []byte(args[1])})
	ts.Check(err)
	confirm.Wait()
}

func connect(ts *testscript.TestScript, _ bool, _ []string) {
	c, err := amqp.Dial(ts.Getenv("URL"))
	ts.Check(err)
	ts.Defer(func() { _ = c.Close() })
	ch, err := c.Channel()
	ts.Check(err)
	_, err = ch.QueueDeclare("held", true, false, false, false, nil)
	ts.Check(err)
	ts.Check(ch.Qos(5, 0, false))
	_, err = ch.Consume("held", "tag", false, false, false, false, nil)
	ts.Check(err)
}
