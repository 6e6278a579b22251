//go:build interop

package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/brokertest"
)

const (
	buildTimeout = 10 * time.Minute // Maven fetches what it needs once
	startTimeout = 2 * time.Minute
	patience     = 30 * time.Second // for a message
	jar          = "spring/target/interop.jar"
)

// spring is a running application.
type spring struct {
	url, run string
	ch       *amqp.Channel
	reports  map[string]chan report // by function

	mu  sync.Mutex
	log strings.Builder
}

// report is what one of its functions was given.
type report struct {
	Function string
	Payload  any
	Headers  map[string]struct{ Type, Value string }
	Batch    []string
	Trace    string
}

// TestMain builds the application.
func TestMain(m *testing.M) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Println("skipped: ", err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	build := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", "package")
	build.Dir, build.Stdout, build.Stderr = "spring", os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Println("mvn package:", err)
		os.Exit(1) //nolint:gocritic // nothing else is to be cleaned up
	}
	os.Exit(m.Run())
}

func brokerURL(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("WARREN_TEST_AMQP_URL"); url != "" {
		return url
	}
	return brokertest.Start(t).URL()
}

// newRun is an application that does not run, with a name of its own.
func newRun(t *testing.T, url string) *spring {
	t.Helper()
	s := &spring{url: url, run: fmt.Sprintf("i%x", time.Now().UnixNano()), reports: map[string]chan report{}}
	s.listen(t)
	return s
}

// startSpring starts the application with more arguments and waits until all its bindings are there.
func startSpring(t *testing.T, url string, args ...string) *spring {
	t.Helper()
	s := newRun(t, url)
	args = append([]string{
		"-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-jar", jar, "--run=" + s.run, "--spring.rabbitmq.addresses=" + url,
	}, args...)
	cmd := exec.Command("java", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		s.read(out, started)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		force := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		<-ended
		force.Stop()
		if t.Failed() {
			t.Logf("the application's log:\n%s", s.said())
		}
	})
	select {
	case <-started:
	case <-ended:
		t.Fatal("the application ended")
	case <-time.After(startTimeout):
		t.Fatal("the application does not start")
	}
	return s
}

// read keeps the log and closes started at the line that says so.
func (s *spring) read(out io.Reader, started chan struct{}) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.mu.Lock()
		s.log.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if strings.Contains(lines.Text(), "Started Application") {
			close(started)
		}
	}
}

func (s *spring) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// listen takes reports.
func (s *spring) listen(t *testing.T) {
	t.Helper()
	var err error
	if s.ch, err = dial(t, s.url).Channel(); err != nil {
		t.Fatal(err)
	}
	queue := s.run + ".reports"
	if _, err := s.ch.QueueDeclare(queue, false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.ch.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"shared", "price", "each", "batch", "fails", "rejects", "letters", "parts", "traced", "properties"} {
		s.reports[f] = make(chan report, 1000)
	}
	go func() { // ends with the connection
		for d := range got {
			var r report
			if err := json.Unmarshal(d.Body, &r); err != nil {
				t.Errorf("report: %v: %s", err, d.Body)
				continue
			}
			s.reports[r.Function] <- r
		}
	}()
}

// next is the next report of a function.
func (s *spring) next(t *testing.T, function string) report {
	t.Helper()
	select {
	case r := <-s.reports[function]:
		return r
	case <-time.After(patience):
		t.Fatalf("no report of %s", function)
	}
	return report{}
}

// tell has the application send payloads to a binding, with headers whose type stands in front of the value: "long 5".
func (s *spring) tell(t *testing.T, binding string, headers map[string]string, payloads ...string) {
	t.Helper()
	if headers == nil {
		headers = map[string]string{}
	}
	body, err := json.Marshal(map[string]any{"binding": binding, "payloads": payloads, "headers": headers})
	if err != nil {
		t.Fatal(err)
	}
	s.publish(t, s.run+".command", body)
}

func (s *spring) publish(t *testing.T, exchange string, body []byte) {
	t.Helper()
	if err := s.ch.Publish(exchange, "k", true, false, amqp.Publishing{ContentType: "application/json", Body: body}); err != nil {
		t.Fatal(err)
	}
}
