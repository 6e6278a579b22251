package auth

import (
	"sync"

	"github.com/warren-mq/warren/broker/internal/pattern"
)

// DefaultExchange is the name by which patterns know the exchange without a name.
const DefaultExchange = "amq.default"

// patternsMax limits how many compiled patterns are kept. Users share few; what does not
// fit is compiled again.
const patternsMax = 4096

// Patterns matches names against patterns and keeps the compiled ones. The zero value is
// ready; it may be used from many goroutines.
type Patterns struct {
	mu       sync.RWMutex
	compiled map[string]*pattern.Pattern // nil for a pattern that is none
}

// Match says if the pattern allows a name or a routing key. It matches anywhere, unless
// anchored; the empty one matches only the empty text, which is no resource's name. One
// that does not compile allows nothing.
func (p *Patterns) Match(expr, text string) bool {
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
	re, err := pattern.Compile(expr)
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
