package meter

import "testing"

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, v := range []uint64{0, 1, 2, 3, 1000, 1 << 60} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if s.Count() != 6 || s.N[0] != 1 || s.N[1] != 1 || s.N[2] != 2 || s.N[10] != 1 || s.N[Buckets-1] != 1 {
		t.Errorf("%+v", s)
	}
	if s.Sum != 0+1+2+3+1000+1<<60 {
		t.Error(s.Sum)
	}
	var sum Histogram
	sum.Add(&s)
	sum.Add(&s)
	if d := sum.Snapshot(); d.Count() != 12 || d.Sum != 2*s.Sum {
		t.Errorf("%+v", d)
	}
}

func TestQuantile(t *testing.T) {
	var s Snapshot
	if s.Quantile(0.5) != 0 {
		t.Error("of nothing")
	}
	for range 90 {
		s.Observe(100) // below 128
	}
	for range 10 {
		s.Observe(5000) // below 8192
	}
	for p, want := range map[float64]uint64{0: 127, 0.5: 127, 0.89: 127, 0.95: 8191, 1: 8191} {
		if got := s.Quantile(p); got != want {
			t.Errorf("%v: %d, want %d", p, got, want)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	b.RunParallel(func(pb *testing.PB) {
		for v := uint64(0); pb.Next(); v++ {
			h.Observe(v & 0xffff)
		}
	})
}
