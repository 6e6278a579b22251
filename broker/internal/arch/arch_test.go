// Package arch holds the broker's architecture as a test: which package may import
// which, and what the deterministic core must not touch. It parses the sources in this
// process, so that the test's result is never one cached from before a violation.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/warren-mq/warren/broker"

// layers lists what each package of internal/ may import from internal/. fault, the
// domain's errors, is open to all and not listed. A package missing here fails the test:
// whoever adds one decides where it stands.
var layers = map[string][]string{
	"fault":   nil,
	"process": nil, // for cmd/

	// The core.
	"message":  nil,
	"amqp":     {"message"},
	"amqp/gen": nil,
	"pattern":  nil,
	"routing":  {"message"},
	"queue":    {"message"},
	"metadata": {"message", "pattern", "routing", "queue"}, // policies become queues' settings

	// The shell.
	"storage":  nil,
	"resource": nil,
	"meter":    nil,
	"raftnode": {"storage"},
	"cluster":  {"raftnode", "storage"},

	// Composition.
	"auth":       {"pattern"},
	"certs":      nil,
	"proxy":      nil,
	"tracing":    {"message", "node"},
	"node":       {"message", "routing", "queue", "metadata", "storage", "raftnode", "cluster", "auth", "resource", "meter"},
	"server":     {"message", "amqp", "node", "proxy"},
	"management": {"message", "routing", "queue", "metadata", "cluster", "node", "auth", "server", "meter", "metrics"},
	"metrics":    {"metadata", "node", "meter", "pattern"},
	"sim":        {"storage", "sim/task"},
	"sim/task":   nil,
	"arch":       nil,

	"conformance": nil, // tests only
}

// core packages are deterministic: time and randomness are arguments, and they do no
// I/O. The codec (amqp) is no state machine, but keeps the same rules.
var core = []string{"message", "amqp", "pattern", "routing", "queue", "metadata"}

// impure is what the core must not import.
var impure = []string{
	"time", "os", "net", "sync", "log", "context", "math/rand", "math/rand/v2", "crypto/rand", "io/ioutil", "runtime", "syscall",
}

// The other modules. Of the broker only commands may use libs, and nobody services.
const (
	libsPath     = "github.com/warren-mq/warren/libs"
	servicesPath = "github.com/warren-mq/warren/services"
)

type file struct {
	path    string // from the module's root
	pkg     string // its directory, from the module's root
	test    bool
	imports []string
}

func TestLayers(t *testing.T) {
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if why := violation(f, imp); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imp, why)
			}
		}
	}
}

// violation says why f must not import imp; "" if it may.
func violation(f file, imp string) string {
	pkg, inside := strings.CutPrefix(f.pkg, "internal/")
	if strings.HasPrefix(imp, servicesPath) {
		return "the broker knows no service"
	}
	if strings.HasPrefix(imp, libsPath) && !strings.HasPrefix(f.pkg, "cmd/") && !f.test {
		return "only cmd/ may use libs"
	}
	if strings.HasPrefix(imp, modulePath+"/cmd/") {
		return "nobody imports a command"
	}
	if !inside {
		return ""
	}
	allowed, known := layers[pkg]
	if !known {
		return "package " + pkg + " is not in the table of layers"
	}
	if f.test {
		return "" // tests may look further
	}
	if slices.Contains(core, pkg) && slices.ContainsFunc(impure, func(p string) bool { return imp == p || strings.HasPrefix(imp, p+"/") }) {
		return "the core is deterministic"
	}
	target, inside := strings.CutPrefix(imp, modulePath+"/internal/")
	switch {
	case !inside:
		if imp == modulePath {
			return "internal packages don't import the public one"
		}
		return ""
	case target == "fault", target == pkg, strings.HasPrefix(target, pkg+"/"), strings.HasPrefix(pkg, target+"/"):
		return ""
	}
	for _, a := range allowed {
		if target == a || strings.HasPrefix(target, a+"/") {
			return ""
		}
	}
	return "not in its layer's list"
}

// files parses the imports of every Go file in the module.
func files(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("no module at %s: %v", root, err)
	}
	var out []file
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		ast, err := parser.ParseFile(set, path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		f := file{path: rel, pkg: strings.TrimSuffix(rel, "/"+filepath.Base(path)), test: strings.HasSuffix(rel, "_test.go")}
		for _, i := range ast.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no Go file found")
	}
	return out
}

func TestOnlyTheServerImportsTheCodec(t *testing.T) {
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if imp == modulePath+"/internal/amqp" && f.pkg != "internal/server" && !f.test {
				t.Errorf("%s imports the codec: frames stop at the server", f.path)
			}
		}
	}
}

// TestTheTestBites proves that a violation would be seen.
func TestTheTestBites(t *testing.T) {
	tests := []struct {
		pkg, imp string
		bad      bool
	}{
		{"internal/message", "time", true},
		{"internal/queue", "net/http", true},
		{"internal/queue", "math/rand/v2", true},
		{"internal/queue", "math/bits", false},
		{"internal/metadata", modulePath + "/internal/routing", false},
		{"internal/metadata", modulePath + "/internal/node", true},
		{"internal/raftnode", modulePath + "/internal/queue", true},
		{"internal/queue", modulePath + "/internal/fault", false},
		{"internal/newcomer", "fmt", true},
		{"internal/server", libsPath + "/run", true},
		{"cmd/broker", libsPath + "/run", false},
		{"cmd/broker", servicesPath + "/order", true},
		{"internal/server", modulePath, true},
	}
	for _, tt := range tests {
		if got := violation(file{pkg: tt.pkg}, tt.imp); (got != "") != tt.bad {
			t.Errorf("%s importing %s: %q", tt.pkg, tt.imp, got)
		}
	}
}
