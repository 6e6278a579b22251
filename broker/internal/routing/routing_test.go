package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

func mustNew(t testing.TB, exchangeType string) Matcher {
	t.Helper()
	m, ok := New(exchangeType, nil)
	if !ok {
		t.Fatalf("no type %s", exchangeType)
	}
	return m
}

func match(m Matcher, key string, h message.Table) []uint64 {
	var got []uint64
	m.Match(Message{Key: key, Headers: func() message.Table { return h }}, func(d uint64) { got = append(got, d) })
	slices.Sort(got)
	return got
}

func TestTypes(t *testing.T) {
	if _, ok := New("x-none", nil); ok {
		t.Error("an unknown type has a matcher")
	}
	for _, name := range []string{"direct", "fanout", "topic", "headers"} {
		t.Run(name, func(t *testing.T) {
			m := mustNew(t, name)
			bs := []Binding{
				{"a", nil, 1}, {"a", nil, 2}, {"a", message.Table{{Key: "k", Value: "v"}}, 1},
				{"a.b", nil, 1}, {"", nil, 3},
			}
			for range 2 { // the second time changes nothing
				for _, b := range bs {
					m.Add(b)
				}
			}
			if m.Len() != len(bs) {
				t.Errorf("Len = %d", m.Len())
			}
			m.Remove(Binding{"a", message.Table{{Key: "k", Value: "w"}}, 1})
			m.Remove(Binding{"never", nil, 1})
			if m.Len() != len(bs) {
				t.Errorf("Len = %d after removing nothing", m.Len())
			}
			for i, b := range bs {
				m.Remove(b)
				m.Remove(b)
				if m.Len() != len(bs)-1-i {
					t.Errorf("Len = %d", m.Len())
				}
			}
			if got := match(m, "a", nil); got != nil {
				t.Errorf("an empty exchange matches %v", got)
			}
		})
	}
}

func TestDirectAndFanout(t *testing.T) {
	d, f := mustNew(t, "direct"), mustNew(t, "fanout")
	for i := range uint64(100) {
		b := Binding{Key: fmt.Sprint("k", i%2), Dest: i}
		d.Add(b)
		f.Add(b)
	}
	if got := match(d, "k1", nil); len(got) != 50 || got[0] != 1 || got[49] != 99 {
		t.Errorf("direct: %v", got)
	}
	if got := match(d, "k", nil); got != nil {
		t.Errorf("direct, other key: %v", got)
	}
	if got := match(f, "whatever", nil); len(got) != 100 {
		t.Errorf("fanout: %v", got)
	}
	for i := range uint64(100) {
		if i != 42 {
			d.Remove(Binding{Key: fmt.Sprint("k", i%2), Dest: i})
			f.Remove(Binding{Key: fmt.Sprint("k", i%2), Dest: i})
		}
	}
	if got := match(d, "k0", nil); !slices.Equal(got, []uint64{42}) {
		t.Errorf("direct, the last one: %v", got)
	}
	if got := match(f, "", nil); !slices.Equal(got, []uint64{42}) {
		t.Errorf("fanout, the last one: %v", got)
	}
}

func TestTopicKeys(t *testing.T) {
	tests := []struct{ binding, yes, no string }{
		{"a.b.c", "a.b.c", "a.b a.b.c.d a.b.x A.b.c"},
		{"*", "a *", "a.b ε"},
		{"#", "ε a a.b . a..b", ""},
		{"a.*", "a.b a.", "a a.b.c b.a"},
		{"*.b", "a.b .b", "b a.b.c"},
		{"a.#", "a a.b a.b.c a.", "b ab ε"},
		{"#.c", "c a.c a.b.c c.c", "c.a ε"},
		{"a.#.c", "a.c a.b.c a.b.b.c a.c.c", "a c a.b"},
		{"#.#", "ε a a.b", ""},
		{"#.*", "a a.b a.b.c", "ε"},
		{"*.#", "a a.b a.b.c", "ε"},
		{"*.*.#", "a.b a.b.c", "a ε"},
		{"#.a.#", "a b.a a.b b.a.c a.a", "b ε"},
		{"#.a.#.b.#", "a.b a.x.b x.a.x.b.x", "b.a a ε"},
		{"ε", "ε", "a ."},
		{"..", "..", ". ... a.."},
		{"a.*.#.c", "a.b.c a.b.b.c", "a.c"},
	}
	name := func(s string) string { return strings.ReplaceAll(s, "ε", "") }
	for _, tt := range tests {
		t.Run(tt.binding, func(t *testing.T) {
			m := mustNew(t, "topic")
			m.Add(Binding{Key: name(tt.binding), Dest: 1})
			for _, k := range strings.Fields(tt.yes) {
				if got := match(m, name(k), nil); len(got) != 1 {
					t.Errorf("key %q: %v", k, got)
				}
			}
			for _, k := range strings.Fields(tt.no) {
				if got := match(m, name(k), nil); len(got) != 0 {
					t.Errorf("key %q: %v", k, got)
				}
			}
		})
	}
}

