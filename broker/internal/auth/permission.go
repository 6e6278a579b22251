package auth

import (
	"fmt"
	"sync"

	"github.com/warren-mq/warren/broker/internal/pattern"
)

// DefaultExchange is the name by which patterns know the exchange without a name.
const DefaultExchange = "amq.default"

// Permissions are a user's patterns in a virtual host: regular expressions that match a
// name anywhere, unless anchored. The empty pattern matches only the empty name, which
// no resource has.
type Permissions struct {
	Configure, Write, Read string
}

// Check says which pattern is no regular expression; nil if all are.
func (p Permissions) Check() error {
	for _, f := range []struct{ name, pattern string }{
		{"configure", p.Configure}, {"write", p.Write}, {"read", p.Read},
	} {
		if _, err := compile(f.pattern); err != nil {
			return fmt.Errorf("%s pattern: %w", f.name, err)
		}
	}
	return nil
}

func compile(expr string) (*pattern.Pattern, error) {
	if expr == "" {
		expr = "^$"
	}
	return pattern.Compile(expr)
}

// patternsMax limits how many compiled patterns are kept. Users share few; what does not
// fit is compiled again.
const patternsMax = 4096

// Patterns matches names against patterns and keeps the compiled ones. The zero value is
// ready; it may be used from many goroutines.
type Patterns struct {
	mu       sync.RWMutex
	compiled map[string]*pattern.Pattern // nil for a pattern that is none
}

// Match says if the pattern allows the resource. A pattern that does not compile allows
// nothing.
func (p *Patterns) Match(expr, resource string) bool {
	if resource == "" {
		resource = DefaultExchange
	}
	return p.MatchText(expr, resource)
}

// MatchText says if the pattern allows a text that is no resource's name, such as a
// routing key.
func (p *Patterns) MatchText(expr, text string) bool {
	switch expr {
	case ".*": // what most users have
		return true
	case "":
		return text == ""
	}
	re := p.get(expr)
	return re != nil && re.Match(text)
}

func (p *Patterns) get(expr string) *pattern.Pattern {
	p.mu.RLock()
	re, ok := p.compiled[expr]
	p.mu.RUnlock()
	if ok {
		return re
	}
	re, err := compile(expr)
	if err != nil {
		re = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil || len(p.compiled) >= patternsMax {
		p.compiled = map[string]*pattern.Pattern{}
	}
	p.compiled[expr] = re
	return re
}
