// Package pattern holds the regular expressions of policies and permissions: RabbitMQ's
// users write them for PCRE.
package pattern

import (
	"regexp"
	"strings"
)

// Pattern is a regular expression, unanchored. Go's know no look-ahead; the one that
// people use, "^(?!a)b" for "b, but not a", is taken apart.
type Pattern struct {
	not *regexp.Regexp // nil: nothing is excepted
	is  *regexp.Regexp
}

// Compile reads an expression.
func Compile(expr string) (*Pattern, error) {
	const ahead = "^(?!"
	if rest, ok := strings.CutPrefix(expr, ahead); ok {
		if end := closing(rest); end >= 0 {
			not, err := regexp.Compile("^(?:" + rest[:end] + ")")
			if err != nil {
				return nil, err
			}
			is, err := regexp.Compile("^" + rest[end+1:])
			if err != nil {
				return nil, err
			}
			return &Pattern{not, is}, nil
		}
	}
	is, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &Pattern{nil, is}, nil
}

// Match reports whether the name fits.
func (p *Pattern) Match(name string) bool {
	return p.is.MatchString(name) && (p.not == nil || !p.not.MatchString(name))
}

// closing returns where the parenthesis is closed that was opened before s; -1 if
// nowhere, or if alternatives follow, of which the look-ahead belongs to the first only.
func closing(s string) int {
	depth, class, end := 1, false, -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 && end < 0 {
				end, depth = i, 1
			}
		case c == '|' && depth == 1 && end >= 0:
			return -1
		}
	}
	return end
}
