package docs

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// rowOf splits a row of a table with three columns; a bar behind a backslash is text.
var rowOf = regexp.MustCompile(`^\| (.+) \| (.+) \| (.+) \|$`)

// TestConformancePage: every rule names a test, or says that there is none; every test and every file that is named exists.
func TestConformancePage(t *testing.T) {
	page, err := os.ReadFile("conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testsByPackage{}
	rules := 0
	for line := range bytes.Lines(page) {
		row := rowOf.FindStringSubmatch(strings.TrimSpace(string(line)))
		if row == nil || row[1] == "rule" {
			continue
		}
		rules++
		shown := quoted(row[3])
		if len(shown) == 0 && !strings.HasPrefix(row[2], "not there") {
			t.Errorf("no test shows: %s", row[1])
		}
		for _, name := range shown {
			if err := tests.find(name); err != "" {
				t.Errorf("%s: %s %s", row[1], name, err)
			}
		}
		for _, where := range quoted(row[2]) {
			if !strings.Contains(where, "/") {
				continue // a property
			}
			if _, err := os.Stat(filepath.Join(moduleRoot, where)); err != nil {
				t.Errorf("%s: %v", row[1], err)
			}
		}
	}
	if rules < 60 {
		t.Errorf("%d rules, there should be more", rules)
	}
}

// quoted are the texts between backticks.
func quoted(s string) (all []string) {
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			all = append(all, part)
		}
	}
	return all
}

// testsByPackage are the names of tests and examples, and the texts that may name a case, by directory.
type testsByPackage map[string]map[string]bool

// find looks for a test, written directory.Test, directory.Test/case, or streamtest/Case; it returns what is wrong, if something is.
func (p testsByPackage) find(name string) string {
	if c, ok := strings.CutPrefix(name, "streamtest/"); ok {
		if !p.of("stream/streamtest", "harness.go")[strconv.Quote(c)] {
			return "is no case of the suite"
		}
		return ""
	}
	dir, test, ok := strings.Cut(name, ".")
	if !ok {
		return "is not written directory.Test"
	}
	test, c, hasCase := strings.Cut(test, "/")
	names := p.of(dir, "*_test.go")
	switch {
	case !names[test]:
		return "does not exist"
	case hasCase && !names[strconv.Quote(c)]:
		return "has no such case"
	}
	return ""
}

// of reads the files of a directory: functions by their name, texts in quotes.
func (p testsByPackage) of(dir, pattern string) map[string]bool {
	if names := p[dir]; names != nil {
		return names
	}
	names := map[string]bool{}
	p[dir] = names
	files, _ := filepath.Glob(filepath.Join(moduleRoot, dir, pattern)) // the pattern is well-formed
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			continue // the compiler says it better
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[n.Name.Name] = true
			case *ast.BasicLit:
				names[n.Value] = true
			}
			return true
		})
	}
	return names
}
