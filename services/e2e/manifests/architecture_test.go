package manifests

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

var update = flag.Bool("update", false, "write services/docs/architecture.md anew")

const page = "services/docs/architecture.md"

// TestArchitecture: the pictures are what the compose file and the tables of the saga say.
func TestArchitecture(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	want := "# Architecture in pictures\n\nWritten by a test from `docker-compose.yml` and the tables in [internal/saga](../internal/saga): do not edit. In words:\n" +
		"[the broker](../../broker/ARCHITECTURE.md), [why choreography](decisions/0001-choreography.md), [the tour](tour.md).\n\n" +
		"## Who speaks with whom\n\nContainers, and the addresses that each is given of others.\n\n" + c.picture() +
		"\n## Who tells whom\n\nEvents between services, through the brokers; [their life](saga.md) in full.\n\n" + flows()
	file := filepath.Join(root, page)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what is there (%v); go test ./services/e2e/manifests -run TestArchitecture -update writes it", page, err)
	}
}

type compose struct {
	Services map[string]struct {
		Environment map[string]string
		DependsOn   map[string]any `json:"depends_on"`
	}
}

var address = regexp.MustCompile(`(?:^|//|@|,)([a-z0-9-]+):(\d+)`)

// picture has an arrow from a container to each whose address is among its settings. The proxy's are in its own file.
func (c compose) picture() string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart LR\n    client([you]) -->|HTTP| order\n")
	names := slices.Sorted(maps.Keys(c.Services))
	for _, from := range names {
		ports := map[string][]string{}
		for _, key := range slices.Sorted(maps.Keys(c.Services[from].Environment)) {
			for _, m := range address.FindAllStringSubmatch(c.Services[from].Environment[key], -1) {
				if _, there := c.Services[m[1]]; there && m[1] != from && !slices.Contains(ports[m[1]], m[2]) {
					ports[m[1]] = append(ports[m[1]], m[2])
				}
			}
		}
		if from == "haproxy" {
			for to := range c.Services[from].DependsOn {
				ports[to] = []string{"5672"}
			}
		}
		for _, to := range slices.Sorted(maps.Keys(ports)) {
			slices.Sort(ports[to])
			fmt.Fprintf(&b, "    %s -->|%s| %s\n", from, strings.Join(ports[to], ", "), to)
		}
		if len(ports) == 0 {
			fmt.Fprintf(&b, "    %s\n", from)
		}
	}
	return b.String() + "```\n"
}

// flows has an arrow for each pair of services, with the events that go that way.
func flows() string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart LR\n")
	for _, from := range saga.Services() {
		told := map[string][]string{}
		for _, e := range events.All() {
			if !slices.Contains(from.Tells(), e.Type()) && (from != saga.Stock || e.Type() != events.ProductListed{}.Type()) {
				continue
			}
			for _, to := range saga.Subscribers(e.Destination()) {
				told[to] = append(told[to], e.Type())
			}
		}
		for _, to := range slices.Sorted(maps.Keys(told)) {
			fmt.Fprintf(&b, "    %s -->|%s| %s\n", from.Name, strings.Join(told[to], "<br>"), to)
		}
	}
	return b.String() + "```\n"
}
