package queue

import (
	"maps"
	"slices"
)

// Peek returns up to n of the ready messages behind the first skip, without their Raw, in
// the order in which they would go out now, at a time in Unix milliseconds. It changes
// nothing: neither an order nor a count, nor what is in memory.
func (q *Queue) Peek(now int64, skip, n int) []Delivery {
	if q.lead == nil || n <= 0 {
		return nil
	}
	want, found := skip+n, 0
	type ready struct {
		seq uint64
		slot
	}
	levels := map[uint8][]ready{} // of each priority the first so many
	for i, c := range q.slots.chunks {
		if c == nil || c.hidden || c.hot == nil && c.cold.levels == nil && len(levels[c.cold.level]) >= want {
			continue
		}
		if q.lead.levels == nil && found >= want { // all have one priority
			break
		}
		base := q.slots.base + uint64(i)*chunkSlots
		for at := range chunkSlots {
			var sl slot
			switch {
			case c.hot != nil:
				sl = c.hot[at]
			case c.cold.has(at):
				sl = c.cold.slot(at)
			}
			if !sl.live || sl.holder != 0 || sl.discard != 0 || sl.expires != 0 && sl.expires <= now || len(levels[sl.level]) >= want {
				continue
			}
			levels[sl.level] = append(levels[sl.level], ready{base + uint64(at), sl})
			found++
		}
	}
	var list []Delivery
	for _, level := range slices.Backward(slices.Sorted(maps.Keys(levels))) {
		for i := range levels[level] {
			if skip > 0 {
				skip--
				continue
			}
			if len(list) == n {
				return list
			}
			r := &levels[level][i]
			r.raw = nil
			list = append(list, q.delivery(r.seq, &r.slot))
		}
	}
	return list
}

// Messages calls fn with the messages of a chunk's block.
func Messages(block []byte, queue, base uint64, fn func(seq uint64, raw []byte)) error {
	return eachInBlock(block, queue, base, func(place int, raw []byte) { fn(base+uint64(place), raw) })
}
