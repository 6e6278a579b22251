package management

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Limits of a list's pages. Of lists longer than largeList the node makes largeAtOnce at
// once: however many tools ask, clients come first.
const (
	largeList   = 1000
	largeAtOnce = 1

	pageSizeDefault = 100
	pageSizeMax     = 500
	filterBytesMax  = 1024

	writeBytes = 32 << 10 // of a whole list, at once
)

// rows are a list before it is filtered, sorted and cut. An entry is made only when it is
// needed.
type rows struct {
	n     int
	name  func(i int) string // what the filter looks at
	alias func(i int) string // what it looks at as well; nil: nothing
	// entry returns an entry. It may make it in m, which is empty.
	entry func(i int, m map[string]any) map[string]any
	// key returns what an entry is sorted by, where that can be had without making the
	// entry; nil: it can't.
	key func(i int, path string) (any, bool)
}

func ready(list []map[string]any) rows {
	return rows{
		n: len(list), name: func(i int) string { s, _ := list[i]["name"].(string); return s },
		entry: func(i int, _ map[string]any) map[string]any { return list[i] },
	}
}

// listing is how a client wants a list: ?name= and ?use_regex, ?sort= and ?sort_reverse,
// ?columns=, ?page= and ?page_size=.
type listing struct {
	fits       func(string) bool
	sort       []string // a path into the entries; nil: as it is
	reverse    bool
	columns    [][]string
	page, size int // page 0: the whole list
}

// pageError refuses a page.
type pageError struct{ kind, reason string }

// Error returns the reason.
func (e *pageError) Error() string { return e.reason }

func parseListing(q url.Values) (*listing, error) {
	l := &listing{fits: func(string) bool { return true }, reverse: q.Get("sort_reverse") == "true", size: pageSizeDefault}
	if name := q.Get("name"); name != "" && len(name) <= filterBytesMax {
		l.fits = func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(name)) }
		if q.Get("use_regex") == "true" {
			re, err := regexp.Compile("(?i)" + name)
			if err != nil {
				return nil, fmt.Errorf("%w: name %q is no regular expression: %w", errBadRequest, name, err)
			}
			l.fits = re.MatchString
		}
	}
	if s := q.Get("sort"); s != "" {
		l.sort = strings.Split(s, ".")
	}
	if c := q.Get("columns"); c != "" {
		for col := range strings.SplitSeq(c, ",") {
			l.columns = append(l.columns, strings.Split(col, "."))
		}
	}
	for key, to := range map[string]*int{"page": &l.page, "page_size": &l.size} {
		text := q.Get(key)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%w: %s is %q, not a number from 1", errBadRequest, key, text)
		}
		*to = n
	}
	if l.size > pageSizeMax {
		return nil, &pageError{"page_size_too_large", fmt.Sprintf("page_size is %d, allowed are up to %d", l.size, pageSizeMax)}
	}
	return l, nil
}

// list answers with a list, as the client wants it.
func (h *handler) list(w http.ResponseWriter, r *request, all rows) error {
	l, err := parseListing(r.URL.Query())
	if err != nil {
		return err
	}
	if all.n > largeList {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-r.Context().Done():
			return nil // nobody waits for it any more
		}
	}
	var fit []int
	for i := range all.n {
		if l.fits(all.name(i)) || all.alias != nil && l.fits(all.alias(i)) {
			fit = append(fit, i)
		}
	}
	made := map[int]map[string]any{}
	entry := func(i int) map[string]any {
		if made[i] == nil {
			made[i] = all.entry(i, map[string]any{})
		}
		return made[i]
	}
	if l.sort != nil {
		all.order(fit, l.sort, entry)
	}
	if l.reverse {
		slices.Reverse(fit)
	}
	filtered := len(fit)
	if l.page > 0 {
		from := (l.page - 1) * l.size
		if from >= filtered && l.page > 1 {
			return &pageError{"page_out_of_range", fmt.Sprintf("Page out of range, page: %d page size: %d, len: %d", l.page, l.size, filtered)}
		}
		fit = fit[from:min(from+l.size, filtered)]
	}
	if l.page == 0 {
		l.whole(w, fit, func(i int, m map[string]any) map[string]any {
			if x := made[i]; x != nil {
				return x
			}
			return all.entry(i, m)
		})
		return nil
	}
	items := make([]map[string]any, 0, len(fit))
	for _, i := range fit {
		items = append(items, l.project(entry(i)))
	}
	write(w, http.StatusOK, map[string]any{
		"items": items, "page": l.page, "page_size": l.size, "item_count": len(items), "filtered_count": filtered,
		"total_count": all.n, "page_count": max((filtered+l.size-1)/l.size, 1),
	})
	return nil
}

