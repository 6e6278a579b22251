package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
)

// commandTimeout is how long a command may take that works for some time by itself.
const commandTimeout = 3 * time.Minute

// command runs one of our commands and returns what it prints. It fails the test when the command does.
func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops what it has started
	cmd.WaitDelay = time.Minute
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.Bytes()
}

// TestTalk does the talk's experiments on the bundled broker; make talk does them on RabbitMQ, too.
func TestTalk(t *testing.T) {
	if os.Getenv(system.BrokerSetting) == string(system.RabbitMQ) {
		t.Skip("make talk does them on RabbitMQ")
	}
	t.Logf("\n%s", command(t, "talk", "--on", "warren"))
}

// TestLoad places orders by a schedule and has every one of them accounted for.
func TestLoad(t *testing.T) {
	s := start(t)
	report := filepath.Join(t.TempDir(), "load.html")
	out := command(t, "load", "--url", s.URL(system.Order), "--steps", "5x2s,20x3s", "--shape", "poisson", "--json", "--report", report)
	var r struct {
		Sent, Answered, Failed int64
		Ledger                 struct{ Accepted, Terminal, Open, Lost, Double int64 }
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	l := r.Ledger
	if r.Sent == 0 || r.Answered != r.Sent || r.Failed != 0 || l.Accepted != r.Sent || l.Terminal != r.Sent || l.Open+l.Lost+l.Double != 0 {
		t.Errorf("%+v", r)
	}
	page, err := os.ReadFile(report)
	for _, want := range []string{"<svg", "orders a second", "latency, ms"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report has no %s (%v)", want, err)
		}
	}
}

// TestSoak breaks the system four times while it works. The command's exit status says that its ledger is clean.
func TestSoak(t *testing.T) {
	out := string(command(t, "soak", "--for", "12s", "--every", "3s", "--rate", "5", "--seed", "1"))
	t.Logf("\n%s", out)
	if n := strings.Count(out, " is on at "); n != 4 {
		t.Errorf("%d failures, want 4", n)
	}
}