// glob is the definition of a topic match, for the test that compares.
func glob(pattern, words []string) bool {
	switch {
	case len(pattern) == 0:
		return len(words) == 0
	case pattern[0] == "#":
		return glob(pattern[1:], words) || len(words) > 0 && glob(pattern, words[1:])
	case len(words) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == words[0]) && glob(pattern[1:], words[1:])
}

func split(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

// TestTopicAgainstDefinition adds and removes random bindings and compares each match
// with the definition, number of visits included.
func TestTopicAgainstDefinition(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		randomKey := func(words []string) string {
			k := make([]string, r.IntN(6))
			for i := range k {
				k[i] = words[r.IntN(len(words))]
			}
			return strings.Join(k, ".")
		}
		m := mustNew(t, "topic")
		var have []Binding
		for range 60 {
			if r.IntN(3) == 0 && len(have) > 0 {
				i := r.IntN(len(have))
				m.Remove(have[i])
				have = slices.Delete(have, i, i+1)
			} else {
				b := Binding{Key: randomKey([]string{"a", "b", "*", "#", "#"}), Dest: r.Uint64N(3)}
				if !slices.ContainsFunc(have, func(o Binding) bool { return o.equal(&b) }) {
					have = append(have, b)
				}
				m.Add(b)
			}
			key := randomKey([]string{"a", "b", "c"})
			var want []uint64
			for _, b := range have {
				if glob(split(b.Key), split(key)) {
					want = append(want, b.Dest)
				}
			}
			slices.Sort(want)
			if got := match(m, key, nil); !slices.Equal(got, want) {
				t.Fatalf("seed %d: key %q matches %v, want %v of %v", seed, key, got, want, have)
			}
		}
		for _, b := range have {
			m.Remove(b)
		}
		if !m.(*topic).root.empty() {
			t.Fatalf("seed %d: nodes are left behind", seed)
		}
	}
}

// TestTopicManyHashes would take for ever if the cost grew with the number of ways in
// which a key matches.
func TestTopicManyHashes(t *testing.T) {
	m := mustNew(t, "topic")
	m.Add(Binding{Key: strings.Repeat("#.a.", 60) + "#.b", Dest: 1})
	if got := match(m, strings.Repeat("a.", 126)+"c", nil); got != nil {
		t.Error(got)
	}
	if got := match(m, strings.Repeat("a.", 126)+"b", nil); len(got) != 1 {
		t.Error(got)
	}
}