// whole answers with all entries, one after the other: a large list is never in memory,
// and whoever else wants to work has its turn.
func (l *listing) whole(w http.ResponseWriter, fit []int, entry func(i int, m map[string]any) map[string]any) {
	begin(w, http.StatusOK)
	e := encoder{b: append(make([]byte, 0, 2*writeBytes), '[')}
	m := map[string]any{}
	for at, i := range fit {
		if at > 0 {
			e.b = append(e.b, ',')
		}
		clear(m)
		e.object(l.project(entry(i, m)))
		if len(e.b) < writeBytes {
			continue
		}
		if _, err := w.Write(e.b); err != nil {
			return // the client is gone
		}
		e.b = e.b[:0]
		runtime.Gosched()
	}
	if e.err != nil {
		panic(http.ErrAbortHandler) // a broken answer must not look whole
	}
	_, _ = w.Write(append(e.b, "]\n"...))
}

// sortKey is what an entry is sorted by: what is missing first, then numbers, then all else
// as text.
type sortKey struct {
	rank   int8
	number float64
	text   string
	i      int // the entry
}

func sortKeyOf(v any, i int) sortKey {
	if v == nil {
		return sortKey{i: i}
	}
	if x, ok := numeric(v); ok {
		return sortKey{rank: 1, number: x, i: i}
	}
	return sortKey{rank: 2, text: text(v), i: i}
}

func (k sortKey) compare(o sortKey) int {
	return cmp.Or(cmp.Compare(k.rank, o.rank), cmp.Compare(k.number, o.number), cmp.Compare(k.text, o.text))
}

// order sorts entries by what a path leads to.
func (all *rows) order(fit []int, path []string, entry func(int) map[string]any) {
	keys, name := make([]sortKey, len(fit)), strings.Join(path, ".")
	for at, i := range fit {
		if all.key != nil {
			if v, ok := all.key(i, name); ok {
				keys[at] = sortKeyOf(v, i)
				continue
			}
		}
		keys[at] = sortKeyOf(atPath(entry(i), path), i)
	}
	slices.SortStableFunc(keys, sortKey.compare)
	for at := range keys {
		fit[at] = keys[at].i
	}
}

// one answers with one object, and only the columns that the client wants.
func (h *handler) one(w http.ResponseWriter, r *request, v map[string]any) error {
	l, err := parseListing(url.Values{"columns": r.URL.Query()["columns"]})
	if err == nil {
		write(w, http.StatusOK, l.project(v))
	}
	return err
}

// atPath returns what a path leads to; nil if it leads nowhere.
func atPath(v any, path []string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// project returns the columns of an entry.
func (l *listing) project(m map[string]any) map[string]any {
	if l.columns == nil {
		return m
	}
	out := map[string]any{}
	for _, path := range l.columns {
		v := atPath(m, path)
		if v == nil {
			continue
		}
		to := out
		for _, key := range path[:len(path)-1] {
			next, ok := to[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				to[key] = next
			}
			to = next
		}
		to[path[len(path)-1]] = v
	}
	return out
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func numeric(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case uint32:
		return float64(n), true
	case uint16:
		return float64(n), true
	case float64:
		return n, true
	case bool:
		return float64(btoi(n)), true
	}
	return 0, false
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
