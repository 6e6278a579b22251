package tracestore

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of a store.
const (
	DefaultStoreBytesMax = 256 << 20
	traceSpansMax        = 20_000 // of one trace; more are dropped and the trace says so
	DefaultSearchLimit   = 20
	searchLimitMax       = 1500
)

// Store keeps traces until their estimated size exceeds its bound; the one that has been silent longest goes first.
// Safe for concurrent use.
type Store struct {
	bytesMax int

	mu     sync.RWMutex
	bytes  int
	traces map[string]*list.Element // of *record
	order  *list.List               // least recently extended first
}

// record is a stored trace.
type record struct {
	id      string
	spans   []Span
	seen    map[string]bool // span ids: an exporter that retries sends twice
	bytes   int
	dropped int
}

// NewStore returns a store of at most bytesMax estimated bytes (DefaultStoreBytesMax when 0).
func NewStore(bytesMax int) *Store {
	return &Store{bytesMax: cmp.Or(bytesMax, DefaultStoreBytesMax), traces: map[string]*list.Element{}, order: list.New()}
}

// Add stores spans.
func (s *Store) Add(spans []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range spans {
		e := s.traces[sp.TraceID]
		if e == nil {
			e = s.order.PushBack(&record{id: sp.TraceID, seen: map[string]bool{}})
			s.traces[sp.TraceID] = e
		} else {
			s.order.MoveToBack(e)
		}
		s.bytes += e.Value.(*record).add(sp)
	}
	for s.bytes > s.bytesMax && s.order.Len() > 0 {
		oldest := s.order.Front()
		r := oldest.Value.(*record)
		s.bytes -= r.bytes
		delete(s.traces, r.id)
		s.order.Remove(oldest)
	}
}

// add returns the bytes the span took.
func (r *record) add(sp Span) int {
	key := sp.SpanID + "/" + fmt.Sprint(sp.Tag("span.kind")) // Zipkin-style peers share one id between client and server
	if r.seen[key] {
		return 0
	}
	if len(r.spans) >= traceSpansMax {
		r.dropped++
		return 0
	}
	r.seen[key] = true
	r.spans = append(r.spans, sp)
	n := sp.bytes()
	r.bytes += n
	return n
}

