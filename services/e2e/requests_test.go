package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/warren-mq/warren/services/demo/system"
)

// httpRequest is a section of a .http file.
type httpRequest struct {
	title, name, method, url, body string
	header                         [][2]string
	expect                         int
}

// readRequests reads the parts of the format that docs/requests.http uses: sections after ###, @variables, # @name and # @expect.
func readRequests(t *testing.T, file string) (out []httpRequest, variables map[string]string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	variables = map[string]string{}
	head, rest, _ := strings.Cut(string(data), "\n### ")
	for line := range strings.Lines(head) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "@"), " = "); ok && strings.HasPrefix(line, "@") {
			variables[name] = strings.TrimSpace(value)
		}
	}
	for section := range strings.SplitSeq(rest, "\n### ") {
		var r httpRequest
		top, body, _ := strings.Cut(section, "\n\n")
		r.body = strings.TrimSpace(body)
		for i, line := range strings.Split(strings.TrimSpace(top), "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch {
			case i == 0:
				r.title = line
			case strings.HasPrefix(line, "# @name "):
				r.name = strings.TrimPrefix(line, "# @name ")
			case strings.HasPrefix(line, "# @expect "):
				if r.expect, err = strconv.Atoi(strings.TrimPrefix(line, "# @expect ")); err != nil {
					t.Fatal(err)
				}
			case r.method == "":
				r.method, r.url, _ = strings.Cut(line, " ")
			default:
				r.header = append(r.header, [2]string{key, value})
			}
		}
		out = append(out, r)
	}
	return out, variables
}

var placeholder = regexp.MustCompile(`{{([a-z.]+)}}`)

// TestRequests: every request of docs/requests.http gets the answer that the file promises.
func TestRequests(t *testing.T) {
	requests, variables := readRequests(t, filepath.Join("..", "docs", "requests.http"))
	r := start(t)
	for _, name := range []string{system.Order, system.Payment, system.Product, system.Shipment} {
		if variables[name] == "" {
			t.Errorf("the file has no @%s", name)
		}
		variables[name] = r.URL(name)
	}
	fill := func(s string) string {
		return placeholder.ReplaceAllStringFunc(s, func(p string) string {
			value, ok := variables[strings.Trim(p, "{}")]
			if !ok {
				t.Errorf("nothing is known of %s", p)
			}
			return value
		})
	}
	for _, q := range requests {
		req, err := http.NewRequestWithContext(t.Context(), q.method, fill(q.url), strings.NewReader(fill(q.body)))
		if err != nil {
			t.Fatalf("%s: %v", q.title, err)
		}
		for _, h := range q.header {
			req.Header.Set(h[0], fill(h[1]))
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", q.title, err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != q.expect {
			t.Errorf("%s: %s %s: %s, expected %d: %v %s", q.title, q.method, q.url, resp.Status, q.expect, err, body)
		}
		if q.name == "" {
			continue
		}
		var answer map[string]any
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatalf("%s: %v", q.title, err)
		}
		for k, v := range answer {
			variables[q.name+".response.body."+k] = fmt.Sprint(v)
		}
	}
	if len(requests) < 10 {
		t.Errorf("only %d requests were found", len(requests))
	}
}
