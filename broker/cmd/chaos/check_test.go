package main

import (
	"slices"
	"testing"
)

// history builds a ledger of one queue, with one publisher and moments made by hand.
type history struct {
	*ledger
}

func newHistory() *history { return &history{newLedger(1, 2, 1)} }

// put enters a message of publisher 0 on its first channel; confirmed 0 means never.
func (h *history) put(published, confirmed moment) (seq uint64) {
	return h.putBy(0, published, confirmed)
}

func (h *history) putBy(publisher int, published, confirmed moment) (seq uint64) {
	m := &h.messages[publisher]
	*m = append(*m, message{published: published, confirmed: confirmed})
	return uint64(len(*m) - 1)
}

func (h *history) subscribe() *taker { return h.begin(0, 0) }

// take enters a delivery that is acknowledged one moment later.
func (h *history) take(t *taker, publisher int, seq uint64, at moment, redelivered bool) {
	m := &h.messages[publisher][seq]
	if redelivered {
		m.again++
	} else {
		m.fresh++
	}
	m.settled = true
	t.took = append(t.took, taking{publisher: publisher, seq: seq, at: at, redelivered: redelivered, acked: at + 1})
}

// broken names what a history violates.
func (h *history) broken(empty moment) (out []string) {
	s := h.sum()
	for _, x := range []struct {
		name string
		n    int
	}{
		{"lost", s.lost}, {"reordered", s.reordered}, {"overtaken", s.overtaken}, {"fresh twice", s.freshTwice},
		{"lives", len(h.checkLives(empty).illegal)}, {"orders", len(h.checkOrder().illegal)},
	} {
		if x.n > 0 {
			out = append(out, x.name)
		}
	}
	return out
}

func TestCheckers(t *testing.T) {
	for _, x := range []struct {
		name  string
		build func(h *history)
		empty moment
		want  []string
	}{
		{"all is well", func(h *history) {
			a, b := h.put(1, 5), h.put(2, 5)
			k := h.subscribe()
			h.take(k, 0, a, 10, false)
			h.take(k, 0, b, 11, false)
		}, 20, nil},
		{"unconfirmed and gone", func(h *history) { h.put(1, 0) }, 20, nil},
		{"unconfirmed and delivered late", func(h *history) {
			a, b := h.put(1, 0), h.putBy(1, 2, 3)
			k := h.subscribe()
			h.take(k, 1, b, 10, false)
			h.take(k, 0, a, 11, false)
		}, 20, nil},
		{"confirmed and never delivered", func(h *history) { h.put(1, 5) }, 20, []string{"lost", "lives"}},
		{"delivered, not acknowledged, and yet gone", func(h *history) {
			h.take(h.subscribe(), 0, h.put(1, 5), 10, false)
			h.takers[0].took[0].acked = 0
		}, 20, []string{"lives"}},
		{"the same when the queues never were empty", func(h *history) {
			h.take(h.subscribe(), 0, h.put(1, 5), 10, false)
			h.takers[0].took[0].acked = 0
		}, 0, nil},
		{"redelivered to another", func(h *history) {
			a := h.put(1, 5)
			h.take(h.subscribe(), 0, a, 10, false)
			h.take(h.subscribe(), 0, a, 12, true)
		}, 20, nil},
		{"the redelivery is seen first", func(h *history) {
			a := h.put(1, 5)
			h.take(h.subscribe(), 0, a, 10, true)
			h.take(h.subscribe(), 0, a, 12, false)
		}, 20, nil},
		{"fresh for two", func(h *history) {
			a := h.put(1, 5)
			h.take(h.subscribe(), 0, a, 10, false)
			h.take(h.subscribe(), 0, a, 12, false)
		}, 20, []string{"fresh twice", "lives"}},
		{"delivered before it was published", func(h *history) {
			h.take(h.subscribe(), 0, h.put(9, 12), 5, false)
		}, 20, []string{"lives", "orders"}},
		{"a channel's messages the wrong way round", func(h *history) {
			a, b := h.put(1, 3), h.put(4, 6)
			k := h.subscribe()
			h.take(k, 0, b, 10, false)
			h.take(k, 0, a, 11, false)
		}, 20, []string{"reordered", "overtaken", "orders"}},
		{"the same, the first redelivered", func(h *history) {
			a, b := h.put(1, 3), h.put(4, 6)
			k := h.subscribe()
			h.take(k, 0, b, 10, false)
			h.take(k, 0, a, 11, true)
		}, 20, nil},
		{"the same, by two subscriptions", func(h *history) {
			a, b := h.put(1, 3), h.put(4, 6)
			h.take(h.subscribe(), 0, b, 10, false)
			h.take(h.subscribe(), 0, a, 11, false)
		}, 20, nil},
		{"together in flight, on one channel", func(h *history) {
			a, b := h.put(1, 6), h.put(2, 6)
			k := h.subscribe()
			h.take(k, 0, b, 10, false)
			h.take(k, 0, a, 11, false)
		}, 20, []string{"reordered"}},
		{"together in flight, from two publishers", func(h *history) {
			a, b := h.put(1, 6), h.putBy(1, 2, 6)
			k := h.subscribe()
			h.take(k, 1, b, 10, false)
			h.take(k, 0, a, 11, false)
		}, 20, nil},
		{"one publisher after the other, overtaken", func(h *history) {
			a, b := h.put(1, 3), h.putBy(1, 4, 6)
			k := h.subscribe()
			h.take(k, 1, b, 10, false)
			h.take(k, 0, a, 11, false)
		}, 20, []string{"overtaken", "orders"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := newHistory()
			x.build(h)
			if got := h.broken(x.empty); !slices.Equal(got, x.want) {
				t.Errorf("broken: %q, want %q", got, x.want)
			}
		})
	}
}

