package httpserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/libs/httpserver"
)

func ExampleNew() {
	var s *httpserver.Server = httpserver.New(httpserver.Config{
		Service: "order", Version: "1.0.0", Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		Ready: map[string]httpserver.Check{"database": func(context.Context) error { return errors.New("no connection") }},
	})
	type answer struct {
		Body struct {
			Status string `json:"status"`
		}
	}
	huma.Get(s.API, "/orders/{id}", func(_ context.Context, in *struct {
		ID string `path:"id"`
	}) (*answer, error) {
		if in.ID != "o-1" {
			return nil, huma.Error404NotFound("no order " + in.ID)
		}
		out := &answer{}
		out.Body.Status = "paid"
		return out, nil
	})
	s.Router.Get("/teapot", func(w http.ResponseWriter, _ *http.Request) {
		httpserver.WriteProblem(w, http.StatusTeapot, "no coffee here")
	})
	for _, path := range []string{"/orders/o-1", "/orders/o-2", "/teapot", "/health/ready"} { // a program calls Start and Run
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 {"status":"paid"}
	// 404 {"title":"Not Found","status":404,"detail":"no order o-2"}
	// 418 {"title":"I'm a teapot","status":418,"detail":"no coffee here"}
	// 503 {"status":"DOWN","checks":{"database":"no connection"}}
}
