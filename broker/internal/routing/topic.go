package routing

import (
	"fmt"
	"strings"
)

// topic matches words separated by dots: * stands for one word, # for any number of
// them, also none. The binding keys are the paths of a trie.
//
//	a.*.c   root ─ a ─ (*) ─ c
//	a.#     root ─ a ─ (#)
//
// A match walks the trie as a set of states, one step for each word, so a key costs at
// most words × nodes however many # the bindings have.
type topic struct {
	root *topicNode
	n    int
}

type topicNode struct {
	parent *topicNode
	word   string // how parent reaches it
	words  map[string]*topicNode
	star   *topicNode
	hash   *topicNode
	// isHash marks a node behind #, which stays active over any word. below marks one
	// that has such a node above it.
	isHash, below bool
	set           set
}

func newTopic() *topic { return &topic{root: new(topicNode)} }

// cutWord splits the first word of a key. more is false at the last one.
func cutWord(key string) (word, rest string, more bool) {
	return strings.Cut(key, ".")
}

// child returns the node behind a word of a binding key, nil if there is none.
func (n *topicNode) child(word string) *topicNode {
	switch word {
	case "*":
		return n.star
	case "#":
		if n.isHash {
			return n // # after # adds nothing
		}
		return n.hash
	}
	return n.words[word]
}

func (n *topicNode) grow(word string) *topicNode {
	c := &topicNode{parent: n, word: word, below: n.below || n.isHash}
	switch word {
	case "*":
		n.star = c
	case "#":
		c.isHash = true
		n.hash = c
	default:
		if n.words == nil {
			n.words = map[string]*topicNode{}
		}
		n.words[word] = c
	}
	return c
}

func (n *topicNode) empty() bool {
	return len(n.set.list) == 0 && len(n.words) == 0 && n.star == nil && n.hash == nil
}

// locate returns the node of a binding key. It is nil if there is none and grow is
// false. The empty key has no word at all.
func (t *topic) locate(key string, grow bool) *topicNode {
	n := t.root
	for more := key != ""; more; {
		var word string
		word, key, more = cutWord(key)
		c := n.child(word)
		if c == nil {
			if !grow {
				return nil
			}
			c = n.grow(word)
		}
		n = c
	}
	return n
}

func (t *topic) Add(b Binding) {
	if t.locate(b.Key, true).set.add(b) {
		t.n++
	}
}

func (t *topic) Remove(b Binding) {
	n := t.locate(b.Key, false)
	if n == nil || n.set.remove(b) < 0 {
		return
	}
	t.n--
	for n.parent != nil && n.empty() {
		p := n.parent
		switch n.word {
		case "*":
			p.star = nil
		case "#":
			p.hash = nil
		default:
			delete(p.words, n.word)
		}
		n = p
	}
}

func (t *topic) Match(m Message, visit func(dest uint64)) {
	key := m.Key
	var a, b [24]*topicNode // most matches need no more states than that
	now, next := activate(a[:0], nil, t.root), b[:0]
	for more := key != ""; more && len(now) > 0; {
		var word string
		word, key, more = cutWord(key)
		for _, n := range now {
			if n.isHash {
				next = append(next, n)
			}
			if c := n.words[word]; c != nil {
				next = activate(next, now, c)
			}
			if n.star != nil {
				next = activate(next, now, n.star)
			}
		}
		now, next = next, now[:0]
	}
	for _, n := range now {
		n.set.visit(visit)
	}
}

// activate adds n and the # behind it, which may stand for no word. A node has one
// parent, so it is reached once in each step; but for a # that is active from an
// earlier step and stays so by itself: before holds the states of that step.
func activate(states, before []*topicNode, n *topicNode) []*topicNode {
	states = append(states, n)
	if n.hash == nil {
		return states
	}
	if n.below {
		for _, o := range before {
			if o == n.hash {
				return states
			}
		}
	}
	return append(states, n.hash)
}

func (t *topic) Len() int { return t.n }

// topicHashesMax bounds the ways in which one key can match.
const topicHashesMax = 2

func checkTopic(key string) error {
	n := 0
	for word := range strings.SplitSeq(key, ".") {
		if word == "#" {
			n++
		}
	}
	if n > topicHashesMax {
		return fmt.Errorf("Topic binding key '%s' uses %d '#' wildcards, at most %d are allowed", key, n, topicHashesMax) //nolint:staticcheck // RabbitMQ's text
	}
	return nil
}
