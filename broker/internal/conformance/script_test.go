package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// dialect is whose answers are meant.
type dialect byte

const (
	rabbit3 dialect = '3'
	rabbit4 dialect = '4'
	ours    dialect = 'w'
)

// row is one conversation.
type row struct {
	file, name string
	head       []string // comments and directives, as they stand
	steps      []*step

	on     []dialect // empty: all
	manual bool
	why    string
}

func (r *row) isOn(d dialect) bool { return len(r.on) == 0 || slices.Contains(r.on, d) }

// step is what one connection does, and what comes back. An answer that is nil was
// never recorded; an empty one is silence.
type step struct {
	text    string
	comment []string
	slow    time.Duration // how long the answer may take; 0: no time
	answers map[dialect][]string
}

// expected returns the lines that d must answer with.
func (s *step) expected(d dialect) ([]string, bool) {
	for _, k := range []dialect{d, rabbit4, rabbit3} {
		if k == rabbit3 && d == rabbit4 {
			continue
		}
		if a, ok := s.answers[k]; ok {
			return a, true
		}
	}
	return nil, false
}

const conversations = "testdata/conversations"

// readAll reads all files.
func readRows() ([]*row, error) {
	names, err := filepath.Glob(conversations + "/*.txt")
	if err != nil {
		return nil, err
	}
	var all []*row
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		rows, err := parseRows(strings.TrimSuffix(filepath.Base(name), ".txt"), string(b))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

var stepLine = regexp.MustCompile(`^>(?:\+(\S+))? (.+)$`)

func parseRows(file, content string) ([]*row, error) {
	var rows []*row
	var comment []string
	base := map[*step][]string{}
	var bases []*row
	for i, line := range strings.Split(content, "\n") {
		fail := func(what string) error { return fmt.Errorf("%s.txt:%d: %s: %s", file, i+1, what, line) }
		var r *row
		if len(rows) > 0 {
			r = rows[len(rows)-1]
		}
		switch {
		case strings.HasPrefix(line, "== "):
			rows = append(rows, &row{file: file, name: strings.TrimPrefix(line, "== ")})
			bases = append(bases, rows[len(rows)-1])
		case strings.TrimSpace(line) == "":
		case r == nil:
			return nil, fail("before the first row")
		case strings.HasPrefix(line, ">"):
			m := stepLine.FindStringSubmatch(line)
			if m == nil {
				return nil, fail("no step")
			}
			slow, err := time.ParseDuration("0" + m[1])
			if m[1] != "" && err != nil {
				return nil, fail(err.Error())
			}
			r.steps = append(r.steps, &step{text: m[2], slow: slow, comment: comment, answers: map[dialect][]string{}})
			comment = nil
		case strings.HasPrefix(line, "<"):
			if len(r.steps) == 0 {
				return nil, fail("an answer to nothing")
			}
			s := r.steps[len(r.steps)-1]
			tag, answer, _ := strings.Cut(line[1:], " ")
			if tag == "" {
				base[s] = append(base[s], answer)
				continue
			}
			d := dialect(tag[0])
			s.answers[d] = append(s.answers[d], answer)
			if answer == "-" {
				s.answers[d] = []string{}
			}
		case len(r.steps) > 0:
			comment = append(comment, line)
		default:
			r.head = append(r.head, line)
			if err := r.directive(line); err != nil {
				return nil, fail(err.Error())
			}
		}
	}
	for _, r := range bases {
		r.spread(base)
	}
	return rows, nil
}

func (r *row) directive(line string) error {
	word, arg, _ := strings.Cut(line, " ")
	switch word {
	case "#":
	case "manual":
		r.manual = true
	case "why":
		r.why = arg
	case "on":
		for _, d := range strings.Fields(arg) {
			r.on = append(r.on, dialect(d[0]))
		}
	default:
		return fmt.Errorf("unknown directive")
	}
	return nil
}

// lead is whose answers stand without a tag.
func (r *row) lead() dialect {
	for _, d := range []dialect{rabbit4, rabbit3} {
		if r.isOn(d) {
			return d
		}
	}
	return ours
}

// spread gives the untagged answers to whom they belong. A row in which no step has any
// was never recorded; one in which all have a tag was recorded from others only.
func (r *row) spread(base map[*step][]string) {
	recorded, tagged := false, true
	for _, s := range r.steps {
		recorded = recorded || base[s] != nil || len(s.answers) > 0
		tagged = tagged && base[s] == nil && len(s.answers) > 0
	}
	if !recorded || tagged {
		return
	}
	for _, s := range r.steps {
		lead := r.lead()
		if s.answers[lead] == nil {
			s.answers[lead] = append([]string{}, base[s]...)
		}
		if lead == rabbit4 && r.isOn(rabbit3) && s.answers[rabbit3] == nil {
			s.answers[rabbit3] = s.answers[lead]
		}
	}
}

// writeRows writes the files anew.
func writeRows(rows []*row) error {
	byFile := map[string]*strings.Builder{}
	for _, r := range rows {
		b := byFile[r.file]
		if b == nil {
			b = new(strings.Builder)
			byFile[r.file] = b
		} else {
			b.WriteString("\n")
		}
		r.write(b)
	}
	for file, b := range byFile {
		if err := os.WriteFile(filepath.Join(conversations, file+".txt"), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) write(b *strings.Builder) {
	fmt.Fprintf(b, "== %s\n", r.name)
	for _, l := range r.head {
		fmt.Fprintln(b, l)
	}
	for _, s := range r.steps {
		for _, l := range s.comment {
			fmt.Fprintln(b, l)
		}
		if s.slow > 0 {
			fmt.Fprintf(b, ">+%s %s\n", s.slow, s.text)
		} else {
			fmt.Fprintf(b, "> %s\n", s.text)
		}
		lead, led := s.answers[r.lead()]
		for _, l := range lead {
			fmt.Fprintf(b, "< %s\n", l)
		}
		for _, d := range []dialect{rabbit3, ours} {
			a, ok := s.answers[d]
			if !ok || d == r.lead() || led && slices.Equal(a, lead) {
				continue
			}
			if len(a) == 0 {
				a = []string{"-"}
			}
			for _, l := range a {
				fmt.Fprintf(b, "<%c %s\n", d, l)
			}
		}
	}
}
