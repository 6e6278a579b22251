package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

type exportCmd struct {
	File   string `arg:"" help:"File to write; - is the standard output."`
	Single bool   `help:"Only the virtual host that -p names."`
	Format string `help:"Format: json." enum:"json,JSON" default:"json"`
}

// Run implements the command.
func (c *exportCmd) Run(s *session) error {
	path := "/api/definitions"
	if c.Single {
		path += "/" + url.PathEscape(s.vhost)
	}
	var v any
	if err := s.client.call(s.ctx, http.MethodGet, path, nil, &v); err != nil {
		return err
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if c.File == "-" {
		_, err = s.out.Write(b)
		return err
	}
	s.heading("Exporting definitions in JSON to a file at \"%s\" ...", c.File)
	return os.WriteFile(c.File, b, 0o600) // users' password hashes are in it
}

type importCmd struct {
	File   string `arg:"" help:"File to read; - is the standard input."`
	Single bool   `help:"Into the virtual host that -p names; users and the like are left out."`
}

// importPiece is how many entries one request carries.
const importPiece = 250

// definitionKinds are the lists of definitions, in the order in which they need one
// another.
var definitionKinds = []string{
	"global_parameters", "vhosts", "users", "permissions", "topic_permissions", "parameters", "policies", "exchanges", "queues", "bindings",
}

// Run implements the command: piece by piece, so that it can tell how far it is.
func (c *importCmd) Run(s *session) error {
	var b []byte
	var err error
	if c.File == "-" {
		b, err = io.ReadAll(io.LimitReader(s.in, replyBytesMax))
	} else {
		b, err = os.ReadFile(c.File)
	}
	if err != nil {
		return err
	}
	var d map[string]json.RawMessage
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	path := "/api/definitions"
	if c.Single {
		path += "/" + url.PathEscape(s.vhost)
	}
	lists, total := map[string][]json.RawMessage{}, 0
	for _, kind := range definitionKinds {
		var list []json.RawMessage
		if raw := d[kind]; raw != nil {
			if err := json.Unmarshal(raw, &list); err != nil {
				return fmt.Errorf("%s: %s: %w", c.File, kind, err)
			}
		}
		lists[kind] = list
		total += len(list)
	}
	s.heading("Importing definitions in JSON from \"%s\" ...", c.File)
	bar, done := s.progress("importing"), 0
	var refused []string
	for _, kind := range definitionKinds {
		for from := 0; from < len(lists[kind]); from += importPiece {
			piece := lists[kind][from:min(from+importPiece, len(lists[kind]))]
			err := s.client.call(s.ctx, http.MethodPost, path, map[string]any{kind: piece}, nil)
			var problem *apiError
			if err != nil && !errors.As(err, &problem) {
				return err
			}
			if problem != nil {
				if len(problem.refused) == 0 {
					return err
				}
				for _, r := range problem.refused {
					refused = append(refused, r.shifted(from))
				}
			}
			done += len(piece)
			bar.at(done, total)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("%d of %d entries were refused:\n  %s", len(refused), total, strings.Join(refused, "\n  "))
	}
	s.heading("Imported %d entries", total)
	return nil
}

// refusal is an entry that the node did not take.
type refusal struct{ Path, Reason string }

// shifted names the entry by its place in the file, of which the request had the part
// from index from on.
func (r refusal) shifted(from int) string {
	kind, rest, ok := strings.Cut(r.Path, "[")
	index, rest, closed := strings.Cut(rest, "]")
	var n int
	if _, err := fmt.Sscanf(index, "%d", &n); !ok || !closed || err != nil {
		return r.Path + ": " + r.Reason
	}
	return fmt.Sprintf("%s[%d]%s: %s", kind, n+from, rest, r.Reason)
}

// remarshal turns decoded JSON into a value of another type.
func remarshal(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}
