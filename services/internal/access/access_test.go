package access

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write services/docs/access.md anew")

const pageFile = "../../docs/access.md"

// TestPage: the page in the documentation is what the users are.
func TestPage(t *testing.T) {
	var b strings.Builder
	fmt.Fprint(&b, `# Who may do what at the broker

Written by a test from [internal/access](../internal/access): do not edit. Each service has a user of its own, with a random
password in a file; `+"`guest`"+` gets in from the broker's own machine only. The words are RabbitMQ's: *configure* declares and deletes,
*write* publishes to an exchange and binds a queue, *read* consumes from a queue and binds to an exchange.

A service may configure and write what it publishes to; configure, write and read its queues; configure the exchanges that
those are bound to, and read them. It prepares the queues of those who hear it: without that an event would be lost on a service
that has never run, and a broker lets nobody declare a queue with a dead-letter exchange who may not read that queue. Each
queue has one for failed messages beside it, with `+"`.dlq`"+` behind its name, reached through the exchange `+"`"+deadLetters+"`"+`.

| user | publishes to | consumes from | prepares | tags at the management API |
|---|---|---|---|---|
`)
	for _, u := range Users() {
		if u.Everything {
			fmt.Fprintf(&b, "| %s | everything | everything | everything | %s |\n", u.Name, names(u.Tags))
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", u.Name, names(u.Publishes), names(u.Consumes), names(u.Prepares), names(u.Tags))
	}
	if *update {
		if err := os.WriteFile(pageFile, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(pageFile)
	if err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the users are (%v); go test ./services/internal/access -run TestPage -update writes it", pageFile, err)
	}
}

func names(list []string) string {
	if len(list) == 0 {
		return "–"
	}
	return strings.Join(list, ", ")
}

func read(t *testing.T, dir string) (d definitions) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, DefinitionsFile))
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestEnsure: passwords are made once, are not alike, and may be chosen.
func TestEnsure(t *testing.T) {
	dir := t.TempDir()
	if err := Ensure(dir); err != nil {
		t.Fatal(err)
	}
	first, seen := read(t, dir), map[string]bool{}
	for i, u := range Users() {
		p, err := Read(dir, PasswordFile(u.Name))
		if err != nil || seen[p] || first.Users[i].Hash != hash(p) {
			t.Errorf("%s: %v", u.Name, err)
		}
		seen[p] = true
	}
	before, _ := os.ReadFile(filepath.Join(dir, DefinitionsFile))
	if err := Ensure(dir); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, DefinitionsFile)); !bytes.Equal(before, after) {
		t.Error("the second time changes something")
	}
	file := filepath.Join(dir, PasswordFile(Operator))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("chosen by somebody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(dir); err != nil {
		t.Fatal(err)
	}
	last := read(t, dir)
	if u := last.Users[len(last.Users)-1]; u.Name != Operator || u.Hash != hash("chosen by somebody") {
		t.Errorf("%+v", u)
	}
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(dir); err == nil {
		t.Error("a short password is taken")
	}
}

// TestHash: the example of RabbitMQ's documentation.
func TestHash(t *testing.T) {
	if got := salted([]byte{0x90, 0x8d, 0xc6, 0x0a}, "test12"); got != "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR" {
		t.Error(got)
	}
}

// TestPatterns: they fit the names that they are made of, nothing else, and are short.
func TestPatterns(t *testing.T) {
	names := []string{"a", "a.b", "a.b.dlq", "c.b", "c.d.b", "x-y", "x-y.b", "x-y.b.dlq"}
	expr := "^" + alternatives(names) + "$"
	for _, n := range append(names, "a.b.c", "ab", "c", "c.d", "c.b.dlq", "a.b.dlq.dlq", "x-y.dlq", "", "xa", "aXb") {
		if fits := regexp.MustCompile(expr).MatchString(n); fits != slices.Contains(names, n) {
			t.Errorf("%s fits %q: %v", expr, n, fits)
		}
	}
	for _, u := range Users() {
		for _, x := range []struct {
			expr  string
			names []string
		}{{u.Configure(), u.queues()}, {u.Write(), u.Publishes}, {u.Read(), u.Consumes}} {
			for _, n := range x.names {
				if !regexp.MustCompile(x.expr).MatchString(n) {
					t.Errorf("%s: %s does not fit %s", u.Name, x.expr, n)
				}
			}
			if len(x.expr) > expressionCharsMax {
				t.Errorf("%s has %d characters: %s", u.Name, len(x.expr), x.expr)
			}
		}
	}
}

// expressionCharsMax is below what RabbitMQ refuses.
const expressionCharsMax = 1000

// TestNobodyReachesAnother: no service reads what it does not hear, or publishes what it does not tell.
func TestNobodyReachesAnother(t *testing.T) {
	for _, c := range []struct {
		user, write, read string // names that it must not reach
	}{
		{"payment", "order.placed", "order.placed.product"}, {"product", "payment.authorized", "payment.authorized.shipment"},
		{"shipment", "stock.reserved", "order.placed.payment"}, {"order", "payment.captured", "stock.reserved.shipment"},
		{"observer", "order.placed", "order.placed.payment"},
	} {
		for _, u := range Users() {
			if u.Name != c.user {
				continue
			}
			if regexp.MustCompile(u.Write()).MatchString(c.write) {
				t.Errorf("%s may publish to %s", u.Name, c.write)
			}
			if regexp.MustCompile(u.Read()).MatchString(c.read) {
				t.Errorf("%s may read %s", u.Name, c.read)
			}
			if regexp.MustCompile(u.Configure()).MatchString("order-placed") {
				t.Errorf("%s: a name is an expression", u.Name)
			}
		}
	}
}
