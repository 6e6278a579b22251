package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warren-mq/warren/broker/internal/process"
	header "github.com/warren-mq/warren/broker/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testTimeout = 20 * time.Second

// fakeServer is a broker as far as a balancer can tell: it says its name to who connects
// and then echoes, and its health page answers as told.
type fakeServer struct {
	name    string
	l       net.Listener
	page    *httptest.Server
	healthy atomic.Bool
	done    sync.WaitGroup
}

func newServer(t *testing.T, name string) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{name: name, l: l}
	s.healthy.Store(true)
	s.page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.healthy.Load() || r.URL.Path != "/health" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	s.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() {
				_, _ = io.WriteString(c, name+"\n")
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.page.Close()
		s.done.Wait()
	})
	return s
}

// backend returns the server as the flag names it.
func (s *fakeServer) backend() string {
	_, port, _ := net.SplitHostPort(s.page.Listener.Addr().String())
	return s.name + "=" + s.l.Addr().String() + "/" + port
}

// balance runs a balancer before the servers.
func balance(t *testing.T, servers ...*fakeServer) (addr string, p *proxy) {
	t.Helper()
	return balanceWith(t, nil, servers...)
}

// balanceWith is balance with more flags.
func balanceWith(t *testing.T, flags []string, servers ...*fakeServer) (addr string, p *proxy) {
	t.Helper()
	var names []string
	for _, s := range servers {
		names = append(names, s.backend())
	}
	cfg, _, err := parse(append([]string{
		"--backend", strings.Join(names, ","), "--check-path", "/health", "--check-interval", "10ms", "--rise", "2", "--fall", "2",
	}, flags...), func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = newProxy(cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), p
}

// client is a connection through the balancer and the name of the server behind.
type client struct {
	net.Conn
	server string
}

func connect(t *testing.T, addr string) (client, error) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(testTimeout))
	name := make([]byte, 2)
	if _, err := io.ReadFull(c, name); err != nil {
		return client{}, err
	}
	return client{c, string(name[:1])}, nil
}

// until waits for something that happens soon.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestRoundRobin(t *testing.T) {
	addr, _ := balance(t, newServer(t, "a"), newServer(t, "b"), newServer(t, "c"))
	counts := map[string]int{}
	for range 30 {
		c, err := connect(t, addr)
		if err != nil {
			t.Fatal(err)
		}
		counts[c.server]++
	}
	if counts["a"] != 10 || counts["b"] != 10 || counts["c"] != 10 {
		t.Errorf("sessions: %v", counts)
	}
}

func TestBytesBothWaysAndHalfClose(t *testing.T) {
	addr, p := balance(t, newServer(t, "a"))
	c, err := connect(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	until(t, "the end of the session", func() bool { return p.backends[0].status(time.Now()).sessions == 0 })
	s := p.backends[0].status(time.Now())
	if s.bytesIn != int64(len(sent)) || s.bytesOut != int64(len(sent))+2 || s.sessionsTotal != 1 {
		t.Errorf("%+v", s)
	}
}

func TestServersAreToldWhoTheClientIs(t *testing.T) {
	addr, _ := balanceWith(t, []string{"--send-proxy"}, newServer(t, "a"))
	c, err := connect(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	want := string(header.Append(nil, c.LocalAddr(), c.RemoteAddr())) + "hello"
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want { // the server echoes
		t.Errorf("the server got %q, %v; want %q", got, err, want)
	}
}

func TestMarkedDownAndBack(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	addr, p := balance(t, a, b)
	var onA client
	for onA.server != "a" {
		c, err := connect(t, addr)
		if err != nil {
			t.Fatal(err)
		}
		onA = c
	}
	a.healthy.Store(false)
	// Its sessions are closed, and clients go elsewhere.
	if _, err := onA.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the session goes on: %v", err)
	}
	for range 5 {
		if c, err := connect(t, addr); err != nil || c.server != "b" {
			t.Fatalf("on %q, %v", c.server, err)
		}
	}
	a.healthy.Store(true)
	until(t, "the return of a", p.backends[0].isUp)
	s := p.backends[0].status(time.Now())
	if s.downs != 1 || s.checkFailures < 1 || s.downtime <= 0 {
		t.Errorf("%+v", s)
	}
	b.healthy.Store(false)
	a.healthy.Store(false)
	until(t, "the loss of both", func() bool { return !p.backends[0].isUp() && !p.backends[1].isUp() })
	if _, err := connect(t, addr); err == nil {
		t.Error("a session without a server")
	}
}

func TestRefusedConnectMarksDownAtOnce(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	_ = a.l.Close() // its health page still says all is well
	addr, p := balance(t, a, b)
	for range 4 {
		if c, err := connect(t, addr); err != nil || c.server != "b" {
			t.Fatalf("on %q, %v", c.server, err)
		}
	}
	if s := p.backends[0].status(time.Now()); s.connectErrors == 0 || s.downs == 0 {
		t.Errorf("%+v", s)
	}
}

func TestACheckMayOnlyConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker("", testTimeout, nil)
	if r := c.check(t.Context(), l.Addr().String()); !r.ok || checkStatus(status{stats: stats{lastCheck: r.text, checkTook: 1}}) != "L4OK" {
		t.Errorf("somebody listens, but %+v", r)
	}
	_ = l.Close()
	if r := c.check(t.Context(), l.Addr().String()); r.ok || checkStatus(status{stats: stats{lastCheck: r.text, checkTook: 1}}) != "L4CON" {
		t.Errorf("nobody listens, but %+v", r)
	}
}

