package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

// property is one known key.
type property struct {
	// set puts the value where it belongs. rest are the segments behind the key, of properties that are maps.
	set func(b *stream.Binding, e entry, rest []string) error
	// open says that rest may be anything.
	open bool
	// note, for people, says what differs from Spring; the documentation has it.
	note string
}

func (p property) noted(note string) property {
	p.note = note
	return p
}

// plain makes a property of a function on the text.
func plain(set func(b *stream.Binding, text string) error) property {
	return property{set: func(b *stream.Binding, e entry, _ []string) error { return set(b, strings.TrimSpace(e.text)) }}
}

func text(field func(*stream.Binding) *string) property {
	return plain(func(b *stream.Binding, s string) error {
		*field(b) = s
		return nil
	})
}

// whole is a number from 1 on: 0 in a field means the default, which whoever writes it does not mean.
func whole(field func(*stream.Binding) *int) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		if *field(b), err = number(s); err == nil && *field(b) < 1 {
			err = fmt.Errorf("%q: at least 1 is needed", s)
		}
		return err
	})
}

// wholeOrNone is a number, or -1 for none: Spring's own default.
func wholeOrNone(field func(*stream.Binding) *int) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		if *field(b), err = number(s); *field(b) == -1 {
			*field(b) = 0
		}
		return err
	})
}

func number(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number", s)
	}
	return n, nil
}

func real(field func(*stream.Binding) *float64) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		if *field(b), err = strconv.ParseFloat(s, 64); err != nil || math.IsNaN(*field(b)) {
			return fmt.Errorf("%q is no number", s)
		}
		return nil
	})
}

// factor is a number above 0.
func factor(field func(*stream.Binding) *float64) property {
	p := real(field)
	return plain(func(b *stream.Binding, s string) error {
		if err := p.set(b, entry{text: s}, nil); err != nil {
			return err
		}
		if *field(b) <= 0 {
			return fmt.Errorf("%q: more than 0 is needed", s)
		}
		return nil
	})
}

func boolean(field func(*stream.Binding) *bool) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		*field(b), err = truth(s)
		return err
	})
}

func truth(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

// onOff is for switches that are on by default, onOff(…).inverted for their opposites.
func onOff(field func(*stream.Binding) *stream.Switch) property {
	return plain(func(b *stream.Binding, s string) error {
		on, err := truth(s)
		if *field(b) = stream.Off; on {
			*field(b) = stream.On
		}
		return err
	})
}

// millis is a time longer than none: a number of milliseconds, or a number with its unit, 5s or 1m30s.
func millis(field func(*stream.Binding) *time.Duration) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		if *field(b), err = duration(s); err == nil && *field(b) == 0 {
			err = fmt.Errorf("%q: more than 0 is needed", s)
		}
		return err
	})
}

// millisOrNone is a time that may be none.
func millisOrNone(field func(*stream.Binding) *time.Duration) property {
	return plain(func(b *stream.Binding, s string) (err error) {
		*field(b), err = duration(s)
		return err
	})
}

func duration(s string) (time.Duration, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 && ms < math.MaxInt64/int64(time.Millisecond) {
		return time.Duration(ms) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time: use milliseconds, or a number with ms, s, m or h behind it", s)
	}
	return d, nil
}

// list is several texts: a YAML list, or one text with commas.
func list(field func(*stream.Binding) *[]string) property {
	return property{set: func(b *stream.Binding, e entry, _ []string) error {
		if !e.list {
			*field(b) = nil // it replaces what a default, or the file, said
		}
		*field(b) = append(*field(b), split(e.text, ",")...)
		return nil
	}}
}

func split(s, delimiter string) (out []string) {
	for part := range strings.SplitSeq(s, delimiter) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func wholes(field func(*stream.Binding) *[]int) property {
	return property{set: func(b *stream.Binding, e entry, _ []string) error {
		if !e.list {
			*field(b) = nil
		}
		for _, s := range split(e.text, ",") {
			n, err := number(s)
			if err != nil {
				return err
			}
			*field(b) = append(*field(b), n)
		}
		return nil
	}}
}

// table is a map; a value that looks like a number is one.
func table(field func(*stream.Binding) *map[string]any) property {
	return property{open: true, set: func(b *stream.Binding, e entry, rest []string) error {
		if len(rest) == 0 {
			return fmt.Errorf("it is a map: give it keys")
		}
		m := map[string]any{}
		for k, v := range *field(b) {
			m[k] = v
		}
		var v any = e.text
		if n, err := strconv.ParseInt(e.text, 10, 32); err == nil {
			v = int32(n)
		} else if t, err := strconv.ParseBool(e.text); err == nil {
			v = t
		}
		m[strings.Join(rest, ".")] = v
		*field(b) = m
		return nil
	}}
}

// oneOf is a text out of several; each of them may set something.
func oneOf(values map[string]func(*stream.Binding)) property {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return plain(func(b *stream.Binding, s string) error {
		for name, set := range values {
			if canonical(name) == canonical(s) {
				if set != nil {
					set(b)
				}
				return nil
			}
		}
		return fmt.Errorf("%q is not one of %s", s, strings.Join(names, ", "))
	})
}

// expression compiles the text.
func expression(set func(b *stream.Binding, e *expr.Expr)) property {
	return plain(func(b *stream.Binding, s string) error {
		e, err := expr.Compile(s)
		if err == nil {
			set(b, e)
		}
		return err
	})
}

// noEffect is a key that Spring knows and that has nothing to do here.
func noEffect(note string) property {
	return property{open: true, note: note, set: func(*stream.Binding, entry, []string) error { return nil }}
}

// only is a key of which one value is what happens here anyway, and any other cannot be had.
func only(value, note string) property {
	return plain(func(_ *stream.Binding, s string) error {
		if canonical(s) != canonical(value) {
			return fmt.Errorf("%q is not supported, only %s is: %s", s, value, note)
		}
		return nil
	}).noted("only `" + value + "`: " + note)
}

// missing is a key that Spring knows and that has another way here.
func missing(note string) property {
	return property{open: true, note: "not supported: " + note, set: func(*stream.Binding, entry, []string) error {
		return fmt.Errorf("not supported: %s", note)
	}}
}
