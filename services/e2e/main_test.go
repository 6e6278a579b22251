package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/rabbitmq"
	"github.com/warren-mq/warren/services/demo/system"
)

// bin holds the binaries that all tests run, built anew for every run of this package.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "warren-e2e-")
	if err == nil {
		bin = dir
		defer func() { _ = os.RemoveAll(dir) }()
		err = system.Build(context.Background(), filepath.Join("..", ".."), dir, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

const pollInterval = 50 * time.Millisecond

// run is the system under test.
type run struct {
	*system.System
	t      *testing.T
	broker system.Broker
}

// start runs the whole system, with settings added.
func start(t *testing.T, env ...string) run {
	t.Helper()
	return startWith(t, system.Config{Env: env})
}

// startWith is start with more of the configuration.
func startWith(t *testing.T, cfg system.Config) run {
	t.Helper()
	cfg.Env = append([]string{"SHIPMENT_PACKING=500ms", "SHIPMENT_DELIVERY=500ms"}, cfg.Env...)
	return startThese(t, (*system.System).All, cfg)
}

// startThese runs some of the system's processes on free ports in a directory of its own until the test ends. The setting
// BROKER says which brokers those are. The logs of a failed test are kept.
func startThese(t *testing.T, names func(*system.System) []string, cfg system.Config) run {
	t.Helper()
	ports, err := system.FreePorts()
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp("", "warren-e2e-state-")
	if err != nil {
		t.Fatal(err)
	}
	broker, err := system.ReadBroker(os.Getenv)
	if errors.Is(err, rabbitmq.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.Bin, cfg.State, cfg.Ports, cfg.Broker, cfg.Env = bin, state, ports, broker, append([]string{"LOG_LEVEL=info"}, cfg.Env...)
	s := system.New(cfg)
	t.Cleanup(func() {
		if err := s.Down(context.Background()); err != nil {
			t.Error(err)
		}
		if left := s.Running(); len(left) > 0 {
			t.Errorf("still running: %v", left)
		}
		if t.Failed() {
			t.Logf("logs and data: %s", state)
			return
		}
		_ = os.RemoveAll(state)
	})
	if err := errors.Join(s.Check(names(s)...), s.Start(t.Context(), true, names(s)...)); err != nil {
		t.Fatal(err)
	}
	return run{System: s, t: t, broker: broker}
}

// eventually waits until f returns nil.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("after %s: %v", within, err)
		case <-tick.C:
		}
	}
}

var client = &http.Client{Timeout: 30 * time.Second}

// call sends a request and decodes a 2xx answer into out, unless that is nil.
func call(ctx context.Context, method, url string, body, out any, header ...string) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.SetBasicAuth("guest", "guest") // the management API asks for it, nobody else cares
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp, err
	}
	if resp.StatusCode/100 != 2 {
		return resp, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, data)
	}
	if out == nil {
		return resp, nil
	}
	return resp, json.Unmarshal(data, out)
}
