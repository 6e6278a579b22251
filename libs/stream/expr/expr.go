// Package expr compiles the small part of Spring's expression language that bindings are configured with: routing keys,
// partition keys, delays, the choice of a function, filters of dead letters.
//
//	'text' "text" 12 1.5 true false null    literals; a quote in a text is written twice
//	headers['k'] headers.k                  a header, or what Spring knows by that name: see stream.Message.Header
//	payload payload.customer.id payload[0]  the payload, as JSON; null where there is nothing
//	a?.b a['b'] a[0]                        members; a missing one is null
//	a + b                                   sum, or text put together as soon as one side is text
//	a - b   a * b   a / b   a % b   -a      numbers; whole ones stay whole
//	== != < <= > >=   eq ne lt le gt ge     comparison
//	a matches 'regexp'                      the whole text matches (RE2 syntax)
//	&& || !   and or not                    logic, of booleans only
//	c ? a : b   a ?: b                      choice; a unless it is null or ""
//
// There are no methods, types, beans, assignments or constructors: nothing in an expression can do anything.
package expr

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Limits of an expression.
const (
	BytesMax = 4096 // of its text
	depthMax = 64   // of its nesting
)

// Subject is what an expression is about.
type Subject interface {
	// Header returns a header, nil when there is none.
	Header(key string) any
	// Payload returns the payload as encoding/json decodes it into an any, with numbers as json.Number; or text when it is no JSON.
	Payload() any
}

// Expr is a compiled expression. It is safe for concurrent use.
type Expr struct {
	text string
	root node
}

// Compile parses an expression. Its error names the place and what was expected there.
func Compile(text string) (*Expr, error) {
	if len(text) > BytesMax {
		return nil, fmt.Errorf("expr: %d bytes, at most %d are allowed", len(text), BytesMax)
	}
	p := &parser{lexer: lexer{text: text}}
	root, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("expr: %q: %w", text, err)
	}
	return &Expr{text: text, root: root}, nil
}

// String returns the text that was compiled.
func (e *Expr) String() string { return e.text }

// Eval returns a string, int64, float64, bool, nil, []any, map[string]any, or whatever a header holds.
func (e *Expr) Eval(s Subject) (any, error) {
	v, err := e.root.eval(s)
	if err != nil {
		return nil, fmt.Errorf("expr: %q: %w", e.text, err)
	}
	return normal(v), nil
}

// Text evaluates to text: numbers and booleans are written out, null is an error.
func (e *Expr) Text(s Subject) (string, error) {
	v, err := e.Eval(s)
	if err != nil {
		return "", err
	}
	switch v.(type) {
	case nil:
		return "", fmt.Errorf("expr: %q is null", e.text)
	case string, int64, float64, bool:
		return written(v), nil
	}
	return "", fmt.Errorf("expr: %q is %s, text is needed", e.text, kind(v))
}

// Int evaluates to a whole number; text that is one is, too.
func (e *Expr) Int(s Subject) (int64, error) {
	v, err := e.Eval(s)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case int64:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < math.MaxInt64/2 {
			return int64(v), nil
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("expr: %q is %s, a whole number is needed", e.text, kind(v))
}

// Millis evaluates to a time in milliseconds; null is none.
func (e *Expr) Millis(s Subject) (time.Duration, error) {
	v, err := e.Eval(s)
	if err != nil || v == nil {
		return 0, err
	}
	n, err := e.Int(s)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > math.MaxUint32 {
		return 0, fmt.Errorf("expr: %q is %d ms, allowed are 0 to %d", e.text, n, uint32(math.MaxUint32))
	}
	return time.Duration(n) * time.Millisecond, nil
}

// Bool evaluates to a boolean.
func (e *Expr) Bool(s Subject) (bool, error) {
	v, err := e.Eval(s)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("expr: %q is %s, true or false is needed", e.text, kind(v))
	}
	return b, nil
}
