package pattern

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		expr, yes, no string
	}{
		{"", "a bb", ""},
		{"b", "b abc", "a"},
		{"^b$", "b", "ab bb"},
		{"^(?!amq\\.).*", "q amqp", "amq.gen-1"},
		{"^(?!amq\\.)", "q", "amq.x"},
		{"^(?!a|b)c", "c cx", "a b xc"},
		{"^(?!a(1|2))a", "a a3", "a1 a2"},
		{"^(?![)x])y", "y", ")y x"},
		{"^(?!\\))y", "y", ")y"},
	} {
		p, err := Compile(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		for _, name := range strings.Fields(c.yes) {
			if !p.Match(name) {
				t.Errorf("%s does not match %s", c.expr, name)
			}
		}
		for _, name := range strings.Fields(c.no) {
			if p.Match(name) {
				t.Errorf("%s matches %s", c.expr, name)
			}
		}
	}
	for _, expr := range []string{"^(?!a)b|c", "^(?!a", "^(?!()b", "a(?!b)"} {
		if _, err := Compile(expr); err == nil {
			t.Errorf("%s was taken", expr)
		}
	}
}
