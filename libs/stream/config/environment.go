package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The prefixes of environment variables that are ours to understand.
const (
	envStream   = "SPRING_CLOUD_STREAM_"
	envFunction = "SPRING_CLOUD_FUNCTION_"
	envRabbit   = "SPRING_RABBITMQ_"
	envPoller   = "SPRING_INTEGRATION_POLLER_"
)

// fromEnvironment turns variables into entries. A name has no dots, so SPRING_CLOUD_STREAM_BINDINGS_ORDERS_IN_0_CONSUMER_MAXATTEMPTS
// is read from its end: the longest known key there is the key, what is before it the binding, one of the file's if it is like it.
func (c *Config) fromEnvironment(env map[string]string) (entries []entry, err error) {
	names := make([]string, 0, len(env))
	for name := range env {
		names = append(names, name)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		var path []string
		var err error
		upper := strings.ToUpper(name)
		if rest, ok := strings.CutPrefix(upper, envRabbit); ok {
			path = append([]string{"spring", "rabbitmq"}, wordsOf(rest, []string{"ssl.enabled"})...)
		} else if rest, ok := strings.CutPrefix(upper, envFunction); ok {
			path = []string{"spring", "cloud", "function", rest}
		} else if rest, ok := strings.CutPrefix(upper, envPoller); ok {
			path = []string{"spring", "integration", "poller", rest}
		} else if rest, ok := strings.CutPrefix(upper, envStream); ok {
			path, err = c.streamPath(rest)
		} else {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		entries = append(entries, entry{path: path, text: env[name], at: name})
	}
	return entries, errors.Join(errs...)
}

// wordsOf is one segment, or several when the name is that of a dotted key.
func wordsOf(name string, dotted []string) []string {
	for _, key := range dotted {
		if squeezed(key) == squeezed(name) {
			return strings.Split(key, ".")
		}
	}
	return []string{name}
}

// streamPath is the path of what stands behind SPRING_CLOUD_STREAM_.
func (c *Config) streamPath(name string) ([]string, error) {
	root := []string{"spring", "cloud", "stream"}
	for _, b := range []struct {
		prefix string
		head   []string
		blocks []block
		named  bool
	}{
		{"RABBIT_BINDINGS_", []string{"rabbit", "bindings"}, blocks[:2], true},
		{"BINDINGS_", []string{"bindings"}, blocks[2:], true},
		{"RABBIT_DEFAULT_", []string{"rabbit", "default"}, blocks[:2], false},
		{"DEFAULT_", []string{"default"}, blocks[2:], false},
	} {
		rest, ok := strings.CutPrefix(name, b.prefix)
		if !ok {
			continue
		}
		path := append(root, b.head...)
		binding, key, err := suffix(rest, b.blocks, b.named)
		if err != nil {
			return nil, err
		}
		if b.named {
			path = append(path, c.bindingLike(binding))
		}
		return append(path, key...), nil
	}
	if rest, ok := strings.CutPrefix(name, "RABBIT_BINDER_"); ok {
		return append(root, "rabbit", "binder", rest), nil
	}
	var dotted []string
	for key := range streamKeys {
		dotted = append(dotted, key)
	}
	return append(root, wordsOf(name, dotted)...), nil
}

// suffix splits a name at its longest known key.
func suffix(name string, blocks []block, named bool) (binding string, key []string, err error) {
	words := strings.Split(name, "_")
	first := 0
	if named {
		first = 1
	}
	var known []string
	for i := first; i < len(words); i++ {
		tail := squeezed(strings.Join(words[i:], ""))
		for _, b := range blocks {
			prefix := b.prefix
			if len(prefix) > 0 && prefix[0] == "rabbit" {
				prefix = prefix[1:]
			}
			for k := range b.keys {
				path := append(slices.Clone(prefix), strings.Split(k, ".")...)
				if squeezed(strings.Join(path, "")) == tail && (named || i == 0) {
					return strings.Join(words[:i], "_"), path, nil
				}
				if i == first {
					known = append(known, strings.Join(path, "."))
				}
			}
		}
	}
	slices.Sort(known)
	return "", nil, unknown(strings.ToLower(strings.Join(words[min(first, len(words)-1):], ".")), known)
}

// bindingLike is the binding of the file with that name in relaxed form; else the name in lower case with dashes.
func (c *Config) bindingLike(name string) string {
	for have := range c.bindings {
		if squeezed(have) == squeezed(name) {
			return have
		}
	}
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

// squeezed is a name without anything but letters and digits, in lower case.
func squeezed(s string) string { return strings.ToLower(lettersOnly.Replace(s)) }

var lettersOnly = strings.NewReplacer("-", "", "_", "", ".", "")
