//go:build interop

package interop_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/dlq"
)

// streamctl builds the command once and returns how to run it.
var streamctl = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "build", "-o", filepath.Join("spring", "target", "streamctl"), "../../cmd/streamctl").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return filepath.Abs(filepath.Join("spring", "target", "streamctl"))
})

func ctl(t *testing.T, s *spring, args ...string) string {
	t.Helper()
	program, err := streamctl()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append([]string{"--url", s.url, "dlq"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("streamctl dlq %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// letter waits for the only letter of a queue.
func letter(t *testing.T, s *spring, queue string) dlq.Letter {
	t.Helper()
	conn := dial(t, s.url)
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		q, err := dlq.Open(conn, queue)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := q.Len(); err != nil || n > 1 {
			t.Fatalf("%s has %d letters, %v", queue, n, err)
		}
		var found []dlq.Letter
		err = q.Browse(t.Context(), nil, 0, func(l dlq.Letter) error {
			found = append(found, l)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			return found[0]
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no letter in %s", queue)
		}
	}
}

// Spring publishes a dead letter with Java's reason; streamctl shows, edits and replays it.
func testDeadLettersOfSpring(t *testing.T, s *spring) {
	g := newService(t, s)
	g.Bind(g.out("fails"))
	g.start(t)
	m := stream.NewMessage("bad apple")
	m.Headers["kept"] = "yes"
	send(t, g, "fails-out", m)
	queue := s.run + ".fails.spring"
	l := letter(t, s, queue+".dlq")
	if !strings.Contains(l.Reason, "no way: bad apple") || !strings.Contains(l.Stacktrace, "java.lang.IllegalStateException") {
		t.Errorf("reason %q, stack trace %.200q", l.Reason, l.Stacktrace)
	}
	if l.Queue != queue || l.Exchange != s.run+".fails" || l.RoutingKey != s.run+".fails" || l.Message.ID != m.ID {
		t.Errorf("from queue %q, exchange %q, key %q, id %q", l.Queue, l.Exchange, l.RoutingKey, l.Message.ID)
	}
	if l.Message.Headers.String("kept") != "yes" || l.Message.ContentType != stream.ContentTypeText {
		t.Errorf("letter %+v", l.Message)
	}
	for _, want := range []string{queue, "no way: bad apple", "java.lang.IllegalStateException", m.ID} {
		if out := ctl(t, s, "show", queue+".dlq", "--full"); !strings.Contains(out, want) {
			t.Errorf("show lacks %q:\n%s", want, out)
		}
	}
	good := filepath.Join(t.TempDir(), "good")
	if err := os.WriteFile(good, []byte("good apple"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctl(t, s, "edit", queue+".dlq", "--id", m.ID, "--payload", "@"+good)
	if out := ctl(t, s, "replay", queue+".dlq"); !strings.Contains(out, "1 replayed") {
		t.Errorf("replay: %s", out)
	}
	r := s.next(t, "fails")
	if r.Payload != "good apple" || r.Headers["amqp_messageId"].Value != m.ID || r.Headers["kept"].Value != "yes" {
		t.Errorf("Spring got %+v", r)
	}
	for _, key := range []string{"x-exception-message", "x-exception-stacktrace", "x-original-exchange", "x-death"} {
		if h, ok := r.Headers[key]; ok {
			t.Errorf("the replayed message still has %s: %v", key, h)
		}
	}
}

// Without republishing the broker dead-letters, with x-death.
func testDeadLettersOfTheBroker(t *testing.T, s *spring) {
	g := newService(t, s)
	g.Bind(g.out("rejects"))
	g.start(t)
	m := stream.NewMessage("bad egg")
	send(t, g, "rejects-out", m)
	queue := s.run + ".rejects.spring"
	l := letter(t, s, queue+".dlq")
	if l.Reason != "rejected" || l.Queue != queue || l.Exchange != s.run+".rejects" || l.RoutingKey != s.run+".rejects" || l.Count != 1 {
		t.Errorf("letter %+v", l)
	}
	if out := ctl(t, s, "show", queue+".dlq"); !strings.Contains(out, "rejected") || !strings.Contains(out, m.ID) {
		t.Errorf("show: %s", out)
	}
	ctl(t, s, "purge", queue+".dlq", "--all")
}

// Spring reads a Go consumer's dead letter as it reads its own.
func testDeadLettersOfGo(t *testing.T, s *spring) {
	g := newService(t, s)
	in := g.binding("failing")
	in.Consumer.AutoBindDLQ, in.Consumer.MaxAttempts, in.Consumer.BackOffInitialInterval = true, 2, time.Millisecond
	stream.Consume(g.App, in, func(_ context.Context, m stream.Message[string]) error { return errors.New("no: " + m.Payload) })
	g.Bind(g.out("failing"))
	g.start(t)
	m := stream.NewMessage("bad")
	m.Headers["kept"] = int32(7)
	send(t, g, "failing-out", m)
	r := s.next(t, "letters")
	for key, want := range map[string]string{
		"x-exception-message": "String no: bad", "x-original-exchange": "String " + s.run + ".failing",
		"x-original-routingKey": "String " + s.run + ".failing", "kept": "Integer 7", "amqp_messageId": "String " + m.ID,
		"amqp_receivedExchange": "String DLX", "amqp_receivedRoutingKey": "String " + s.run + ".failing.go",
	} {
		if h := r.Headers[key]; h.Type+" "+h.Value != want {
			t.Errorf("header %s: %s %s, want %s", key, h.Type, h.Value, want)
		}
	}
	if h := r.Headers["x-exception-stacktrace"]; h.Type != "String" || !strings.Contains(h.Value, "no: bad") {
		t.Errorf("x-exception-stacktrace: %+v", h)
	}
	if r.Payload != "bad" {
		t.Errorf("payload %v", r.Payload)
	}
}
