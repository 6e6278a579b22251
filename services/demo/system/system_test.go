package system

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newSystem(t *testing.T) *System {
	t.Helper()
	ports, err := FreePorts()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Bin: t.TempDir(), State: t.TempDir(), Ports: ports})
}

// writePID writes a pid file as an earlier run would have left it.
func writePID(t *testing.T, s *System, name string, pid int) {
	t.Helper()
	file := s.process(name).pidFile
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSomebodyElsesProcessIsLeftAlone(t *testing.T) {
	s := newSystem(t)
	writePID(t, s, Order, os.Getpid()) // another program
	if pid := s.PID(Order); pid != 0 {
		t.Fatalf("this test is taken for order: %d", pid)
	}
	if err := s.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.process(Order).pidFile); err == nil {
		t.Error("the stale pid file is still there")
	}
}

// install puts a copy of sleep into the place of a program.
func install(t *testing.T, s *System, name string) (path string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep here")
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	path = s.process(name).program
	if err := os.WriteFile(path, data, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// sleeper runs a program of the name that does nothing.
func sleeper(t *testing.T, s *System, name string) *exec.Cmd {
	t.Helper()
	path := install(t, s, name)
	cmd := exec.Command(path, "60")
	if err := cmd.Start(); err != nil {
		t.Skipf("a copy of sleep does not run: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { _ = cmd.Wait() }()
	return cmd
}

func TestAnEarlierRunIsNamedAndStopped(t *testing.T) {
	s := newSystem(t)
	cmd := sleeper(t, s, Order)
	writePID(t, s, Order, cmd.Process.Pid)
	if err := s.Check(s.All()...); err == nil || !strings.Contains(err.Error(), "order ("+strconv.Itoa(cmd.Process.Pid)+")") {
		t.Errorf("Check says %v", err)
	}
	if err := s.Down(t.Context()); err != nil || len(s.Running()) != 0 {
		t.Errorf("%v, still there: %v", err, s.Running())
	}
}

func TestAPidThatIsYoungerThanItsFileIsAnotherProcess(t *testing.T) {
	s := newSystem(t)
	cmd := sleeper(t, s, Order)
	writePID(t, s, Order, cmd.Process.Pid)
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(s.process(Order).pidFile, before, before); err != nil {
		t.Fatal(err)
	}
	if pid := s.PID(Order); pid != 0 {
		t.Errorf("pid %d", pid)
	}
}

func TestATakenPortIsNamedWithItsSetting(t *testing.T) {
	s := newSystem(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", s.cfg.Ports.Product.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := s.Check(s.All()...); err == nil || !strings.Contains(err.Error(), "PRODUCT_PORT") {
		t.Errorf("Check says %v", err)
	}
	if err := s.Check(s.Cluster()...); err != nil {
		t.Errorf("the cluster does not need it: %v", err)
	}
}

func TestAProcessThatEndsSaysWhy(t *testing.T) {
	s := newSystem(t)
	install(t, s, Balancer) // sleep does not know the balancer's flags, and says so
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Start(ctx, true, Balancer); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("Start says %v", err)
	}
}

func TestReadPorts(t *testing.T) {
	p, err := ReadPorts(func(key string) string { return map[string]string{"ORDER_PORT": "9000"}[key] })
	if err != nil || p.Order.Number != 9000 || p.Proxy.Number != 5670 || p.AMQP[2].Number != 5674 {
		t.Errorf("%+v %v", p, err)
	}
	_, err = ReadPorts(func(key string) string { return map[string]string{"ORDER_PORT": "x", "AMQP_PORT_2": "5670"}[key] })
	if err == nil || !strings.Contains(err.Error(), "ORDER_PORT") || !strings.Contains(err.Error(), "PROXY_PORT and AMQP_PORT_2") {
		t.Errorf("%v", err)
	}
}
