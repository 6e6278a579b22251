//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/brokertest"
)

// suiteModule is rabbit-hole, whose own tests run against a node. It comes from the module
// proxy when the test runs.
const (
	suiteModule  = "github.com/michaelklishin/rabbit-hole/v2@v2.16.0"
	suiteTimeout = 8 * time.Minute
)

// suiteSetUp is what the suite takes for granted.
const suiteSetUp = `{
	"vhosts": [{"name": "rabbit/hole"}],
	"users": [{"name": "policymaker", "password": "policymaker", "tags": "policymaker"}],
	"permissions": [
		{"user": "guest", "vhost": "rabbit/hole", "configure": ".*", "write": ".*", "read": ".*"},
		{"user": "policymaker", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
	"global_parameters": [{"name": "cluster_name", "value": "rabbitmq@localhost"}]
}`

// notApplicable are tests of that suite, by a part of their names, which need what this
// broker does not have.
var notApplicable = map[string]string{
	"shovel":               "there are no shovels: POST to a queue's /move moves messages",
	"federation":           "there is no federation",
	"/parameters/":         "they set parameters of shovel and federation",
	"runtime parameter":    "they set parameters of shovel and federation",
	"GET /parameters":      "they set parameters of shovel and federation",
	"lists all parameters": "they set parameters of shovel and federation",
}

// TestRabbitHole runs the whole suite.
func TestRabbitHole(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), suiteTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", suiteModule).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Skipf("%s can't be fetched: %v", suiteModule, err)
	}
	n := brokertest.Start(t)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guest:guest@"+n.HTTPAddr()+"/api/definitions", strings.NewReader(suiteSetUp))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp, err)
	}
	dir := onPorts(t, module.Dir, n)
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=7m", ".", "-ginkgo.json-report="+report)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOMEGA_DEFAULT_EVENTUALLY_TIMEOUT=10s")
	text, runErr := cmd.CombinedOutput() // it fails if a test does: the report says which
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v: %v\n%s", runErr, err, text)
	}
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts []string
			LeafNodeText, State     string
			LeafNodeType            string
			Failure                 struct{ Message string }
		}
	}
	if err := json.Unmarshal(b, &suites); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range suites {
		for _, spec := range s.SpecReports {
			if spec.LeafNodeType != "It" {
				continue
			}
			name := strings.Join(append(spec.ContainerHierarchyTexts, spec.LeafNodeText), " / ")
			reason := reasonOf(name)
			switch {
			case spec.State == "failed" && reason != "":
				count["not applicable"]++
				t.Logf("not applicable: %s: %s", name, reason)
			case spec.State == "passed":
				count["passed"]++
				t.Logf("passed: %s", name)
			case spec.State == "skipped" || spec.State == "pending":
				count["skipped by itself"]++
				t.Logf("skipped by itself: %s", name)
			default:
				t.Errorf("%s: %s: %s", spec.State, name, spec.Failure.Message)
			}
		}
	}
	t.Logf("%s: %v", suiteModule, count)
	if count["passed"] < 100 {
		t.Errorf("only %d tests passed\n%s", count["passed"], text)
	}
}

func reasonOf(name string) string {
	for part, reason := range notApplicable {
		if strings.Contains(strings.ToLower(name), strings.ToLower(part)) {
			return reason
		}
	}
	return ""
}

