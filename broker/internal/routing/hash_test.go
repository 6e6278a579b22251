package routing

import (
	"fmt"
	"math"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

const manyKeys = 20000

// shares returns how many of many keys go to each destination, and where each goes.
func shares(t *testing.T, m Matcher) (map[uint64]int, []uint64) {
	t.Helper()
	n := map[uint64]int{}
	where := make([]uint64, manyKeys)
	for i := range manyKeys {
		visits := 0
		m.Match(Message{Key: fmt.Sprintf("order-%d", i), Random: mix(uint64(i))}, func(d uint64) { where[i] = d; visits++ })
		if visits != 1 {
			t.Fatalf("key %d goes to %d destinations", i, visits)
		}
		n[where[i]]++
	}
	return n, where
}

func around(got int, share float64) bool {
	want := share * manyKeys
	return math.Abs(float64(got)-want) < 5*math.Sqrt(want) // five sigma
}

func TestConsistentHashFollowsWeights(t *testing.T) {
	m := mustNew(t, ConsistentHash)
	m.Add(Binding{Key: "1", Dest: 1})
	m.Add(Binding{Key: "2", Dest: 2})
	m.Add(Binding{Key: "5", Dest: 3})
	n, before := shares(t, m)
	if !around(n[1], 1./8) || !around(n[2], 2./8) || !around(n[3], 5./8) {
		t.Errorf("shares %v", n)
	}
	// A fourth takes its own share and moves nothing else.
	m.Add(Binding{Key: "2", Dest: 4})
	n, after := shares(t, m)
	if !around(n[4], 2./10) {
		t.Errorf("shares %v", n)
	}
	for i := range before {
		if before[i] != after[i] && after[i] != 4 {
			t.Fatalf("key %d went from %d to %d", i, before[i], after[i])
		}
	}
	m.Remove(Binding{Key: "2", Dest: 4})
	if _, again := shares(t, m); fmt.Sprint(again) != fmt.Sprint(before) {
		t.Error("with the same bindings, keys go elsewhere")
	}
}

// TestHashesDependOnBindingsOnly says that nodes with another history route alike.
func TestHashesDependOnBindingsOnly(t *testing.T) {
	for _, kind := range []string{ConsistentHash, ModulusHash} {
		a, b := mustNew(t, kind), mustNew(t, kind)
		for d := range uint64(6) {
			a.Add(Binding{Key: "3", Dest: d})
			b.Add(Binding{Key: "3", Dest: 5 - d})
		}
		a.Remove(Binding{Key: "3", Dest: 2})
		b.Remove(Binding{Key: "3", Dest: 2})
		_, left := shares(t, a)
		_, right := shares(t, b)
		if fmt.Sprint(left) != fmt.Sprint(right) {
			t.Errorf("%s: the order of bindings decides", kind)
		}
	}
}

func TestWhatIsHashed(t *testing.T) {
	props := func(id string) []byte {
		return message.Properties{Flags: message.HasMessageID, MessageID: id}.Append(nil)
	}
	for _, c := range []struct {
		name string
		args message.Table
		msg  func(i int) Message
		many bool // the message's value differs from one to the next
	}{
		{"key", nil, func(i int) Message { return Message{Key: fmt.Sprint(i)} }, true},
		{"not the header", nil, func(i int) Message { return Message{Headers: header("h", fmt.Sprint(i))} }, false},
		{"header", message.Table{{Key: "hash-header", Value: "h"}}, func(i int) Message { return Message{Headers: header("h", fmt.Sprint(i))} }, true},
		{"header, a number", message.Table{{Key: "hash-header", Value: "h"}}, func(i int) Message { return Message{Headers: header("h", int32(i))} }, true},
		{"header, not the key", message.Table{{Key: "hash-header", Value: "h"}}, func(i int) Message { return Message{Key: fmt.Sprint(i), Headers: header("g", "x")} }, false},
		{"property", message.Table{{Key: "hash-property", Value: "message_id"}}, func(i int) Message { return Message{Properties: props(fmt.Sprint(i))} }, true},
		{"another property", message.Table{{Key: "hash-property", Value: "correlation_id"}}, func(i int) Message { return Message{Properties: props(fmt.Sprint(i))} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := New(ConsistentHash, c.args)
			for d := range uint64(4) {
				m.Add(Binding{Key: "1", Dest: d})
			}
			hit := map[uint64]bool{}
			for i := range 100 {
				m.Match(c.msg(i), func(d uint64) { hit[d] = true })
			}
			if c.many != (len(hit) == 4) || !c.many && len(hit) != 1 {
				t.Errorf("%d destinations", len(hit))
			}
		})
	}
}

func header(key string, v any) func() message.Table {
	return func() message.Table { return message.Table{{Key: key, Value: v}} }
}

func TestRandomIsEven(t *testing.T) {
	m := mustNew(t, Random)
	m.Match(Message{}, func(uint64) { t.Error("a match without a binding") })
	for d := range uint64(4) {
		m.Add(Binding{Dest: d})
	}
	n, _ := shares(t, m)
	for d := range uint64(4) {
		if !around(n[d], 1./4) {
			t.Errorf("shares %v", n)
		}
	}
}

func TestLocalRandomStaysHere(t *testing.T) {
	m := mustNew(t, LocalRandom)
	m.Add(Binding{Dest: 1})
	m.Add(Binding{Dest: 2})
	for i := range uint64(50) {
		m.Match(Message{Random: mix(i), Local: func(d uint64) bool { return d == 2 }}, func(d uint64) {
			if d != 2 {
				t.Fatal("another node's queue")
			}
		})
	}
	m.Match(Message{Local: func(uint64) bool { return false }}, func(uint64) { t.Error("no queue is here") })
}
