package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/libs/stream"
)

// prepare puts three letters into orders.g.dlq.
func prepare(t *testing.T) (url, http string) {
	t.Helper()
	n := brokertest.Start(t)
	conn, err := amqp.Dial(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"orders.g", "orders.g.dlq", "empty.dlq"} {
		if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		confirm, err := ch.PublishWithDeferredConfirm("", "orders.g.dlq", true, false, amqp.Publishing{
			MessageId: fmt.Sprint("m", i), ContentType: "application/json", Body: fmt.Appendf(nil, `{"n":%d}`, i), Headers: amqp.Table{
				stream.HeaderExceptionMessage: fmt.Sprint("no ", i), stream.HeaderOriginalExchange: "orders", stream.HeaderOriginalRoutingKey: "k",
				"b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
			},
		})
		if err != nil || !confirm.Wait() {
			t.Fatal(err)
		}
	}
	return n.URL(), "http://guest:guest@" + n.HTTPAddr()
}

func TestDLQ(t *testing.T) {
	url, http := prepare(t)
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, []byte(`{"n":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want []string // in the output
		not  string
	}{
		{"list", []string{"orders.g.dlq  3"}, "empty"},
		{"list --all", []string{"orders.g.dlq  3", "empty.dlq     0"}, "orders.g "},
		{"list empty.dlq", []string{"empty.dlq  0"}, "orders"},
		{"show orders.g.dlq --limit 2", []string{"m0", "m1", "no 1", "orders.g"}, "m2"},
		{"show orders.g.dlq --full --id m2", []string{"id        m2", `exchange "orders", key "k"`, `{"n":2}`, "trace     4bf92f3577b34da6a3ce929d0e0e4736"}, "m1"},
		{"show orders.g.dlq --json --id m2 --filter payload.n==2", []string{`"id":"m2"`, `"payload":{"n":2}`, `"trace_id":"4bf`}, "m1"},
		{"edit orders.g.dlq --id m1 --payload @" + file + " --header by=hand --unset b3", []string{"1 changed"}, ""},
		{"show orders.g.dlq --json --id m1", []string{`"n":99`, `"by":"hand"`, `"reason":"no 1"`}, "b3"},
		{"replay orders.g.dlq --filter payload.n<2 --dry-run", []string{"m0 to queue orders.g", "1 would be replayed"}, "m1"},
		{"replay orders.g.dlq --filter payload.n<2 --rate 100", []string{"m0 to queue orders.g", "1 replayed"}, "m1"},
		{"replay orders.g.dlq --limit 1 --to-queue empty.dlq", []string{"m2 to queue empty.dlq", "1 replayed"}, "m1"},
		{"list orders.g orders.g.dlq empty.dlq", []string{"orders.g      1", "orders.g.dlq  1", "empty.dlq     1"}, ""},
		{"purge orders.g.dlq --all", []string{"1 deleted"}, ""},
		{"list orders.g.dlq", []string{"orders.g.dlq  0"}, ""},
	} {
		var out bytes.Buffer
		args := append([]string{"--url", url, "--http", http, "dlq"}, strings.Fields(c.args)...)
		if err := execute(t.Context(), args, func(string) string { return "" }, &out, io.Discard); err != nil {
			t.Fatalf("%s: %v", c.args, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s\n%s\nlacks %q", c.args, &out, want)
			}
		}
		if c.not != "" && strings.Contains(out.String(), c.not) {
			t.Errorf("%s\n%s\nhas %q", c.args, &out, c.not)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range []string{
		"", "dlq", "dlq dance", "dlq show", "dlq show q --limit 0", "dlq show q --limit x", "dlq show q --filter 1+", "dlq edit q", "dlq edit q --header a=b",
		"dlq edit q --id 1 --payload @/no/such/file", "dlq replay q --rate -1", "dlq replay q --to mars", "dlq purge q", "dlq purge q --all --id 1",
		"--url http://x dlq show q", "--url : dlq list", "--http x dlq list", "--nonsense",
	} {
		err := execute(t.Context(), strings.Fields(args), func(string) string { return "" }, io.Discard, io.Discard)
		var usage run.UsageError
		if !errors.As(err, &usage) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %T %v", args, err, err)
		}
	}
	err := execute(t.Context(), []string{"--url", "amqp://127.0.0.1:1/", "dlq", "show", "q"}, func(string) string { return "" }, io.Discard, io.Discard)
	var usage run.UsageError
	if err == nil || errors.As(err, &usage) {
		t.Errorf("a broker that is away is no wrong use: %v", err)
	}
}
