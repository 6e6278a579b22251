package grafana_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// operator is the Go module of RabbitMQ's operator for Kubernetes, which has the
// dashboards, or the addresses where they are, and the alerting rules. It comes from the
// module proxy.
const operator = "github.com/rabbitmq/cluster-operator/v2@v2.16.0"

const (
	fetchTimeout = 2 * time.Minute
	pageTimeout  = 10 * time.Second
	boardMax     = 4 << 20
	localBoards  = "WARREN_TEST_BOARDS"
)

// board is a dashboard.
type board struct {
	Title      string
	Panels     []panel
	Templating struct{ List []variable }
}

type panel struct {
	Title   string
	Panels  []panel // of a row
	Targets []struct{ Expr string }
}

// variable is one that a dashboard's user chooses; only those of type query concern us.
type variable struct {
	Name, Type, Regex string
	Query             json.RawMessage // the text, or an object that has it
}

// text returns what is asked for the variable's values.
func (v variable) text() (string, error) {
	var s string
	if json.Unmarshal(v.Query, &s) == nil {
		return s, nil
	}
	var object struct{ Query string }
	err := json.Unmarshal(v.Query, &object)
	return object.Query, err
}

// each calls f for all panels, those in rows, too.
func each(panels []panel, f func(panel)) {
	for _, p := range panels {
		f(p)
		each(p.Panels, f)
	}
}

// rule is an alert or a record of the operator's rules.
type rule struct{ Alert, Record, Expr string }

// observability returns the operator's directory of dashboards and rules.
func observability(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetchTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", operator).Output()
	var module struct{ Dir string }
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Skipf("%s can't be fetched: %v", operator, err)
	}
	return filepath.Join(module.Dir, "observability")
}

// loadBoard reads a dashboard out of its ConfigMap: it is in there, or its URL is.
func loadBoard(ctx context.Context, file string) (*board, error) {
	var m struct{ Data map[string]string }
	if err := readYAML(file, &m); err != nil {
		return nil, err
	}
	for key, text := range m.Data {
		if strings.HasSuffix(key, ".url") {
			var err error
			if text, err = fetch(ctx, text); err != nil {
				return nil, err
			}
		}
		b := &board{}
		return b, json.Unmarshal([]byte(text), b)
	}
	return nil, fmt.Errorf("%s: no dashboard in it", file)
}

// errAway says that a dashboard is not to be had.
var errAway = errors.New("can't be fetched")

func fetch(ctx context.Context, url string) (string, error) {
	if dir := os.Getenv(localBoards); dir != "" {
		b, err := os.ReadFile(filepath.Join(dir, path.Base(url)))
		return string(b), err
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("%w (%s may name a directory that has it): %w", errAway, localBoards, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w: %s: %s", errAway, url, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, boardMax))
	return string(b), err
}

// loadRules reads all rules.
func loadRules(dir string) (all []rule, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "prometheus", "rules", "*", "*.yml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, f := range files {
		var doc struct {
			Spec struct{ Groups []struct{ Rules []rule } }
		}
		if err := readYAML(f, &doc); err != nil {
			return nil, err
		}
		for _, g := range doc.Spec.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all, nil
}

func readYAML(file string, to any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
