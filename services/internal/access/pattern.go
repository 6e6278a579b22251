package access

import (
	"regexp"
	"slices"
	"strings"
)

// alternatives is a regular expression that fits names with dots in them, and nothing else. Names that go on alike share what
// comes behind: (authorized|declined)(\.order(\.dlq)?)?. RabbitMQ takes no long expressions.
func alternatives(names []string) string {
	behind := map[string][]string{} // what may follow a name's first word, "" for its end
	var words []string
	for _, n := range names {
		word, rest, more := strings.Cut(n, ".")
		if more {
			rest = "." + rest
		}
		if behind[word] == nil {
			words = append(words, word)
		}
		if !slices.Contains(behind[word], rest) {
			behind[word] = append(behind[word], rest)
		}
	}
	slices.Sort(words)
	alike := map[string][]string{} // words, by what may follow them
	var tails []string
	for _, w := range words {
		t := tail(behind[w])
		if alike[t] == nil {
			tails = append(tails, t)
		}
		alike[t] = append(alike[t], regexp.QuoteMeta(w))
	}
	out := make([]string, 0, len(tails))
	for _, t := range tails {
		out = append(out, group(alike[t])+t)
	}
	return group(out)
}

// tail is what follows a word.
func tail(rests []string) string {
	slices.Sort(rests)
	optional := rests[0] == ""
	if optional {
		rests = rests[1:]
	}
	if len(rests) == 0 {
		return ""
	}
	for i, r := range rests {
		rests[i] = strings.TrimPrefix(r, ".")
	}
	expr := `\.` + alternatives(rests)
	if optional {
		return "(" + expr + ")?"
	}
	return expr
}

func group(exprs []string) string {
	if len(exprs) == 1 {
		return exprs[0]
	}
	return "(" + strings.Join(exprs, "|") + ")"
}
