package routing

import (
	"fmt"
	"strings"

	"github.com/warren-mq/warren/broker/internal/message"
)

// headers matches the message's header table with the binding's arguments: all of them
// (x-match all, the default) or at least one (any). A void argument asks only that the
// header be there; any other must be equal in type and value. Arguments that start with
// x- don't count, unless x-match is all-with-x or any-with-x; x-match itself never does.
type headers struct {
	set   set
	rules []rule // one for each binding in set.list, at the same position
}

type rule struct {
	any  bool
	want message.Table
}

const matchArg = "x-match"

func newRule(args message.Table) rule {
	var r rule
	mode, _ := args.Get(matchArg)
	name, _ := mode.(string)
	base, withX := strings.CutSuffix(name, "-with-x")
	r.any = base == "any"
	for _, f := range args {
		if f.Key == matchArg || !withX && strings.HasPrefix(f.Key, "x-") {
			continue
		}
		r.want = append(r.want, f)
	}
	return r
}

func checkHeaders(args message.Table) error {
	mode, ok := args.Get(matchArg)
	if !ok {
		return nil
	}
	name, ok := mode.(string)
	if !ok {
		return fmt.Errorf("Invalid x-match field type %s (value %v); expected longstr", message.TypeName(mode), mode) //nolint:staticcheck // RabbitMQ's text
	}
	switch name {
	case "all", "any", "all-with-x", "any-with-x":
		return nil
	}
	return fmt.Errorf("Invalid x-match field value <<%q>>; expected all, any, all-with-x, or any-with-x", name) //nolint:staticcheck // RabbitMQ's text
}

func (r *rule) matches(have message.Table) bool {
	for _, f := range r.want {
		v, ok := have.Get(f.Key)
		ok = ok && (f.Value == nil || sameValue(f.Value, v))
		if ok == r.any {
			return ok // any: one that fits decides; all: one that doesn't
		}
	}
	return !r.any
}

// sameValue compares types and values, integers of all sizes by value. Tables and arrays can't be compared by ==.
func sameValue(a, b any) bool {
	if x, ok := message.Integer(a); ok {
		y, ok := message.Integer(b)
		return ok && x == y
	}
	switch a.(type) {
	case message.Table, []any, []byte:
		return message.Table{{Value: a}}.Equal(message.Table{{Value: b}})
	}
	switch b.(type) {
	case message.Table, []any, []byte:
		return false
	}
	return a == b
}

func (h *headers) Add(b Binding) {
	if h.set.add(b) {
		h.rules = append(h.rules, newRule(b.Args))
	}
}

func (h *headers) Remove(b Binding) {
	i := h.set.remove(b)
	if i < 0 {
		return
	}
	last := len(h.rules) - 1
	h.rules[i] = h.rules[last]
	h.rules[last] = rule{}
	h.rules = h.rules[:last]
}

func (h *headers) Match(m Message, visit func(dest uint64)) {
	if len(h.rules) == 0 {
		return
	}
	have := m.Headers()
	for i := range h.rules {
		if h.rules[i].matches(have) {
			visit(h.set.list[i].Dest)
		}
	}
}

func (h *headers) Len() int { return len(h.rules) }
