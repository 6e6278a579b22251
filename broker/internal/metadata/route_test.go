package metadata

import (
	"testing"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/routing"
)

func TestBindings(t *testing.T) {
	s := formed(t)
	s.must(declareQueue(Queue{Name: "q"}))
	s.must(declareQueue(Queue{Name: "r"}))
	s.must(declareExchange(Exchange{Name: "x"}))
	s.must(bindTo("x", "k", "q"))
	s.must(bindTo("x", "k", "q")) // once is enough
	s.must(bindTo("x", "k", "r"))
	s.routes("x", "k", "q r")
	s.routes("x", "other", "")
	s.routes("", "q", "q")
	s.routes("", "none", "")
	typed := &Command{Bind: &BindCommand{"/", Binding{Source: "x", Key: "k", Destination: "q", Args: args("a", int32(1))}}}
	s.must(typed) // another binding
	s.must(unbind(bindTo("x", "k", "q")))
	s.must(unbind(bindTo("x", "k", "q")))
	s.routes("x", "k", "q r")
	s.must(unbind(typed))
	s.routes("x", "k", "r")
	s.refused(bindTo("none", "k", "q"), fault.NotFound, "no exchange 'none' in vhost '/'")
	s.refused(bindTo("x", "k", "none"), fault.NotFound, "no queue 'none' in vhost '/'")
	s.refused(bindExchange("x", "k", "none"), fault.NotFound, "no exchange 'none' in vhost '/'")
	s.refused(bindTo("", "k", "q"), fault.AccessRefused, "operation not permitted on the default exchange")
	s.refused(unbind(bindTo("", "k", "q")), fault.AccessRefused, "operation not permitted on the default exchange")
	odd := &Command{Bind: &BindCommand{"/", Binding{Source: "amq.headers", Destination: "q", Args: args("x-match", "some")}}}
	s.refused(odd, fault.PreconditionFailed, "x-match")
	// With the queue its bindings go.
	s.must(&Command{QueueDelete: &QueueDelete{s.queueID("r")}})
	s.must(declareQueue(Queue{Name: "r"}))
	s.routes("x", "k", "")
}

func (s *topology) queueID(name string) uint64 {
	s.t.Helper()
	q, f := s.Queue("/", name)
	if f != nil {
		s.t.Fatal(f)
	}
	return q.ID
}

func TestAKeyMayBeAnyBytes(t *testing.T) {
	s := formed(t)
	s.must(declareQueue(Queue{Name: "q"}))
	s.must(bindTo("amq.direct", "\xff\x00", "q"))
	s.must(bindTo("amq.direct", "<&>", "q"))
	s.routes("amq.direct", "\xff\x00", "q")
	s.routes("amq.direct", "\xfe\x00", "")
	s.routes("amq.direct", "<&>", "q")
	s.must(unbind(bindTo("amq.direct", "\xff\x00", "q")))
	s.routes("amq.direct", "\xff\x00", "")
}

func TestExchangesBoundToExchanges(t *testing.T) {
	s := formed(t)
	for _, q := range []string{"q", "r"} {
		s.must(declareQueue(Queue{Name: q}))
	}
	for _, x := range []string{"x", "y", "z"} {
		s.must(declareExchange(Exchange{Name: x, Type: "fanout"}))
	}
	s.must(bindExchange("x", "", "y"))
	s.must(bindExchange("y", "", "z"))
	s.must(bindExchange("z", "", "x")) // round and round
	s.must(bindTo("x", "", "q"))
	s.must(bindTo("z", "", "q"))
	s.must(bindTo("z", "", "r"))
	for _, x := range []string{"x", "y", "z"} {
		s.routes(x, "any", "q r")
	}
	into := []*Queue{{Name: "mine"}}
	qs, _ := s.Route("/", "x", routing.Message{Headers: func() message.Table { return nil }}, into)
	if len(qs) != 3 || qs[0] != into[0] {
		t.Fatalf("%d queues", len(qs))
	}
	s.must(&Command{ExchangeDelete: &ExchangeDelete{VHost: "/", Name: "y"}})
	s.routes("x", "any", "q")
	s.routes("z", "any", "q r")
	s.must(declareExchange(Exchange{Name: "in", Internal: true}))
	if f := s.MayPublish("/", "in"); f == nil || f.Text != "cannot publish to internal exchange 'in' in vhost '/'" {
		t.Fatal(f)
	}
	s.must(bindExchange("x", "", "in"))
	s.must(bindTo("in", "k", "r"))
	s.routes("x", "k", "q r")
	if _, f := s.Route("gone", "", routing.Message{Key: "q"}, nil); f == nil || f.Kind != fault.NotAllowed {
		t.Fatalf("routed in a virtual host that is not: %v", f)
	}
}

