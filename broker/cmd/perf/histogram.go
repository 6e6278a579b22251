package main

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets whose width is at most 1/32 of their value, so
// that any percentile is right to about 3 %. It may be used from many goroutines.
//
// A value v of b bits falls into bucket (b-5)*32 + the 5 bits after its highest; below 64
// each value has its own.
type histogram struct {
	buckets [bucketsMax]atomic.Uint64
	max     atomic.Int64
}

const (
	subBits    = 5
	bucketsMax = (64 - subBits) << subBits
)

func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper returns the largest value of a bucket.
func upper(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return (uint64(i-shift<<subBits)+1)<<shift - 1
}

func (h *histogram) record(d time.Duration) {
	v := max(int64(d), 0)
	h.buckets[bucketOf(uint64(v))].Add(1)
	for old := h.max.Load(); v > old && !h.max.CompareAndSwap(old, v); old = h.max.Load() {
	}
}

// counts is a histogram's content at a moment.
type counts [bucketsMax]uint64

func (h *histogram) counts() *counts {
	var c counts
	for i := range h.buckets {
		c[i] = h.buckets[i].Load()
	}
	return &c
}

// since returns what was recorded after old was taken.
func (c *counts) since(old *counts) *counts {
	var d counts
	for i := range c {
		d[i] = c[i] - old[i]
	}
	return &d
}

func (c *counts) total() (n uint64) {
	for _, v := range c {
		n += v
	}
	return n
}

// percentile returns the value that p percent of the records don't exceed; 0 of none.
func (c *counts) percentile(p float64) time.Duration {
	n := c.total()
	if n == 0 {
		return 0
	}
	want := uint64(p / 100 * float64(n))
	var seen uint64
	for i, v := range c {
		seen += v
		if seen > want || seen == n {
			return time.Duration(upper(i))
		}
	}
	return 0
}
