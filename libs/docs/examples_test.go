// Package docs holds the pages about the module, and tests of what they promise.
package docs

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/warren-mq/warren/libs"
	moduleRoot = ".."
)

// withoutExamples are the exported things that need none, with the reason.
var withoutExamples = map[string]string{
	modulePath + "/stream/streamtest.Run": "it takes a *testing.T; TestConformance of stream/memory is its use",
	modulePath + "/sqldb/sqldbtest.Each":  "it takes a *testing.T; the tests of outbox are its use",
}

// notImported are directories whose packages nobody imports: commands, and tests that are packages.
var notImported = []string{"cmd", "bench", "docs", "stream/interop"}

// TestEverythingExportedHasAnExample: every exported function and type is in an example that is run, that is one with its output:
// by its name, or as what the example is named after.
func TestEverythingExportedHasAnExample(t *testing.T) {
	mentioned := map[string]bool{}
	exported := map[string]token.Position{}
	fset := token.NewFileSet()
	for dir, files := range packages(t, fset) {
		importPath := path.Join(modulePath, dir)
		var sources []*ast.File
		for _, f := range files {
			if strings.HasSuffix(fset.Position(f.Pos()).Filename, "_test.go") {
				addMentions(mentioned, importPath, f)
			} else {
				sources = append(sources, f)
			}
		}
		p, err := doc.NewFromFiles(fset, sources, importPath)
		if err != nil {
			t.Fatal(err)
		}
		addExported(fset, exported, p)
	}
	for name, reason := range withoutExamples {
		if _, ok := exported[name]; !ok || mentioned[name] {
			t.Errorf("%s (%s) has an example, or is not there: take it off the list", name, reason)
		}
	}
	var missing []string
	for name := range exported {
		if !mentioned[name] && withoutExamples[name] == "" {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	for _, name := range missing {
		t.Errorf("no example with an output mentions %s (%s)", strings.TrimPrefix(name, modulePath+"/"), exported[name])
	}
	if len(exported) < 150 {
		t.Errorf("%d things are exported, there should be more", len(exported))
	}
}

// packages are the parsed files of every package of the module that others import, by directory.
func packages(t *testing.T, fset *token.FileSet) map[string][]*ast.File {
	t.Helper()
	all := map[string][]*ast.File{}
	err := filepath.WalkDir(moduleRoot, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(moduleRoot, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(notImported, filepath.ToSlash(rel)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		all[dir] = append(all[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// addExported adds what a package exports, by its full name.
func addExported(fset *token.FileSet, exported map[string]token.Position, p *doc.Package) {
	add := func(name string, at ast.Node) {
		if ast.IsExported(name) {
			exported[p.ImportPath+"."+name] = fset.Position(at.Pos())
		}
	}
	functions := func(fs []*doc.Func) {
		for _, f := range fs {
			add(f.Name, f.Decl)
		}
	}
	functions(p.Funcs)
	for _, typ := range p.Types {
		add(typ.Name, typ.Decl)
		functions(typ.Funcs)
	}
}

// addMentions adds what the examples of a package's file use.
func addMentions(mentioned map[string]bool, importPath string, f *ast.File) {
	imports := map[string]string{}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil || !strings.HasPrefix(p, modulePath) {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = p
	}
	for _, e := range doc.Examples(f) {
		if e.Output == "" && !e.EmptyOutput {
			continue
		}
		subject, _, _ := strings.Cut(e.Name, "_")
		mentioned[importPath+"."+subject] = true
		nodes := []ast.Node{e.Code}
		if e.Play != nil {
			nodes = append(nodes, e.Play) // with the declarations that the example needs
		}
		for _, n := range nodes {
			ast.Inspect(n, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && imports[x.Name] != "" {
						mentioned[imports[x.Name]+"."+s.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
}
