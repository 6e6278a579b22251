// Package docs holds no code: its tests keep the documents true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

const root = "../.."

var (
	row    = regexp.MustCompile("(?m)^\\| .* \\| \\[`([^`]+)`\\]\\(([^)]+)\\) \\| (.*) \\|$")
	symbol = regexp.MustCompile("`([^`]+)`")
	link   = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// TestTour: every file of the tour is there, and declares what is named beside it.
func TestTour(t *testing.T) {
	text, err := os.ReadFile("tour.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 25 {
		t.Errorf("only %d rows could be read", len(rows))
	}
	for _, r := range rows {
		path := filepath.Join(root, r[1])
		declared := declarations(t, path)
		for _, s := range symbol.FindAllStringSubmatch(r[3], -1) {
			if !slices.Contains(declared, s[1]) {
				t.Errorf("%s declares no %s", r[1], s[1])
			}
		}
	}
}

// declarations are the names of a file's functions, methods, types, constants and variables.
func declarations(t *testing.T, path string) (out []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			out = append(out, d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					out = append(out, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						out = append(out, n.Name)
					}
				}
			}
		}
	}
	return out
}

// TestLinks: what the documents of the first look refer to is there.
func TestLinks(t *testing.T) {
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "services/docs/tour.md", "services/docs/architecture.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s refers to %s: %v", page, m[1], err)
			}
		}
	}
}