func TestRiseAndFall(t *testing.T) {
	now := time.Now()
	b := newBackend(server{name: "a"}, 2, 3, now)
	good, bad := result{ok: true, code: 200}, result{text: "refused"}
	steps := []struct {
		r    result
		want bool
	}{
		{bad, false}, // the first check decides
		{good, false}, {bad, false}, {good, false}, {good, true},
		{bad, true}, {bad, true}, {good, true}, {bad, true}, {bad, true}, {bad, false},
	}
	for i, s := range steps {
		now = now.Add(time.Second)
		if up, _ := b.observed(s.r, now); up != s.want {
			t.Errorf("step %d: up %t", i, up)
		}
	}
	if s := b.status(now.Add(time.Second)); s.downtime != 5*time.Second {
		t.Errorf("down for %s", s.downtime)
	}
}

func TestStatisticsPage(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	b.healthy.Store(false)
	addr, p := balance(t, a, b)
	until(t, "b's fall", func() bool { return !p.backends[1].isUp() })
	if _, err := connect(t, addr); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewServer(p.statsHandler())
	defer page.Close()
	fetch := func(path string) string {
		resp, err := http.Get(page.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	defer http.DefaultClient.CloseIdleConnections()
	html := fetch("/")
	for _, want := range []string{"some servers are down", ">UP<", ">DOWN<", "HTTP 503", a.l.Addr().String()} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(fetch("/;csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r[1], " ", r[17], " ", r[4]))
	}
	want := "svname status scur,FRONTEND OPEN 1,a UP 1,b DOWN 0,BACKEND UP 1"
	if strings.Join(got, ",") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ","), want)
	}
}

func TestUsage(t *testing.T) {
	env := map[string]string{}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no backend", nil, process.ExitUsage, "balancer: missing flags: --backend"},
		{"unknown flag", []string{"--what"}, process.ExitUsage, "balancer: unknown flag --what"},
		{"bad backend", []string{"--backend", "nothing"}, process.ExitUsage, `backend "nothing" is not [NAME=]HOST:PORT[/CHECKPORT]`},
		{"twice", []string{"--backend", "a=h:1,a=h:2"}, process.ExitUsage, `backend "a" is there twice`},
		{"fall", []string{"--backend", "h:1", "--fall", "0"}, process.ExitUsage, "at least 1"},
		{"address", []string{"--backend", "h:1", "--listen", "nowhere:x"}, process.ExitError, "balancer: listen tcp"},
		{"help", []string{"--help"}, process.ExitOK, "BALANCER_CHECK_INTERVAL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(context.Background(), tt.args, func(k string) string { return env[k] }, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d: %s", code, out.String())
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"BALANCER_BACKEND": "one=h1:5672,h2:5673/99", "BALANCER_CHECK_INTERVAL": "3s", "BALANCER_FALL": "7",
	}
	cfg, _, err := parse([]string{"--fall", "4"}, func(k string) string { return env[k] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := []server{{"one", "h1:5672", "h1:15672"}, {"h2:5673", "h2:5673", "h2:99"}}
	if fmt.Sprint(cfg.servers) != fmt.Sprint(want) || cfg.CheckInterval != 3*time.Second || cfg.Fall != 4 {
		t.Errorf("%+v", cfg)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var out bytes.Buffer
	ended := make(chan int, 1)
	a := newServer(t, "a")
	go func() {
		ended <- run(ctx, []string{"--backend", a.backend(), "--listen", "127.0.0.1:0", "--stats", "127.0.0.1:0"},
			func(string) string { return "" }, &out)
	}()
	cancel()
	if code := <-ended; code != process.ExitOK {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
