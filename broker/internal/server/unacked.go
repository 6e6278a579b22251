package server

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// held is a delivery that awaits its settling.
type held struct {
	tag uint64
	c   *consumer // nil: settled, out of order
	seq uint64
	at  time.Duration // when it was handed out, since the session began
}

// heldKeptMax is how long an emptied list may be to be used again.
const heldKeptMax = 4096

// unacked is a channel's deliveries that await their settling, by rising tag. Clients
// settle mostly from the front, so taking from there is cheap and elsewhere it is a
// search.
type unacked struct {
	last uint64 // the tag given last
	list []held // list[head:], of which some may be settled
	head int
	n    int // not settled
}

// tag gives the next delivery tag, for a delivery that needs no settling.
func (u *unacked) tag() uint64 {
	u.last++
	return u.last
}

// hold gives the next delivery tag and remembers the delivery.
func (u *unacked) hold(c *consumer, seq uint64, at time.Duration) uint64 {
	if u.head > 64 && u.head > len(u.list)/2 {
		n := copy(u.list, u.list[u.head:])
		clear(u.list[n:])
		u.list, u.head = u.list[:n], 0
	}
	u.list = append(u.list, held{u.tag(), c, seq, at})
	u.n++
	return u.last
}

// find returns the position of an unsettled tag.
func (u *unacked) find(tag uint64) (int, bool) {
	if u.n == 0 {
		return 0, false
	}
	i := u.head
	if u.list[i].tag != tag {
		open := u.list[u.head:]
		i += sort.Search(len(open), func(i int) bool { return open[i].tag >= tag })
	}
	return i, i < len(u.list) && u.list[i].tag == tag && u.list[i].c != nil
}

// take settles one delivery.
func (u *unacked) take(tag uint64) (held, bool) {
	i, ok := u.find(tag)
	if !ok {
		return held{}, false
	}
	d := u.list[i]
	u.list[i].c = nil
	u.n--
	u.trim()
	return d, true
}

// takeTo settles all deliveries up to tag, which must be unsettled itself.
func (u *unacked) takeTo(tag uint64, f func(held)) bool {
	i, ok := u.find(tag)
	if !ok {
		return false
	}
	u.takeFront(i+1, f)
	return true
}

// takeBelow settles all deliveries before tag, which is settled itself.
func (u *unacked) takeBelow(tag uint64, f func(held)) {
	open := u.list[u.head:]
	u.takeFront(u.head+sort.Search(len(open), func(i int) bool { return open[i].tag >= tag }), f)
}

// takeAll settles all deliveries.
func (u *unacked) takeAll(f func(held)) { u.takeFront(len(u.list), f) }

func (u *unacked) takeFront(end int, f func(held)) {
	for ; u.head < end; u.head++ {
		if d := u.list[u.head]; d.c != nil {
			u.n--
			u.list[u.head].c = nil
			f(d)
		}
	}
	u.trim()
}

// each calls f with each delivery that is unsettled.
func (u *unacked) each(f func(held)) {
	for _, d := range u.list[u.head:] {
		if d.c != nil {
			f(d)
		}
	}
}

// putBack makes deliveries unsettled again.
func (u *unacked) putBack(back []held) {
	if len(back) == 0 {
		return
	}
	for _, d := range u.list[u.head:] {
		if d.c != nil {
			back = append(back, d)
		}
	}
	slices.SortFunc(back, func(a, b held) int { return cmp.Compare(a.tag, b.tag) })
	u.list, u.head, u.n = back, 0, len(back)
}

// trim skips what is settled at the front.
func (u *unacked) trim() {
	for u.head < len(u.list) && u.list[u.head].c == nil {
		u.head++
	}
	if u.head == len(u.list) {
		u.head = 0
		u.list = u.list[:0]
		if cap(u.list) > heldKeptMax {
			u.list = nil
		}
	}
}
