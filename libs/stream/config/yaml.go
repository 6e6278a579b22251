package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// flatten turns the document into entries, in its order.
func flatten(doc []byte, env map[string]string) ([]entry, error) {
	if len(doc) > BytesMax {
		return nil, fmt.Errorf("config: %d bytes of YAML, at most %d are allowed", len(doc), BytesMax)
	}
	var root any
	if err := yaml.UnmarshalWithOptions(doc, &root, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	f := flattener{env: env}
	if _, ok := root.(yaml.MapSlice); !ok && root != nil {
		return nil, errors.New("config: the YAML is no map")
	}
	err := f.walk(nil, root, 0)
	return f.entries, err
}

type flattener struct {
	env     map[string]string
	entries []entry
}

func (f *flattener) walk(path []string, v any, depth int) error {
	if depth > depthMax {
		return fmt.Errorf("config: %s is nested deeper than %d", strings.Join(path, "."), depthMax)
	}
	switch v := v.(type) {
	case yaml.MapSlice:
		for _, item := range v {
			key := fmt.Sprint(item.Key)
			if err := f.walk(append(path[:len(path):len(path)], segments(key)...), item.Value, depth+1); err != nil {
				return err
			}
		}
		return nil
	case []any:
		for i, item := range v {
			switch item.(type) {
			case yaml.MapSlice, []any:
				return fmt.Errorf("config: %s holds more than plain values", strings.Join(path, "."))
			}
			if err := f.add(path, item, true); err != nil {
				return err
			}
			f.entries[len(f.entries)-1].at += "[" + strconv.Itoa(i) + "]"
			f.entries[len(f.entries)-1].list = i > 0
		}
		return nil
	case nil:
		return nil
	}
	return f.add(path, v, false)
}

func (f *flattener) add(path []string, v any, list bool) error {
	at := strings.Join(path, ".")
	text, err := expand(fmt.Sprint(v), f.env)
	if err != nil {
		return fmt.Errorf("config: %s: %w", at, err)
	}
	f.entries = append(f.entries, entry{path: path, text: text, list: list, at: at})
	return nil
}

// segments splits a key at its dots; what stands in brackets is one segment.
func segments(key string) (out []string) {
	for key != "" {
		if rest, ok := strings.CutPrefix(key, "["); ok {
			name, after, _ := strings.Cut(rest, "]")
			out = append(out, name)
			key = strings.TrimPrefix(after, ".")
			continue
		}
		i := strings.IndexAny(key, ".[")
		if i < 0 {
			return append(out, key)
		}
		if i > 0 {
			out = append(out, key[:i])
		}
		key = strings.TrimPrefix(key[i:], ".")
	}
	return out
}

var placeholder = regexp.MustCompile(`\$\{([^}:]+)(?::([^}]*))?\}`)

// expand replaces ${NAME} and ${NAME:default} by the environment.
func expand(s string, env map[string]string) (string, error) {
	var missing string
	out := placeholder.ReplaceAllStringFunc(s, func(match string) string {
		part := placeholder.FindStringSubmatch(match)
		for _, name := range []string{part[1], strings.ToUpper(strings.NewReplacer(".", "_", "-", "").Replace(part[1]))} {
			if v, ok := env[name]; ok {
				return v
			}
		}
		if !strings.Contains(match, ":") {
			missing = part[1]
		}
		return part[2]
	})
	if missing != "" {
		return "", fmt.Errorf("${%s} is not set and has no default", missing)
	}
	return out, nil
}
