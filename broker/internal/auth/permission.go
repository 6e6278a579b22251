package auth

import (
	"fmt"
	"regexp"
	"sync"
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

func compile(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		pattern = "^$"
	}
	return regexp.Compile(pattern)
}

// patternsMax limits how many compiled patterns are kept. Users share few; what does not
// fit is compiled again.
const patternsMax = 4096

// Patterns matches names against patterns and keeps the compiled ones. The zero value is
// ready; it may be used from many goroutines.
type Patterns struct {
	mu       sync.RWMutex
	compiled map[string]*regexp.Regexp // nil for a pattern that is none
}

// Match says if the pattern allows the resource. A pattern that does not compile allows
// nothing.
func (p *Patterns) Match(pattern, resource string) bool {
	if resource == "" {
		resource = DefaultExchange
	}
	switch pattern {
	case ".*": // what most users have
		return true
	case "":
		return false
	}
	re := p.get(pattern)
	return re != nil && re.MatchString(resource)
}

func (p *Patterns) get(pattern string) *regexp.Regexp {
	p.mu.RLock()
	re, ok := p.compiled[pattern]
	p.mu.RUnlock()
	if ok {
		return re
	}
	re, err := compile(pattern)
	if err != nil {
		re = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil || len(p.compiled) >= patternsMax {
		p.compiled = map[string]*regexp.Regexp{}
	}
	p.compiled[pattern] = re
	return re
}
