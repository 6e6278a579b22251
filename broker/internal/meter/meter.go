// Package meter counts how long things take, or how large they are, at the price of two
// atomic additions.
package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets is how many buckets a histogram has: bucket i holds values below 2^i, the last
// one all others.
const Buckets = 36

// Histogram counts values by their order of magnitude. Its zero value is empty.
type Histogram struct {
	n   [Buckets]atomic.Uint64
	sum atomic.Uint64
}

// Snapshot is what a histogram held at one time.
type Snapshot struct {
	N   [Buckets]uint64 // values in each bucket alone
	Sum uint64
}

// Observe counts one value.
func (h *Histogram) Observe(v uint64) {
	h.n[bucket(v)].Add(1)
	h.sum.Add(v)
}

// Since counts the microseconds since start.
func (h *Histogram) Since(start time.Time) {
	h.Observe(uint64(max(time.Since(start).Microseconds(), 0)))
}

func bucket(v uint64) int { return min(bits.Len64(v), Buckets-1) }

// Add adds what a snapshot holds.
func (h *Histogram) Add(s *Snapshot) {
	for i, n := range s.N {
		if n > 0 {
			h.n[i].Add(n)
		}
	}
	h.sum.Add(s.Sum)
}

// Snapshot returns what the histogram holds; counts of values that come meanwhile may be
// in or not.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.n {
		s.N[i] = h.n[i].Load()
	}
	s.Sum = h.sum.Load()
	return s
}

// Observe counts one value in a snapshot that only one goroutine has.
func (s *Snapshot) Observe(v uint64) {
	s.N[bucket(v)]++
	s.Sum += v
}

// Merge adds another snapshot.
func (s *Snapshot) Merge(o *Snapshot) {
	for i, n := range o.N {
		s.N[i] += n
	}
	s.Sum += o.Sum
}

// Count returns how many values there are.
func (s *Snapshot) Count() (n uint64) {
	for _, c := range s.N {
		n += c
	}
	return n
}

// Quantile returns a value that a share p of all values does not exceed: the upper end of
// the bucket that it is in; 0 if there is none.
func (s *Snapshot) Quantile(p float64) uint64 {
	total := s.Count()
	if total == 0 {
		return 0
	}
	want, seen := uint64(p*float64(total)), uint64(0)
	for i, n := range s.N {
		if seen += n; seen > want || seen == total {
			return 1<<i - 1
		}
	}
	return 1<<(Buckets-1) - 1
}
