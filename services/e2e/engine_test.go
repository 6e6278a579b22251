package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	engine "github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/warren-mq/warren/services/demo/system"
)

const (
	// composeEnv lets the tests use a container engine: building and starting takes minutes.
	composeEnv    = "WARREN_E2E_COMPOSE"
	upTimeout     = 10 * time.Minute // images are built
	pullTimeout   = 5 * time.Minute
	engineTimeout = 2 * time.Minute
)

// stack is the system in containers, from the files that people use.
type stack struct {
	run
	project string
	files   []string // -f options
	env     []string
	docker  *testcontainers.DockerClient
}

// composed brings a profile up on free ports, or skips the test where that can't be. All is gone when the test ends.
func composed(t *testing.T, profile string, env ...string) stack {
	t.Helper()
	if os.Getenv(composeEnv) == "" {
		t.Skipf("make e2e-compose runs it (%s is not set)", composeEnv)
	}
	testcontainers.SkipIfProviderIsNotHealthy(t)
	docker, err := testcontainers.NewDockerClientWithOpts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = docker.Close() })
	ports, err := system.FreePorts()
	if err != nil {
		t.Fatal(err)
	}
	cfg := system.Config{State: t.TempDir(), Ports: ports}
	if profile == "tls" {
		cfg.Certs = t.TempDir() // the addresses begin with https then
	}
	s := stack{
		run:     run{System: system.New(cfg), t: t},
		project: "warren-e2e-" + profile, docker: docker, files: []string{"-f", "docker-compose.yml"},
		// What a profile publishes besides goes to any free port; the network is not that of a system that runs already.
		env: append(append(os.Environ(), ports.Environment()...), "SUBNET_PREFIX=172.30.77", "POSTGRES_PORT=0", "PROMETHEUS_PORT=0", "GRAFANA_PORT=0"),
	}
	s.env = append(s.env, env...)
	if profile != "default" {
		s.files = append(s.files, "-f", filepath.Join("deploy", "compose", profile+".yml"))
	}
	s.haveImages()
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := s.compose(context.Background(), engineTimeout, "logs", "--no-color", "--tail", "40")
			t.Logf("%s", logs)
		}
		if out, err := s.compose(context.Background(), engineTimeout, "down", "--volumes", "--remove-orphans"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if out, err := s.compose(t.Context(), engineTimeout, "down", "--volumes", "--remove-orphans"); err != nil { // of a run that was cut
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := s.compose(t.Context(), upTimeout, "build"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	begin := time.Now()
	if out, err := s.compose(t.Context(), upTimeout, "up", "--wait"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if profile == "tls" {
		authority, err := s.compose(t.Context(), engineTimeout, "run", "--rm", "--no-deps", "certs", "--export")
		if err != nil {
			t.Fatalf("%v\n%s", err, authority)
		}
		trust(t, authority)
	}
	t.Logf("%s: up after %.1f s", profile, time.Since(begin).Seconds())
	return s
}

// compose runs docker compose on the stack's files.
func (s stack) compose(ctx context.Context, timeout time.Duration, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all := append(append([]string{"compose", "-p", s.project}, s.files...), args...)
	cmd := exec.CommandContext(ctx, "docker", all...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = root, s.env, time.Second
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return append(out.Bytes(), stderr.Bytes()...), fmt.Errorf("docker %s: %w", strings.Join(all, " "), err)
	}
	return out.Bytes(), nil
}

// haveImages fetches what is not built here, and skips the test when an image can't be had.
func (s stack) haveImages() {
	s.t.Helper()
	out, err := s.compose(s.t.Context(), engineTimeout, "config", "--format", "json")
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	var config struct {
		Services map[string]struct {
			Image string
			Build *struct{}
		}
	}
	if err := json.Unmarshal(out, &config); err != nil {
		s.t.Fatal(err)
	}
	for name, service := range config.Services {
		if service.Build != nil {
			continue
		}
		if _, err := s.docker.ImageInspect(s.t.Context(), service.Image); err == nil {
			continue
		}
		if out, err := s.compose(s.t.Context(), pullTimeout, "pull", "--quiet", name); err != nil {
			s.t.Skipf("image %s can't be had here: %s", service.Image, bytes.TrimSpace(out))
		}
	}
}

// containers are all of the stack's, by the name of their service.
func (s stack) containers() map[string]container.InspectResponse {
	s.t.Helper()
	found, err := s.docker.ContainerList(s.t.Context(), engine.ContainerListOptions{
		All: true, Filters: engine.Filters{}.Add("label", "com.docker.compose.project="+s.project),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	out := map[string]container.InspectResponse{}
	for _, c := range found.Items {
		i, err := s.docker.ContainerInspect(s.t.Context(), c.ID, engine.ContainerInspectOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		out[c.Labels["com.docker.compose.service"]] = i.Container
	}
	if len(out) == 0 {
		s.t.Fatal("the stack has no containers")
	}
	return out
}

// kill ends a container as a power cut would; what was killed on purpose stays down.
func (s stack) kill(service string) error {
	_, err := s.docker.ContainerKill(s.t.Context(), s.containers()[service].ID, engine.ContainerKillOptions{Signal: "KILL"})
	return err
}

// memory is what all containers use, in bytes, without what the system would give back (the files' cache).
func (s stack) memory() (sum uint64) {
	s.t.Helper()
	for name, c := range s.containers() {
		if !c.State.Running {
			continue
		}
		answer, err := s.docker.ContainerStats(s.t.Context(), c.ID, engine.ContainerStatsOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		var stats container.StatsResponse
		err = json.NewDecoder(answer.Body).Decode(&stats)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		sum += stats.MemoryStats.Usage - stats.MemoryStats.Stats["inactive_file"]
	}
	return sum
}
