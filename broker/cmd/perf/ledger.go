package main

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// ledger knows what became of each message.
type ledger struct {
	accounts []*account

	foreign    atomic.Uint64 // messages of another run, or of nobody
	lastChange atomic.Uint64 // counts deliveries, to see progress
}

// account is one producer's part. Its messages are numbered from 0.
type account struct {
	mu         sync.Mutex
	sent       uint64
	confirmed  bitset
	returned   bitset
	received   bitset
	refused    uint64 // nacked
	duplicates uint64 // received more than once
}

type bitset []uint64

func (b *bitset) set(n uint64) (was bool) {
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	w := &(*b)[n/64]
	was = *w>>(n%64)&1 == 1
	*w |= 1 << (n % 64)
	return was
}

func (b bitset) word(i int) uint64 {
	if i < len(b) {
		return b[i]
	}
	return 0
}

func newLedger(producers int) *ledger {
	l := new(ledger)
	for range producers {
		l.accounts = append(l.accounts, new(account))
	}
	return l
}

// send numbers the next message.
func (a *account) send() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent++
	return a.sent - 1
}

func (a *account) confirm(seq uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		a.confirmed.set(seq)
	} else {
		a.refused++
	}
}

func (a *account) returnedToSender(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.returned.set(seq)
}

// receive enters a delivery, and says if it belongs to this run.
func (l *ledger) receive(s stamp, ok bool, run uint64) bool {
	l.lastChange.Add(1)
	if !ok || s.run != run || int(s.producer) >= len(l.accounts) {
		l.foreign.Add(1)
		return false
	}
	a := l.accounts[s.producer]
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.seq >= a.sent {
		l.foreign.Add(1)
		return false
	}
	if a.received.set(s.seq) {
		a.duplicates++
	}
	return true
}

// totals sums the accounts up.
type totals struct {
	sent, confirmed, refused, returned, received, duplicates uint64
	missing                                                  uint64 // confirmed, not returned, not received
	pending                                                  uint64 // not received, though they may still be
}

func (l *ledger) totals() (t totals) {
	for _, a := range l.accounts {
		a.mu.Lock()
		t.sent += a.sent
		t.refused += a.refused
		t.duplicates += a.duplicates
		for i := range int(a.sent+63) / 64 {
			c, r, got := a.confirmed.word(i), a.returned.word(i), a.received.word(i)
			t.confirmed += ones(c)
			t.returned += ones(r)
			t.received += ones(got)
			t.missing += ones(c &^ r &^ got)
		}
		a.mu.Unlock()
	}
	t.pending = t.sent - min(t.sent, t.received+t.returned+t.refused)
	return t
}

func ones(w uint64) uint64 { return uint64(bits.OnesCount64(w)) }
