package storage

import (
	"strings"
	"testing"
)

// TestGrow wants a new segment to be preallocated step by step, a record larger than a
// step to fit, and the next segment to begin where the length is reached, not before.
func TestGrow(t *testing.T) {
	fs := NewMemFS()
	opts := LogOptions{SegmentBytes: 3*segmentStepBytes + 12345}
	l, _ := mustOpen(t, fs, opts)
	length := func() (n int64, segments int) {
		t.Helper()
		l.segMu.Lock()
		defer l.segMu.Unlock()
		s := l.segments[len(l.segments)-1]
		n, err := s.file.Size()
		if err != nil || n != s.length {
			t.Fatalf("the file has %d bytes, the segment %d, %v", n, s.length, err)
		}
		return n, len(l.segments)
	}
	for i, x := range []struct {
		data     int
		want     int64
		segments int
	}{
		{0, segmentStepBytes, 1},
		{segmentStepBytes - 1000, segmentStepBytes, 1},
		{segmentStepBytes + 5000, 3 * segmentStepBytes, 1},
		{segmentStepBytes - 2000, opts.SegmentBytes, 1}, // the last step is shorter
		{20_000, segmentStepBytes, 2},
	} {
		mustAppend(t, l, entry(1, uint64(i+1), strings.Repeat("x", x.data)))
		if n, segments := length(); n != x.want || segments != x.segments {
			t.Errorf("after record %d: segment %d has %d bytes; want segment %d, %d bytes", i, segments, n, x.segments, x.want)
		}
	}
	mustClose(t, l)
	l, got := mustOpen(t, fs, opts)
	defer mustClose(t, l)
	if len(got) != 5 {
		t.Errorf("%d records came back, want 5", len(got))
	}
}
