package main

import (
	"fmt"
	"io"

	"github.com/warren-mq/warren/services/demo/system"
)

// memory is the resident memory of each process over time.
type memory struct {
	names []string
	of    map[string]*figures
}

type figures struct{ first, last, most int64 }

func newMemory(s *system.System) *memory {
	m := &memory{names: s.All(), of: map[string]*figures{}}
	for _, name := range m.names {
		m.of[name] = &figures{}
	}
	m.look(s)
	return m
}

// look takes a sample. A process that does not run now keeps its last one.
func (m *memory) look(s *system.System) {
	for _, name := range m.names {
		m.of[name].add(s.RSS(name))
	}
}

func (f *figures) add(now int64) {
	if now == 0 {
		return
	}
	if f.first == 0 {
		f.first = now
	}
	f.last = now
	f.most = max(f.most, now)
}

// write prints the figures, in MB.
func (m *memory) write(w io.Writer) {
	const mb = 1e6
	fmt.Fprintf(w, "%-12s %8s %8s %8s  resident, MB\n", "process", "first", "last", "most")
	var sum figures
	for _, name := range m.names {
		f := m.of[name]
		sum.first, sum.last, sum.most = sum.first+f.first, sum.last+f.last, sum.most+f.most
		fmt.Fprintf(w, "%-12s %8.1f %8.1f %8.1f\n", name, float64(f.first)/mb, float64(f.last)/mb, float64(f.most)/mb)
	}
	fmt.Fprintf(w, "%-12s %8.1f %8.1f %8.1f\n", "all", float64(sum.first)/mb, float64(sum.last)/mb, float64(sum.most)/mb)
}
