package main

import (
	"fmt"
	"io"
	"slices"
)

// memory is the resident memory of each process, bytes, one sample after the other.
type memory struct {
	names []string
	of    map[string][]int64
}

func newMemory(names []string) *memory {
	return &memory{names: names, of: map[string][]int64{}}
}

// look takes a sample of all. A process that does not run now keeps its last one.
func (m *memory) look(rss func(name string) int64) {
	for _, name := range m.names {
		now, before := rss(name), m.of[name]
		if now == 0 && len(before) > 0 {
			now = before[len(before)-1]
		}
		m.of[name] = append(before, now)
	}
}

// quarters are the parts of the run at whose ends the memory is shown: what is flat does not grow from one to the next.
const quarters = 4

// write prints the figures, in MB.
func (m *memory) write(w io.Writer) {
	fmt.Fprintf(w, "%-12s %8s %8s %8s %8s %8s %8s  resident, MB\n", "process", "start", "1/4", "1/2", "3/4", "end", "most")
	sum := []int64{}
	for _, name := range m.names {
		row(w, name, m.of[name])
		for i, now := range m.of[name] {
			if i == len(sum) {
				sum = append(sum, 0)
			}
			sum[i] += now
		}
	}
	row(w, "all", sum)
}

func row(w io.Writer, name string, samples []int64) {
	const mb = 1e6
	fmt.Fprintf(w, "%-12s", name)
	for q := range quarters + 1 {
		fmt.Fprintf(w, " %8.1f", float64(samples[(len(samples)-1)*q/quarters])/mb)
	}
	fmt.Fprintf(w, " %8.1f\n", float64(slices.Max(samples))/mb)
}
