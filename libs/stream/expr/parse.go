package expr

import (
	"fmt"
	"regexp"
	"strconv"
)

// parser climbs precedences, from choice (weakest) to members (strongest).
type parser struct {
	lexer
	tok   token
	depth int
}

// The infix operators by their signs and words.
var infix = map[string]struct {
	power int // binds tighter than those with less
	op    string
}{
	"||": {1, "||"}, "or": {1, "||"}, "&&": {2, "&&"}, "and": {2, "&&"},
	"==": {3, "=="}, "eq": {3, "=="}, "!=": {3, "!="}, "ne": {3, "!="}, "matches": {3, "matches"},
	"<": {3, "<"}, "lt": {3, "<"}, "<=": {3, "<="}, "le": {3, "<="}, ">": {3, ">"}, "gt": {3, ">"}, ">=": {3, ">="}, "ge": {3, ">="},
	"+": {4, "+"}, "-": {4, "-"}, "*": {5, "*"}, "/": {5, "/"}, "%": {5, "%"}, "div": {5, "/"}, "mod": {5, "%"},
}

func (p *parser) parse() (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.choice()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.unexpected("an operator or the end")
	}
	return n, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected(wanted string) error {
	return fmt.Errorf("%s at %d, %s is expected", p.tok, p.tok.at+1, wanted)
}

func (p *parser) at(sign string) bool { return p.tok.kind == tokenSign && p.tok.text == sign }

func (p *parser) expect(sign string) error {
	if !p.at(sign) {
		return p.unexpected("'" + sign + "'")
	}
	return p.advance()
}

// choice is c ? a : b, and a ?: b.
func (p *parser) choice() (node, error) {
	if p.depth++; p.depth > depthMax {
		return nil, fmt.Errorf("nested deeper than %d", depthMax)
	}
	defer func() { p.depth-- }()
	n, err := p.operators(1)
	if err != nil {
		return nil, err
	}
	switch {
	case p.at("?:"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		otherwise, err := p.choice()
		return elvis{n, otherwise}, err
	case p.at("?"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		yes, err := p.choice()
		if err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		no, err := p.choice()
		return choose{n, yes, no}, err
	}
	return n, nil
}

// operators parses a chain of infix operators of at least the given power.
func (p *parser) operators(power int) (node, error) {
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	for p.tok.kind == tokenSign || p.tok.kind == tokenName {
		o, ok := infix[p.tok.text]
		if !ok || o.power < power {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		at := p.tok
		right, err := p.operators(o.power + 1)
		if err != nil {
			return nil, err
		}
		if left, err = newBinary(o.op, left, right); err != nil {
			return nil, fmt.Errorf("%s at %d: %w", at, at.at+1, err)
		}
	}
	return left, nil
}

func newBinary(op string, left, right node) (node, error) {
	if op != "matches" {
		return binary{op, left, right}, nil
	}
	lit, ok := right.(literal)
	text, isText := lit.v.(string)
	if !ok || !isText {
		return nil, fmt.Errorf("matches needs a text in quotes")
	}
	re, err := regexp.Compile(`\A(?:` + text + `)\z`)
	return matches{left, re}, err
}

func (p *parser) prefix() (node, error) {
	op := ""
	switch {
	case p.at("!"), p.tok.kind == tokenName && p.tok.text == "not":
		op = "!"
	case p.at("-"):
		op = "-"
	default:
		return p.members()
	}
	if p.depth++; p.depth > depthMax {
		return nil, fmt.Errorf("nested deeper than %d", depthMax)
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.prefix()
	return unary{op, n}, err
}

// members is a value with any number of .name, ?.name and [index] behind it.
func (p *parser) members() (node, error) {
	n, err := p.value()
	for err == nil {
		switch {
		case p.at("."), p.at("?."):
			if err = p.advance(); err != nil {
				return nil, err
			}
			if p.tok.kind != tokenName {
				return nil, p.unexpected("a name")
			}
			n = member{n, literal{p.tok.text}}
			if err = p.advance(); err == nil && p.at("(") {
				return nil, fmt.Errorf("'(' at %d: there are no methods", p.tok.at+1)
			}
		case p.at("["):
			if err = p.advance(); err != nil {
				return nil, err
			}
			var index node
			if index, err = p.choice(); err != nil {
				return nil, err
			}
			n, err = member{n, index}, p.expect("]")
		default:
			return n, nil
		}
	}
	return nil, err
}

func (p *parser) value() (n node, err error) {
	switch t := p.tok; {
	case t.kind == tokenText:
		n = literal{t.text}
	case t.kind == tokenNumber:
		n, err = number(t.text)
	case p.at("("):
		if err = p.advance(); err != nil {
			return nil, err
		}
		if n, err = p.choice(); err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case t.kind != tokenName:
		return nil, p.unexpected("a value")
	case t.text == "true", t.text == "false":
		n = literal{t.text == "true"}
	case t.text == "null":
		n = literal{nil}
	case t.text == "headers":
		n = headers{}
	case t.text == "payload":
		n = payload{}
	default:
		return nil, fmt.Errorf("%s at %d is unknown: there are headers and payload", t, t.at+1)
	}
	if err != nil {
		return nil, err
	}
	return n, p.advance()
}

func number(s string) (node, error) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return literal{i}, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is no number", s)
	}
	return literal{f}, nil
}
