package conformance

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/warren-mq/warren/broker/internal/message"
)

// fields splits a line at its spaces, except within quotes and brackets.
func fields(line string) []string {
	var out []string
	depth, quoted, start := 0, false, -1
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		}
		if c == ' ' && !quoted && depth == 0 {
			if start >= 0 {
				out = append(out, line[start:i])
			}
			start = -1
		} else if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, line[start:])
	}
	return out
}

// split cuts the inside of a list or table at its commas.
func split(s string) []string {
	if s == "" {
		return nil
	}
	var out []string
	depth, quoted, start := 0, false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// text reads a string: as it stands, or quoted as in Go.
func text(s string) (string, error) {
	if strings.HasPrefix(s, `"`) {
		return strconv.Unquote(s)
	}
	return s, nil
}

var bare = regexp.MustCompile(`^[\pL\pN_./*#@:$+~%&!?'()<>^;-]+$`)

// quote is text's inverse.
func quote(s string) string {
	if bare.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// entry reads key:type=value.
func entry(s string) (message.Field, error) {
	head, value, ok := strings.Cut(s, "=")
	key, kind, typed := strings.Cut(head, ":")
	if !typed || !ok && kind != "void" {
		return message.Field{}, fmt.Errorf("%q is not key:type=value", s)
	}
	v, err := parse(kind, value)
	if err != nil {
		return message.Field{}, fmt.Errorf("%q: %w", s, err)
	}
	return message.Field{Key: key, Value: v}, nil
}

func parse(kind, s string) (any, error) {
	switch kind {
	case "void":
		return nil, nil
	case "bool":
		return strconv.ParseBool(s)
	case "str":
		return text(s)
	case "bin":
		return hex.DecodeString(s)
	case "float":
		f, err := strconv.ParseFloat(s, 32)
		return float32(f), err
	case "double":
		return strconv.ParseFloat(s, 64)
	case "dec":
		scale, value, _ := strings.Cut(s, "/")
		n, err := strconv.ParseUint(scale, 10, 8)
		if err != nil {
			return nil, err
		}
		v, err := strconv.ParseInt(value, 10, 32)
		return message.Decimal{Scale: uint8(n), Value: int32(v)}, err
	case "arr":
		list := []any{}
		for _, e := range split(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")) {
			k, v, _ := strings.Cut(e, "=")
			x, err := parse(k, v)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		return list, nil
	case "table":
		t := message.Table{}
		for _, e := range split(strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")) {
			f, err := entry(e)
			if err != nil {
				return nil, err
			}
			t = append(t, f)
		}
		return t, nil
	}
	return parseInteger(kind, s)
}

func parseInteger(kind, s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "byte":
		return int8(n), nil
	case "ubyte":
		return uint8(n), nil
	case "short":
		return int16(n), nil
	case "ushort":
		return uint16(n), nil
	case "int":
		return int32(n), nil
	case "uint":
		return uint32(n), nil
	case "long":
		return n, nil
	case "time":
		return message.Timestamp(n), nil
	}
	return nil, fmt.Errorf("no field type %q", kind)
}

// show is parse's inverse, with the type in front.
func show(v any) (kind, s string) {
	switch v := v.(type) {
	case nil:
		return "void", ""
	case bool:
		return "bool", strconv.FormatBool(v)
	case string:
		return "str", quote(v)
	case []byte:
		return "bin", hex.EncodeToString(v)
	case int8:
		return "byte", fmt.Sprint(v)
	case uint8:
		return "ubyte", fmt.Sprint(v)
	case int16:
		return "short", fmt.Sprint(v)
	case uint16:
		return "ushort", fmt.Sprint(v)
	case int32:
		return "int", fmt.Sprint(v)
	case uint32:
		return "uint", fmt.Sprint(v)
	case int64:
		return "long", fmt.Sprint(v)
	case float32:
		return "float", fmt.Sprint(v)
	case float64:
		return "double", fmt.Sprint(v)
	case message.Timestamp:
		return "time", fmt.Sprint(int64(v))
	case message.Decimal:
		return "dec", fmt.Sprintf("%d/%d", v.Scale, v.Value)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			k, s := show(e)
			parts[i] = k + "=" + s
		}
		return "arr", "[" + strings.Join(parts, ",") + "]"
	case message.Table:
		parts := make([]string, len(v))
		for i, f := range v {
			parts[i] = showField(f)
		}
		return "table", "{" + strings.Join(parts, ",") + "}"
	}
	return fmt.Sprintf("%T", v), fmt.Sprint(v)
}

func showField(f message.Field) string {
	kind, s := show(f.Value)
	return quote(f.Key) + ":" + kind + "=" + s
}

var repetition = regexp.MustCompile(`\{\{(.)\*(\d+)\}\}`)

// expand writes repetitions out.
func expand(s string) string {
	return repetition.ReplaceAllStringFunc(s, func(m string) string {
		g := repetition.FindStringSubmatch(m)
		n, _ := strconv.Atoi(g[2])
		return strings.Repeat(g[1], n)
	})
}

// runMin is from how many on the same characters are written as a repetition.
const runMin = 24

// shorten is expand's inverse.
func shorten(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] == s[i] {
			j++
		}
		if j-i >= runMin {
			fmt.Fprintf(&b, "{{%c*%d}}", s[i], j-i)
		} else {
			b.WriteString(s[i:j])
		}
		i = j
	}
	return b.String()
}
