package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The formatters, by the names of rabbitmqctl's.
const (
	formatTable  = "table"
	formatPretty = "pretty_table"
	formatJSON   = "json"
	formatCSV    = "csv"
)

// heading prints what is being done, as rabbitmqctl does: for people only.
func (s *session) heading(format string, args ...any) {
	if !s.quiet && (s.format == formatTable || s.format == formatPretty) {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// warn says on the standard error what the caller may not have meant.
func (s *session) warn(format string, args ...any) {
	fmt.Fprintf(s.err, "brokerctl: warning: "+format+"\n", args...)
}

// table prints the values of some keys of each entry of a list; keys maps a column to the
// entry's key, where the two differ.
func (s *session) table(list []map[string]any, columns []string, keys map[string]string) error {
	key := func(column string) string {
		if k := keys[column]; k != "" {
			return k
		}
		return column
	}
	switch s.format {
	case formatJSON:
		objects := make([]map[string]any, len(list))
		for i, m := range list {
			objects[i] = make(map[string]any, len(columns))
			for _, c := range columns {
				objects[i][c] = value(m, key(c))
			}
		}
		return s.json(objects)
	case formatCSV:
		w := csv.NewWriter(s.out)
		if s.headers() {
			_ = w.Write(columns) // Error tells
		}
		for _, m := range list {
			_ = w.Write(row(m, columns, key))
		}
		w.Flush()
		return w.Error()
	case formatPretty:
		return s.pretty(list, columns, key)
	}
	if s.headers() {
		fmt.Fprintln(s.out, strings.Join(columns, "\t"))
	}
	for _, m := range list {
		fmt.Fprintln(s.out, strings.Join(row(m, columns, key), "\t"))
	}
	return nil
}

func (s *session) headers() bool { return !s.silent && !s.noHeaders }

func row(m map[string]any, columns []string, key func(string) string) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = cell(value(m, key(c)))
	}
	return cells
}

// value follows a key with dots.
func value(m map[string]any, key string) any {
	var v any = m
	for part := range strings.SplitSeq(key, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[part]
	}
	return v
}

func (s *session) json(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// pretty draws a box.
func (s *session) pretty(list []map[string]any, columns []string, key func(string) string) error {
	all := make([][]string, 0, len(list)+1)
	all = append(all, columns)
	for _, m := range list {
		all = append(all, row(m, columns, key))
	}
	width := make([]int, len(columns))
	for _, cells := range all {
		for i, c := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	line := func(left, middle, right string) {
		parts := make([]string, len(width))
		for i, w := range width {
			parts[i] = strings.Repeat("─", w+2)
		}
		fmt.Fprintln(s.out, left+strings.Join(parts, middle)+right)
	}
	line("┌", "┬", "┐")
	for i, cells := range all {
		padded := make([]string, len(cells))
		for j, c := range cells {
			padded[j] = " " + c + strings.Repeat(" ", width[j]-utf8.RuneCountInString(c)) + " "
		}
		fmt.Fprintln(s.out, "│"+strings.Join(padded, "│")+"│")
		if i < len(all)-1 {
			line("├", "┼", "┤")
		}
	}
	line("└", "┴", "┘")
	return nil
}

// cell renders a value as rabbitmqctl does.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		if x == float64(int64(x)) {
			return strconv.FormatInt(int64(x), 10)
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	case []any:
		parts := make([]string, len(x))
		for i := range x {
			parts[i] = cell(x[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		b, err := json.Marshal(x)
		if err != nil {
			return "?"
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

// facts prints names and values, one a line; in JSON, one object.
func (s *session) facts(names []string, values map[string]any) error {
	if s.format == formatJSON {
		return s.json(values)
	}
	list := make([]map[string]any, 0, len(names))
	for _, n := range names {
		list = append(list, map[string]any{"name": n, "value": values[n]})
	}
	if s.format != formatTable {
		return s.table(list, []string{"name", "value"}, nil)
	}
	for _, n := range names {
		fmt.Fprintf(s.out, "%s: %s\n", n, cell(values[n]))
	}
	return nil
}

// nearest returns the word that is least different.
func nearest(word string, words []string) string {
	best, bestCost := "", 1<<30
	for _, name := range words {
		if cost := distance(word, name); cost < bestCost || cost == bestCost && name < best {
			best, bestCost = name, cost
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
		}
	}
	return row[len(b)]
}

// bar shows how far long work has come.
type bar struct {
	out   io.Writer
	title string
	last  int // percent shown last
	live  bool
}

const barCells = 30

// progress begins a bar. On a terminal it moves; elsewhere it is a line for each quarter.
func (s *session) progress(title string) *bar {
	return &bar{out: s.err, title: title, last: -1, live: s.terminal}
}

func (b *bar) at(done, total int) {
	percent := 100
	if total > 0 {
		percent = min(done*100/total, 100)
	}
	if percent == b.last || !b.live && percent/25 == b.last/25 && b.last >= 0 {
		return
	}
	b.last = percent
	full := percent * barCells / 100
	line := fmt.Sprintf("%s [%s%s] %3d%% (%d of %d)", b.title, strings.Repeat("#", full), strings.Repeat(".", barCells-full), percent, done, total)
	if !b.live {
		fmt.Fprintln(b.out, line)
		return
	}
	fmt.Fprint(b.out, "\r"+line)
	if percent == 100 {
		fmt.Fprintln(b.out)
	}
}
