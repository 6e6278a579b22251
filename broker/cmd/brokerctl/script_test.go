package main

import (
	"context"
	"os"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rogpeppe/go-internal/testscript"

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
// a consumer of it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			tb, ok := e.T().(testing.TB)
			if !ok {
				tb = t
			}
			n := brokertest.Start(tb)
			e.Setenv("WARREN_NODE", n.HTTPAddr())
			e.Setenv("HTTP", n.HTTPAddr())
			e.Setenv("AMQP", n.AMQPAddr())
			e.Setenv("URL", n.URL())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"connect": connect},
	})
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
