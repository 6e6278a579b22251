package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

// state is the third field of /proc/<pid>/stat: T for a frozen process.
func state(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))[0]
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

// child is the agent's process, 0 when there is none.
func (a *agent) pid() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.child == nil {
		return 0
	}
	return a.child.Process.Pid
}

func TestAnAgentDoesAsItIsTold(t *testing.T) {
	if state(os.Getpid()) == "" {
		t.Skip("no /proc here")
	}
	a := newAgent([]string{"sleep", "300"}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- a.run(ctx, "127.0.0.1:0") }()
	until(t, "it starts its child", func() bool { return a.pid() != 0 })
	tell := func(o order, want int) {
		t.Helper()
		body, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
		if w.Code != want {
			t.Errorf("%+v: %d %s", o, w.Code, w.Body)
		}
	}
	first := a.pid()
	tell(order{Do: "freeze"}, http.StatusNoContent)
	until(t, "it is frozen", func() bool { return state(first) == "T" })
	tell(order{Do: "thaw"}, http.StatusNoContent)
	until(t, "it is thawed", func() bool { return state(first) == "S" })
	tell(order{Do: "kill"}, http.StatusNoContent)
	if a.pid() != 0 || state(first) != "" {
		t.Error("it lives")
	}
	tell(order{Do: "freeze"}, http.StatusUnprocessableEntity)
	tell(order{Do: "start", Env: []string{"LD_PRELOAD=x"}}, http.StatusUnprocessableEntity)
	tell(order{Do: "dance"}, http.StatusUnprocessableEntity)
	tell(order{Do: "start", Env: []string{"WARREN_MEMORY_LIMIT=1MiB"}}, http.StatusNoContent)
	second := a.pid()
	if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", second)); !strings.Contains(string(env), "WARREN_MEMORY_LIMIT=1MiB") {
		t.Error("it was not given its setting")
	}
	tell(order{Do: "freeze"}, http.StatusNoContent)
	stop() // a frozen child ends, too
	select {
	case err := <-ran:
		if err != nil || state(second) != "" {
			t.Errorf("%v, child %q", err, state(second))
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}

// TestAnAgentEndsWithItsChild: the engine starts both again.
func TestAnAgentEndsWithItsChild(t *testing.T) {
	a := newAgent([]string{"false"}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.run(ctx, "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "false has ended") {
		t.Error(err)
	}
}
