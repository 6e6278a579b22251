package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
)

// node is a part of a compiled expression.
type node interface{ eval(s Subject) (any, error) }

type (
	literal struct{ v any }
	headers struct{}
	payload struct{}
	member  struct{ of, key node }
	unary   struct {
		op string
		of node
	}
	binary struct {
		op          string
		left, right node
	}
	matches struct {
		left node
		re   *regexp.Regexp
	}
	choose struct{ cond, yes, no node }
	elvis  struct{ value, otherwise node }
)

func (l literal) eval(Subject) (any, error)   { return l.v, nil }
func (payload) eval(s Subject) (any, error)   { return normal(s.Payload()), nil }
func (headers) eval(Subject) (any, error)     { return nil, errors.New("headers need a key: headers['k']") }
func (c choose) eval(s Subject) (any, error)  { return pick(s, c) }
func (m matches) eval(s Subject) (any, error) { return match(s, m) }

func (m member) eval(s Subject) (any, error) {
	key, err := m.key.eval(s)
	if err != nil {
		return nil, err
	}
	if _, ok := m.of.(headers); ok {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("a header's name is text, not %s", kind(key))
		}
		return normal(s.Header(name)), nil
	}
	of, err := m.of.eval(s)
	if err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case map[string]any:
		if name, ok := key.(string); ok {
			return normal(of[name]), nil
		}
	case []any:
		if i, ok := key.(int64); ok {
			if i < 0 || i >= int64(len(of)) {
				return nil, nil //nolint:nilnil // null is a value
			}
			return normal(of[i]), nil
		}
	}
	return nil, nil //nolint:nilnil // null is a value
}

func (u unary) eval(s Subject) (any, error) {
	v, err := u.of.eval(s)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case bool:
		if u.op == "!" {
			return !v, nil
		}
	case int64:
		if u.op == "-" {
			return -v, nil
		}
	case float64:
		if u.op == "-" {
			return -v, nil
		}
	}
	return nil, fmt.Errorf("%s of %s has no meaning", u.op, kind(v))
}

func pick(s Subject, c choose) (any, error) {
	v, err := c.cond.eval(s)
	if err != nil {
		return nil, err
	}
	yes, ok := v.(bool)
	switch {
	case !ok:
		return nil, fmt.Errorf("a choice needs true or false, not %s", kind(v))
	case yes:
		return c.yes.eval(s)
	}
	return c.no.eval(s)
}

func match(s Subject, m matches) (any, error) {
	v, err := m.left.eval(s)
	if err != nil || v == nil {
		return false, err
	}
	return m.re.MatchString(written(v)), nil
}

func (e elvis) eval(s Subject) (any, error) {
	v, err := e.value.eval(s)
	if err != nil || v != nil && v != "" {
		return v, err
	}
	return e.otherwise.eval(s)
}

func (b binary) eval(s Subject) (any, error) {
	left, err := b.left.eval(s)
	if err != nil {
		return nil, err
	}
	if b.op == "&&" || b.op == "||" {
		return b.logic(s, left)
	}
	right, err := b.right.eval(s)
	if err != nil {
		return nil, err
	}
	switch b.op {
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "<", "<=", ">", ">=":
		return compare(b.op, left, right)
	}
	return arithmetic(b.op, left, right)
}

// logic looks at the right side only when the left one leaves it open.
func (b binary) logic(s Subject, left any) (any, error) {
	l, ok := left.(bool)
	if !ok {
		return nil, fmt.Errorf("%s of %s has no meaning", b.op, kind(left))
	}
	if l == (b.op == "||") {
		return l, nil
	}
	right, err := b.right.eval(s)
	if err != nil {
		return nil, err
	}
	if _, ok := right.(bool); !ok {
		return nil, fmt.Errorf("%s of %s has no meaning", b.op, kind(right))
	}
	return right, nil
}

func equal(a, b any) bool {
	x, okX := float(a)
	y, okY := float(b)
	if okX && okY {
		return x == y
	}
	return reflect.DeepEqual(a, b)
}

func compare(op string, a, b any) (any, error) {
	order := 0
	x, okX := float(a)
	y, okY := float(b)
	s, textA := a.(string)
	t, textB := b.(string)
	switch {
	case okX && okY:
		order = cmpOf(x < y, x > y)
	case textA && textB:
		order = cmpOf(s < t, s > t)
	default:
		return nil, fmt.Errorf("%s %s %s has no meaning", kind(a), op, kind(b))
	}
	switch op {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

func cmpOf(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

func arithmetic(op string, a, b any) (any, error) {
	_, textA := a.(string)
	_, textB := b.(string)
	if op == "+" && (textA || textB) {
		return written(a) + written(b), nil
	}
	i, wholeA := a.(int64)
	j, wholeB := b.(int64)
	if wholeA && wholeB {
		return whole(op, i, j)
	}
	x, okX := float(a)
	y, okY := float(b)
	if !okX || !okY {
		return nil, fmt.Errorf("%s %s %s has no meaning", kind(a), op, kind(b))
	}
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/":
		return x / y, nil
	}
	return math.Mod(x, y), nil
}

func whole(op string, i, j int64) (any, error) {
	switch op {
	case "+":
		return i + j, nil
	case "-":
		return i - j, nil
	case "*":
		return i * j, nil
	}
	if j == 0 {
		return nil, errors.New("division by zero")
	}
	if op == "/" {
		return i / j, nil
	}
	return i % j, nil
}

// normal makes one type of each kind of value: int64, float64, string.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case []byte:
		return string(v)
	}
	return v
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// written is a value as text; null is "null", as in Java.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case int64, float64:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}