func TestAlternateExchanges(t *testing.T) {
	s := formed(t)
	for _, q := range []string{"q", "lost", "lost2"} {
		s.must(declareQueue(Queue{Name: q}))
	}
	s.must(declareExchange(Exchange{Name: "last", Type: "fanout"}))
	s.must(bindTo("last", "", "lost2"))
	s.must(declareExchange(Exchange{Name: "alt", Internal: true, Args: args("alternate-exchange", "last")}))
	s.must(declareExchange(Exchange{Name: "x", Args: args("alternate-exchange", "alt")}))
	s.must(bindTo("x", "k", "q"))
	s.must(bindTo("alt", "known", "lost"))
	s.routes("x", "k", "q")
	s.routes("x", "known", "lost")
	s.routes("x", "unknown", "lost2")
	// An exchange that matched an exchange has matched, whatever comes of it.
	s.must(declareExchange(Exchange{Name: "dead end"}))
	s.must(bindExchange("x", "through", "dead end"))
	s.routes("x", "through", "")
	// And one whose queue had the message already.
	s.must(declareExchange(Exchange{Name: "y", Args: args("alternate-exchange", "last")}))
	s.must(bindTo("y", "k", "q"))
	s.must(bindExchange("x", "k", "y"))
	s.routes("x", "k", "q")
	// One that does not exist, or leads back.
	s.must(declareExchange(Exchange{Name: "self", Args: args("alternate-exchange", "self")}))
	s.must(declareExchange(Exchange{Name: "nowhere", Args: args("alternate-exchange", "missing")}))
	s.routes("self", "k", "")
	s.routes("nowhere", "k", "")
	// By policy; the argument comes first.
	s.must(declareExchange(Exchange{Name: "plain"}))
	s.must(policy("ae", "^(plain|x)$", "exchanges", 0, map[string]any{"alternate-exchange": "last"}))
	s.routes("plain", "k", "lost2")
	s.routes("x", "known", "lost")
	s.must(&Command{PolicyClear: &PolicyClear{VHost: "/", Name: "ae"}})
	s.routes("plain", "k", "")
}

func TestAutoDeleteExchangesGoWithTheirLastBinding(t *testing.T) {
	s := formed(t)
	there := func(want string) {
		t.Helper()
		got := ""
		for _, name := range []string{"a", "b", "c", "d"} {
			if _, f := s.Exchange("/", name); f == nil {
				got += name
			}
		}
		if got != want {
			t.Fatalf("exchanges %q, want %q", got, want)
		}
	}
	for _, x := range []string{"a", "b", "c", "d"} {
		s.must(declareExchange(Exchange{Name: x, AutoDelete: x != "d"}))
	}
	s.must(declareQueue(Queue{Name: "q"}))
	s.must(declareQueue(Queue{Name: "r"}))
	// a → b → c → q: with q all go, but d stays, and so does what never had a binding.
	s.must(bindExchange("a", "", "b"))
	s.must(bindExchange("b", "", "c"))
	s.must(bindExchange("d", "", "a"))
	s.must(bindTo("c", "", "q"))
	s.must(bindTo("c", "", "r"))
	there("abcd")
	s.must(unbind(bindTo("c", "", "r")))
	s.must(unbind(bindTo("c", "", "r")))
	there("abcd")
	s.must(&Command{QueueDelete: &QueueDelete{s.queueID("q")}})
	there("d")
	if x, _ := s.Exchange("/", "d"); len(x.Bindings) != 0 {
		t.Fatalf("bindings %v", x.Bindings)
	}
	s.must(declareExchange(Exchange{Name: "a", AutoDelete: true}))
	s.must(unbind(bindTo("a", "", "r")))
	there("ad")
	s.must(&Command{QueueDelete: &QueueDelete{s.queueID("r")}})
	there("ad")
	s.must(declareQueue(Queue{Name: "r"}))
	s.must(bindTo("a", "", "r"))
	s.must(unbind(bindTo("a", "", "r")))
	there("d")
	s.routes("d", "", "")
}
