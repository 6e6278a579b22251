package actuator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/actuator"
	"github.com/warren-mq/warren/libs/stream/memory"
)

func start() (*stream.App, http.Handler, error) {
	app := stream.New(memory.New(memory.NewBroker()))
	stream.Consume(app, stream.Binding{Name: "placed-in-0", Destination: "order.placed", Group: "payment"}, func(context.Context, stream.Message[int]) error { return nil })
	app.Bind(stream.Binding{Name: "paid-out-0", Destination: "paid"})
	return app, http.StripPrefix("/actuator", actuator.Handler(app)), app.Start(context.Background())
}

func TestBindings(t *testing.T) {
	app, h, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer app.Stop(context.Background())
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/bindings", "", 200, `"bindingName":"placed-in-0","name":"order.placed","group":"payment","pausable":true,"state":"running","paused":false,"input":true`},
		{"GET", "/bindings/paid-out-0", "", 200, `"pausable":false,"state":"running"`},
		{"GET", "/bindings/nobody", "", 404, "no such binding"},
		{"GET", "/health", "", 200, `{"status":"UP","components":{"binders":{"status":"UP"`},
		{"POST", "/bindings/placed-in-0", `{"state":"PAUSED"}`, 204, ""},
		{"GET", "/bindings/placed-in-0", "", 200, `"state":"paused","paused":true`},
		{"GET", "/health", "", 200, "PAUSED"},
		{"POST", "/bindings/placed-in-0", `{"state":"resumed"}`, 204, ""},
		{"POST", "/bindings/placed-in-0", `{"state":"STOPPED"}`, 204, ""},
		{"GET", "/bindings/placed-in-0", "", 200, `"state":"stopped"`},
		{"POST", "/bindings/placed-in-0", `{"state":"STARTED"}`, 204, ""},
		{"POST", "/bindings/placed-in-0", `{"state":"DANCING"}`, 400, "is not a state"},
		{"POST", "/bindings/placed-in-0", `nonsense`, 400, "the body is not"},
		{"POST", "/bindings/nobody", `{"state":"STOPPED"}`, 404, "no such binding"},
	} {
		ask := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, "/actuator"+c.path, strings.NewReader(c.body)))
			return w
		}
		w := ask()
		// Health says what a binding does, which follows what it was told a little later.
		for end := time.Now().Add(10 * time.Second); c.text == "PAUSED" && !strings.Contains(w.Body.String(), c.text) && time.Now().Before(end); w = ask() {
			runtime.Gosched()
		}
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.text)
		}
	}
}

func TestOutsideOfLife(t *testing.T) {
	app, h, err := start()
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/actuator/health", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "DOWN") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/actuator/bindings/placed-in-0", strings.NewReader(`{"state":"STARTED"}`)))
	if w.Code != http.StatusConflict {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func ExampleHandler() {
	app, h, err := start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer app.Stop(context.Background())
	post := httptest.NewRequest("POST", "/actuator/bindings/placed-in-0", strings.NewReader(`{"state": "PAUSED"}`))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, post)
	fmt.Println(w.Code)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/actuator/bindings", nil))
	var all []actuator.Binding
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		fmt.Println(err)
	}
	for _, b := range all {
		fmt.Println(b.BindingName, b.Name, b.State)
	}
	// Output:
	// 204
	// paid-out-0 paid running
	// placed-in-0 order.placed paused
}
