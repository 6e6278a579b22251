package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warren-mq/warren/libs/stream"
)

// block is a table of known keys and where it stands below a binding.
type block struct {
	prefix []string
	keys   properties
}

var blocks = []block{
	{[]string{"rabbit", "consumer"}, rabbitConsumerKeys}, {[]string{"rabbit", "producer"}, rabbitProducerKeys},
	{[]string{"consumer"}, consumerKeys}, {[]string{"producer"}, producerKeys}, {nil, bindingKeys},
}

// apply puts one entry into b.
func apply(b *stream.Binding, e entry) error {
	for _, block := range blocks {
		if len(block.prefix) > 0 && !e.below(block.prefix...) {
			continue
		}
		e := e.from(len(block.prefix))
		p, rest, err := block.keys.find(e.path)
		if err != nil {
			return e.errorf("%w", err)
		}
		if err := p.set(b, e, rest); err != nil {
			return e.errorf("%w", err)
		}
		return nil
	}
	return nil // the last block takes everything
}

// inOrder has entries that work on others come after them.
func inOrder(entries []entry) []entry {
	late := func(e entry) int {
		if canonical(e.path[len(e.path)-1]) == "bindingroutingkeydelimiter" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return late(a) - late(b) })
	return entries
}

// find returns the key that the segments name, and what of them is left.
func (t properties) find(path []string) (property, []string, error) {
	for n := len(path); n > 0; n-- {
		name := canonicalPath(path[:n])
		for key, p := range t {
			if canonical(key) == name && (n == len(path) || p.open) {
				return p, path[n:], nil
			}
		}
	}
	return property{}, nil, unknown(strings.Join(path, "."), t.names())
}

func (t properties) names() []string {
	names := make([]string, 0, len(t))
	for key := range t {
		names = append(names, key)
	}
	slices.Sort(names)
	return names
}

func canonicalPath(path []string) string {
	parts := make([]string, len(path))
	for i, s := range path {
		parts[i] = canonical(s)
	}
	return strings.Join(parts, ".")
}

// unknown is the error for a key that is none of the known ones.
func unknown(key string, known []string) error {
	nearest, best := "", len(key)
	for _, k := range known {
		if d := distance(canonical(key), canonical(k)); d < best {
			nearest, best = k, d
		}
	}
	if nearest == "" {
		return fmt.Errorf("unknown key %q, there are %s", key, strings.Join(known, ", "))
	}
	return fmt.Errorf("unknown key %q, the nearest is %q", key, nearest)
}

// distance is how many letters must be put in, taken out or changed to make one of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			above, row[j+1] = row[j+1], min(above+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Key is a known key of a binding, for documentation.
type Key struct {
	Block string // what is before it, "rabbit.consumer" for example
	Name  string // as Spring writes it
	Note  string // what differs from Spring, empty when nothing does
}

// Keys returns all known keys of bindings, in order.
func Keys() []Key {
	var all []Key
	for _, b := range blocks {
		for _, name := range b.keys.names() {
			all = append(all, Key{Block: strings.Join(b.prefix, "."), Name: name, Note: b.keys[name].note})
		}
	}
	return all
}