// onPorts copies the suite, and has it look for the broker where the node listens.
func onPorts(t *testing.T, from string, n *brokertest.Node) string {
	t.Helper()
	_, amqp, err := net.SplitHostPort(n.AMQPAddr())
	if err != nil {
		t.Fatal(err)
	}
	_, api, err := net.SplitHostPort(n.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(from, "*"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range files {
		if ext := filepath.Ext(f); !slices.Contains([]string{".go", ".mod", ".sum"}, ext) {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.ReplaceAll(b, []byte("15672"), []byte("@http@"))
		b = bytes.ReplaceAll(b, []byte("5672"), []byte(amqp))
		b = bytes.ReplaceAll(b, []byte("@http@"), []byte(api))
		b = bytes.ReplaceAll(b, []byte("@localhost:"), []byte("@127.0.0.1:"))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// adminPaths are where Debian's rabbitmq-server has rabbitmqadmin.
var adminPaths = []string{"rabbitmqadmin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_management-*/priv/www/cli/rabbitmqadmin"}

// TestRabbitmqadmin runs the commands of rabbitmqadmin as its users do, one after the
// other: the arguments, then what must come.
func TestRabbitmqadmin(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	program := ""
	for _, p := range adminPaths {
		if at, err := exec.LookPath(p); err == nil {
			program = at
		} else if found, _ := filepath.Glob(p); len(found) > 0 && program == "" {
			program = found[0]
		}
	}
	if b, err := os.ReadFile(program); err != nil || !bytes.Contains(b[:min(len(b), 100)], []byte("python")) {
		t.Skip("rabbitmqadmin in Python, of RabbitMQ's management plugin, is not installed")
	}
	n := brokertest.Start(t)
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(n.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	channel := func() { _, _ = brokertest.Dial(t, n.URL()) } // for what lists connections
	channel()
	for _, c := range [...][2]string{
		{"show overview", "4.3.0"},
		{"list nodes name", "broker-1"},
		{"list connections name user", "guest"},
		{"list channels name", "(1)"},
		{"declare vhost name=v tracing=false", "vhost declared"},
		{"list vhosts name", "v"},
		{"declare user name=anna password=p tags=management", "user declared"},
		{"list users name tags", "anna"},
		{"declare permission vhost=v user=anna configure=.* write=.* read=.*", "permission declared"},
		{"list permissions user vhost", "anna"},
		{"declare queue name=q durable=true", "queue declared"},
		{"declare queue name=other queue_type=quorum", "queue declared"},
		{"declare exchange name=x type=topic", "exchange declared"},
		{"declare binding source=x destination=q routing_key=a.#", "binding declared"},
		{"list bindings source destination routing_key", "a.#"},
		{"declare policy name=p pattern=^q definition={\"max-length\":9} apply-to=queues", "policy declared"},
		{"list policies name definition", "max-length"},
		{"declare operator_policy name=o pattern=^q definition={\"max-length\":5}", "operator_policy declared"},
		{"list operator_policies name", "o"},
		{"declare vhost_limit vhost=v name=max-queues value=7", "vhost_limit declared"},
		{"list vhost_limits vhost value", "7"},
		{"publish exchange=x routing_key=a.b payload=hello", "Message published"},
		{"publish exchange=x routing_key=nowhere payload=lost", "NOT routed"},
		{"list queues name messages", "1"},
		{"get queue=q ackmode=ack_requeue_true", "hello"},
		{"get queue=q ackmode=ack_requeue_false", "True"},
		{"publish routing_key=q payload=again", "Message published"},
		{"purge queue name=q", "queue purged"},
		{"list exchanges name type", "topic"},
		{"list consumers", ""},
		{"export definitions.json", "Exported definitions"},
		{"delete binding source=x destination_type=queue destination=q properties_key=a.%23", "binding deleted"},
		{"delete queue name=q", "queue deleted"},
		{"delete exchange name=x", "exchange deleted"},
		{"import definitions.json", "Uploaded definitions"},
		{"list queues name", "q"},
		{"delete policy name=p", "policy deleted"},
		{"delete operator_policy name=o", "operator_policy deleted"},
		{"delete vhost_limit vhost=v name=max-queues", "vhost_limit deleted"},
		{"delete permission vhost=v user=anna", "permission deleted"},
		{"delete user name=anna", "user deleted"},
		{"delete vhost name=v", "vhost deleted"},
		{"close connection name=nobody", "Not found: /api/connections/nobody"},
	} {
		t.Run(c[0], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
			defer cancel()
			args := append([]string{program, "-H", host, "-P", port, "-u", "guest", "-p", "guest"}, strings.Fields(c[0])...)
			cmd := exec.CommandContext(ctx, python, args...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), c[1]) || (err != nil) != strings.HasPrefix(c[1], "Not found") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