// Trace returns a trace by its id; shorter ids are padded with zeros. ok is false when it is not here.
func (s *Store) Trace(id string) (t Trace, ok bool) {
	id = padded(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.traces[id]
	if e == nil {
		return Trace{}, false
	}
	return e.Value.(*record).trace(), true
}

func padded(id string) string {
	id = strings.ToLower(id)
	if len(id) < 32 {
		id = strings.Repeat("0", 32-len(id)) + id
	}
	return id
}

// trace is the record in Jaeger's shape: spans by start, processes numbered.
func (r *record) trace() Trace {
	t := Trace{TraceID: r.id, Spans: slices.Clone(r.spans), Processes: map[string]Process{}}
	slices.SortStableFunc(t.Spans, func(a, b Span) int { return cmp.Compare(a.StartTime, b.StartTime) })
	ids := map[string]string{}
	for i := range t.Spans {
		p := t.Spans[i].process
		key := fmt.Sprint(p)
		if ids[key] == "" {
			ids[key] = fmt.Sprintf("p%d", len(ids)+1)
			t.Processes[ids[key]] = p
		}
		t.Spans[i].ProcessID = ids[key]
	}
	if r.dropped > 0 {
		t.Warnings = []string{fmt.Sprintf("%d spans beyond %d were dropped", r.dropped, traceSpansMax)}
	}
	return t
}

// Query selects traces; zero fields select all.
type Query struct {
	Service, Operation       string
	Tags                     map[string]string // of one span; "error"="true" and the like compare as text
	Start, End               time.Time         // of the trace's start
	MinDuration, MaxDuration time.Duration     // of a matching span, as Jaeger has it
	Limit                    int               // DefaultSearchLimit when 0
}

// Search returns the newest matching traces first.
func (s *Store) Search(q Query) []Trace {
	limit := min(cmp.Or(q.Limit, DefaultSearchLimit), searchLimitMax)
	s.mu.RLock()
	var found []*record
	starts := map[*record]int64{}
	for _, e := range s.traces {
		r := e.Value.(*record)
		if start := r.start(); q.inTime(start) && slices.ContainsFunc(r.spans, q.matches) {
			found = append(found, r)
			starts[r] = start
		}
	}
	slices.SortFunc(found, func(a, b *record) int {
		return cmp.Or(cmp.Compare(starts[b], starts[a]), cmp.Compare(a.id, b.id))
	})
	out := make([]Trace, 0, min(limit, len(found)))
	for _, r := range found[:min(limit, len(found))] {
		out = append(out, r.trace())
	}
	s.mu.RUnlock()
	return out
}

func (r *record) start() int64 {
	start := r.spans[0].StartTime
	for _, sp := range r.spans[1:] {
		start = min(start, sp.StartTime)
	}
	return start
}

func (q Query) inTime(start int64) bool {
	return (q.Start.IsZero() || start >= q.Start.UnixMicro()) && (q.End.IsZero() || start <= q.End.UnixMicro())
}

func (q Query) matches(sp Span) bool {
	d := time.Duration(sp.Duration) * time.Microsecond
	switch {
	case q.Service != "" && sp.Service() != q.Service,
		q.Operation != "" && sp.OperationName != q.Operation,
		q.MinDuration > 0 && d < q.MinDuration,
		q.MaxDuration > 0 && d > q.MaxDuration:
		return false
	}
	for key, want := range q.Tags {
		if !hasTag(sp.Tags, key, want) && !hasTag(sp.process.Tags, key, want) && !slices.ContainsFunc(sp.Logs, func(l Log) bool { return hasTag(l.Fields, key, want) }) {
			return false
		}
	}
	return true
}

func hasTag(tags []KeyValue, key, want string) bool {
	return slices.ContainsFunc(tags, func(t KeyValue) bool { return t.Key == key && fmt.Sprint(t.Value) == want })
}

// each calls f for every span under the read lock.
func (s *Store) each(f func(r *record, sp *Span)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, e := range s.traces {
		r := e.Value.(*record)
		for i := range r.spans {
			f(r, &r.spans[i])
		}
	}
}

// Services returns the names of all services, sorted.
func (s *Store) Services() []string {
	set := map[string]bool{}
	s.each(func(_ *record, sp *Span) { set[sp.Service()] = true })
	return sortedKeys(set)
}

// Operation is an operation of a service.
type Operation struct {
	Name     string `json:"name"`
	SpanKind string `json:"spanKind"`
}

// Operations returns a service's operations, sorted.
func (s *Store) Operations(service string) []Operation {
	set := map[Operation]bool{}
	s.each(func(_ *record, sp *Span) {
		if sp.Service() == service {
			kind, _ := sp.Tag("span.kind").(string)
			set[Operation{Name: sp.OperationName, SpanKind: kind}] = true
		}
	})
	out := []Operation{}
	for o := range set {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SpanKind, b.SpanKind))
	})
	return out
}

// Dependencies counts the calls from one service to another in traces that began in [start, end].
func (s *Store) Dependencies(start, end time.Time) []Dependency {
	counts := map[[2]string]int{}
	s.mu.RLock()
	for _, e := range s.traces {
		r := e.Value.(*record)
		if !(Query{Start: start, End: end}).inTime(r.start()) {
			continue
		}
		service := map[string]string{}
		for _, sp := range r.spans {
			service[sp.SpanID] = sp.Service()
		}
		for _, sp := range r.spans {
			if parent := service[sp.ParentID()]; parent != "" && parent != sp.Service() {
				counts[[2]string{parent, sp.Service()}]++
			}
		}
	}
	s.mu.RUnlock()
	out := []Dependency{}
	for k, n := range counts {
		out = append(out, Dependency{Parent: k[0], Child: k[1], CallCount: n})
	}
	slices.SortFunc(out, func(a, b Dependency) int {
		return cmp.Or(cmp.Compare(a.Parent, b.Parent), cmp.Compare(a.Child, b.Child))
	})
	return out
}

func sortedKeys(set map[string]bool) []string {
	out := []string{}
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