// TestLongOrder looks for one swap in an order of many segments.
func TestLongOrder(t *testing.T) {
	const count = 20_000
	for _, swap := range []int{-1, 0, segmentMessages/2 - 1, segmentMessages - 1, count - 2} {
		h := newHistory()
		k := h.subscribe()
		order := make([]uint64, count)
		for i := range order {
			at := moment(10 * i)
			order[i] = h.put(at+1, at+9)
		}
		if swap >= 0 {
			order[swap], order[swap+1] = order[swap+1], order[swap]
		}
		for i, seq := range order {
			h.take(k, 0, seq, moment(10*count+i), false)
		}
		if illegal := len(h.checkOrder().illegal); (illegal > 0) != (swap >= 0) {
			t.Errorf("swap at %d: %d segments are illegal", swap, illegal)
		}
		if s := h.sum(); (s.reordered > 0) != (swap >= 0) {
			t.Errorf("swap at %d: %d reordered", swap, s.reordered)
		}
	}
}

func TestTake(t *testing.T) {
	l := newLedger(7, 1, 2)
	s := l.publish(0, 1, 3)
	k := l.begin(1, 0)
	body := s.body(100)
	if _, ok := l.take(k, body, false); !ok {
		t.Error("refused a message as it was sent")
	}
	for i := range body {
		bent := slices.Clone(body)
		bent[i] ^= 1
		if _, ok := l.take(k, bent, false); ok {
			t.Errorf("took a message with byte %d bent", i)
		}
	}
	if l.damaged != len(body) {
		t.Errorf("%d damaged, want %d", l.damaged, len(body))
	}
	if _, ok := l.take(l.begin(0, 0), body, false); ok {
		t.Error("took a message from a queue to which it was not sent")
	}
	other := stamp{run: 8, publisher: 0, seq: 0}
	if _, ok := l.take(k, other.body(100), false); ok {
		t.Error("took a message of another run")
	}
	if l.foreign != 2 {
		t.Errorf("%d of nobody, want 2", l.foreign)
	}
}

func TestGap(t *testing.T) {
	var g gap
	for _, at := range []moment{5, 10, 40, 45} {
		g.event(at)
	}
	if g.longest != 30 || g.from != 10 || g.to != 40 {
		t.Errorf("longest gap %d from %d to %d, want 30 from 10 to 40", g.longest, g.from, g.to)
	}
}
