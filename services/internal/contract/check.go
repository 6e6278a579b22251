package contract

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/services/internal/chassis"
)

var update = flag.Bool("update", false, "write the committed documents anew, unless that breaks somebody")

// Check compares a document with the committed file. With -update a difference is written, but never one that breaks somebody: for
// that the file has to be deleted, which is hard to overlook.
func Check(t *testing.T, file string, document any) {
	t.Helper()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if err == nil {
		broken, err := Breaking(got, want.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(broken) > 0 {
			t.Fatalf("this breaks those who rely on %s:\n  %s", file, strings.Join(broken, "\n  "))
		}
	}
	switch {
	case bytes.Equal(got, want.Bytes()):
	case *update:
		if err := os.WriteFile(file, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the code says; nothing is broken: go test -update writes it anew", file)
	}
}

// CheckAPI compares a service's OpenAPI document with the committed openapi.json beside its test.
func CheckAPI(t *testing.T, service string, routes func(huma.API)) {
	t.Helper()
	s := httpserver.New(httpserver.Config{Service: service, Version: chassis.APIVersion, Logger: slog.New(slog.DiscardHandler)})
	routes(s.API)
	Check(t, "openapi.json", s.API.OpenAPI())
}
