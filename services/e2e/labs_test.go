package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/failure"
)

const (
	root       = "../.."
	labs       = "services/docs/labs"
	labTimeout = 2 * time.Minute
	// mark separates what one block of commands prints from what the next one does.
	mark = "=====next block====="
)

// block is a fenced block of a lab.
type block struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)\n```$")

func readLab(t *testing.T, file string) (text string, blocks []block) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fence.FindAllStringSubmatch(string(data), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	return string(data), blocks
}

var cited = regexp.MustCompile("(?s)\\[`([^`]+)`\\]\\([^)]*\\):\n\n```go\n(.*?)\n```")

// TestLabsCite: every failure has a lab, and the lines of code that labs show are in the files that they name.
func TestLabsCite(t *testing.T) {
	files := labFiles(t)
	for _, s := range failure.Catalogue() {
		if !slices.Contains(files, filepath.Join(root, labs, string(s.Kind)+".md")) {
			t.Errorf("%s has no lab", s.Kind)
		}
	}
	for _, file := range files {
		text, blocks := readLab(t, file)
		citations := cited.FindAllStringSubmatch(text, -1)
		if len(citations) == 0 || len(blocks) < 4 {
			t.Errorf("%s: %d citations, %d blocks", file, len(citations), len(blocks))
		}
		for _, heading := range []string{"## Start", "## Observe", "## Why", "## Fix and check"} {
			if !strings.Contains(text, heading) {
				t.Errorf("%s has no %q", file, heading)
			}
		}
		for _, c := range citations {
			source, err := os.ReadFile(filepath.Join(root, c[1]))
			if err != nil || !strings.Contains(string(source), strings.TrimSpace(c[2])) {
				t.Errorf("%s: %s does not say %q: %v", file, c[1], c[2], err)
			}
		}
	}
}

// TestLabs types what the labs say into a shell, on a running system, and compares what comes out: each failure can be seen, and
// when all are over every order has come to its end and the books are right.
func TestLabs(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the labs need curl")
	}
	r := start(t, "CONSUMER_ATTEMPTS=2", "PAYMENT_PATIENCE=2s")
	conduct(t, r)
	for _, file := range labFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		if !t.Run(name, func(t *testing.T) { r.doLab(t, file) }) {
			t.FailNow() // the next one would begin in what this one has left
		}
	}
	r.settled(t)
}

// labFiles are those of the failures, and those of the talk.
func labFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, labs, "*.md"))
	if err != nil || len(files) <= len(failure.Catalogue()) {
		t.Fatalf("%d labs: %v", len(files), err)
	}
	return files
}

// settled waits until every order has come to its end and nothing is under way, and then checks the books.
func (r run) settled(t *testing.T) {
	t.Helper()
	var page struct{ Items []order }
	if _, err := call(t.Context(), "GET", r.URL(system.Order)+"/orders?limit=200", nil, &page); err != nil {
		t.Fatal(err)
	}
	eventually(t, endPatience, r.ended(page.Items, len(page.Items)))
	b := openBooks(t, r)
	eventually(t, endPatience, func() error {
		if err := b.sent(); err != nil {
			return err
		}
		return r.drained()
	})
	t.Logf("%d orders: %v", len(page.Items), countEnds(page.Items))
	b.check(page.Items)
}

// conduct runs what the demo runs beside its processes, until the test ends.
func conduct(t *testing.T, r run) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Conduct(ctx, slog.New(slog.DiscardHandler), func(string) {}) }()
	t.Cleanup(func() { // before the system goes down
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	eventually(t, time.Minute, func() error {
		_, err := call(t.Context(), "GET", r.ConductorURL()+"/health/live", nil, nil)
		return err
	})
}

func (r run) doLab(t *testing.T, file string) {
	t.Helper()
	text, blocks := readLab(t, file)
	if r.broker == system.RabbitMQ && strings.Contains(text, "brokerctl ") {
		t.Skip("typed with brokerctl, which does not operate RabbitMQ")
	}
	if r.broker == system.RabbitMQ && strings.Contains(file, string(failure.RollingRestart)) {
		t.Skip("the switch is on for a minute, which is too short to start three nodes of RabbitMQ one after the other")
	}
	script := "set -eu\n"
	var want []string
	for _, b := range blocks {
		switch b.language {
		case "sh":
			script += b.text + "\necho " + mark + "\n"
			want = append(want, "")
		case "text":
			want[len(want)-1] = b.text
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), labTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = root
	cmd.WaitDelay = time.Second
	cmd.Env = append(append(os.Environ(), r.Settings()...), "PATH="+bin+":"+os.Getenv("PATH"), "ORDER="+r.URL(system.Order), "PAYMENT="+r.URL(system.Payment),
		"PRODUCT="+r.URL(system.Product), "SHIPMENT="+r.URL(system.Shipment), "CONDUCTOR="+r.ConductorURL(), "TRACES="+r.TracesURL(),
		"MANAGEMENT="+r.ManagementURL(1), "AMQP_1="+r.NodeURL(1), "AMQP_2="+r.NodeURL(2), "AMQP_3="+r.NodeURL(3), "STATISTICS="+r.StatisticsURL(), "STREAMCTL_URL="+r.AMQPURL(), "STREAMCTL_HTTP="+strings.Replace(r.ManagementURL(1), "//", "//guest:guest@", 1))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, io.Writer(&stderr)
	err := cmd.Run()
	got := strings.Split(stdout.String(), mark+"\n")
	for i, w := range want {
		if i >= len(got) || w != "" && strings.TrimSpace(got[i]) != w {
			t.Errorf("block %d prints %q, not %q", i+1, append(got, "nothing")[min(i, len(got))], w)
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, stderr.Bytes())
	}
	if t.Failed() {
		t.Log(fmt.Sprintf("the script is\n%s", script))
	}
}