func TestHeaders(t *testing.T) {
	have := message.Table{
		{Key: "kind", Value: "pdf"}, {Key: "pages", Value: int32(3)}, {Key: "x-trace", Value: "on"},
		{Key: "tags", Value: []any{"a", int32(1)}}, {Key: "none", Value: nil},
	}
	tests := []struct {
		name string
		args message.Table
		want bool
	}{
		{"all is the default", message.Table{{Key: "kind", Value: "pdf"}, {Key: "pages", Value: int32(3)}}, true},
		{"all, one differs", message.Table{{Key: "x-match", Value: "all"}, {Key: "kind", Value: "pdf"}, {Key: "pages", Value: int32(4)}}, false},
		{"all, one is absent", message.Table{{Key: "kind", Value: "pdf"}, {Key: "owner", Value: "me"}}, false},
		{"all of nothing", nil, true},
		{"any, one fits", message.Table{{Key: "x-match", Value: "any"}, {Key: "kind", Value: "pdf"}, {Key: "owner", Value: "me"}}, true},
		{"any, none fits", message.Table{{Key: "x-match", Value: "any"}, {Key: "kind", Value: "doc"}, {Key: "owner", Value: "me"}}, false},
		{"any of nothing", message.Table{{Key: "x-match", Value: "any"}}, false},
		{"integers by value", message.Table{{Key: "pages", Value: int64(3)}}, true},
		{"types count", message.Table{{Key: "pages", Value: 3.0}}, false},
		{"void asks for presence", message.Table{{Key: "pages", Value: nil}}, true},
		{"void, absent", message.Table{{Key: "owner", Value: nil}}, false},
		{"void, present as void", message.Table{{Key: "none", Value: nil}}, true},
		{"all ignores x-", message.Table{{Key: "x-trace", Value: "off"}, {Key: "kind", Value: "pdf"}}, true},
		{"all-with-x doesn't", message.Table{{Key: "x-match", Value: "all-with-x"}, {Key: "x-trace", Value: "off"}}, false},
		{"all-with-x, equal", message.Table{{Key: "x-match", Value: "all-with-x"}, {Key: "x-trace", Value: "on"}}, true},
		{"any ignores x-", message.Table{{Key: "x-match", Value: "any"}, {Key: "x-trace", Value: "on"}}, false},
		{"any-with-x doesn't", message.Table{{Key: "x-match", Value: "any-with-x"}, {Key: "x-trace", Value: "on"}}, true},
		{"arrays", message.Table{{Key: "tags", Value: []any{"a", int32(1)}}}, true},
		{"other arrays", message.Table{{Key: "tags", Value: []any{"a"}}}, false},
		{"a string is no array", message.Table{{Key: "tags", Value: "a"}}, false},
		{"an array is no string", message.Table{{Key: "kind", Value: []any{"pdf"}}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustNew(t, "headers")
			m.Add(Binding{Args: tt.args, Dest: 1})
			if got := len(match(m, "", have)) == 1; got != tt.want {
				t.Errorf("got %t", got)
			}
			if err := Check("headers", Binding{Args: tt.args}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, v := range []any{"some", true, nil} {
		if err := Check("headers", Binding{Args: message.Table{{Key: "x-match", Value: v}}}); err == nil {
			t.Errorf("x-match %v is accepted", v)
		}
	}
	if err := Check("topic", Binding{Args: message.Table{{Key: "x-match", Value: "some"}}}); err != nil {
		t.Error(err)
	}
}

func TestHeadersRemoveKeepsTheOthers(t *testing.T) {
	m := mustNew(t, "headers")
	for i := range uint64(20) {
		m.Add(Binding{Args: message.Table{{Key: "n", Value: int64(i % 4)}}, Dest: i})
	}
	for i := range uint64(10) {
		m.Remove(Binding{Args: message.Table{{Key: "n", Value: int64(i % 4)}}, Dest: i})
	}
	if got := match(m, "", message.Table{{Key: "n", Value: int64(1)}}); !slices.Equal(got, []uint64{13, 17}) {
		t.Error(got)
	}
	called := false
	m.Match(Message{Headers: func() message.Table { called = true; return nil }}, func(uint64) {})
	if !called {
		t.Error("headers were not asked for")
	}
}

func BenchmarkMatch(b *testing.B) {
	h := message.Table{{Key: "tenant", Value: "t7"}, {Key: "kind", Value: "order"}}
	for _, name := range []string{"direct", "fanout", "topic", "headers"} {
		m := mustNew(b, name)
		n := 1000
		if name == "fanout" {
			n = 10
		}
		for i := range n {
			m.Add(Binding{fmt.Sprintf("shop.%d.*.#", i), message.Table{{Key: "tenant", Value: fmt.Sprint("t", i)}}, uint64(i)})
			m.Add(Binding{fmt.Sprintf("shop.%d.eu.placed", i), nil, uint64(i)})
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			visits := 0
			visit := func(uint64) { visits++ }
			table := func() message.Table { return h }
			for b.Loop() {
				m.Match(Message{Key: "shop.7.eu.placed", Headers: table}, visit)
			}
			if visits == 0 {
				b.Fatal("no match")
			}
		})
	}
}
