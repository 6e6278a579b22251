package rabbit

import "sync"

// acknowledger is what an AMQP channel does with one delivery, or with all up to it.
type acknowledger interface {
	Ack(tag uint64, multiple bool) error
}

// acks gathers the acknowledgements of a channel: what handlers finish while one is written goes with the next, those without a
// gap as one frame. Nothing waits for anything but the writing. It remembers deliveries that are not settled, and no others: of
// those there are as many as the prefetch allows, however long one of them takes.
type acks struct {
	ch   acknowledger
	wake chan struct{} // one token: there is something to acknowledge
	quit chan struct{} // closed by close
	done chan struct{} // closed when the writer has ended

	mu     sync.Mutex
	open   unsettled // both ends of the ring of unsettled deliveries, in the order of their tags
	upTo   uint64    // to acknowledge: it and all tags below, none of which is unsettled. 0: none
	single []uint64  // to acknowledge: tags that were above an unsettled one
}

// unsettled is the place of a delivery among those that are not settled.
type unsettled struct {
	tag           uint64
	before, after *unsettled
}

func newAcks(ch acknowledger) *acks {
	a := &acks{ch: ch, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	a.open.before, a.open.after = &a.open, &a.open
	go a.run()
	return a
}

// add takes note of a delivery, before anybody can settle it. Tags grow from call to call.
func (a *acks) add(u *unsettled, tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u.tag, u.before, u.after = tag, a.open.before, &a.open
	u.before.after, a.open.before = u, u
}

// ack acknowledges a delivery, soon.
func (a *acks) ack(u *unsettled) {
	a.mu.Lock()
	if a.open.after == u {
		a.upTo = u.tag
	} else {
		a.single = append(a.single, u.tag)
	}
	u.leave()
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default: // it is awake
	}
}

// other says that a delivery was settled in another way, before any later acknowledgement is written.
func (a *acks) other(u *unsettled) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u.leave()
}

func (u *unsettled) leave() {
	u.before.after, u.after.before = u.after, u.before
}

// run writes until close, and then what is left. When the channel is gone the messages come again, whatever is written.
func (a *acks) run() {
	defer close(a.done)
	for {
		select {
		case <-a.wake:
			a.write()
		case <-a.quit:
			a.write()
			return
		}
	}
}

// write acknowledges everything below the first gap at once, and each delivery above it by itself: a handler that takes long
// must not keep others' messages in the broker's count. The tag that is named is always one that the broker still waits for.
func (a *acks) write() {
	a.mu.Lock()
	upTo := a.upTo
	var above []uint64
	for _, tag := range a.single {
		if first := a.open.after; first == &a.open || tag < first.tag {
			upTo = max(upTo, tag) // the gap has closed
		} else {
			above = append(above, tag)
		}
	}
	a.upTo, a.single = 0, a.single[:0]
	a.mu.Unlock()
	if upTo != 0 {
		_ = a.ch.Ack(upTo, true)
	}
	for _, tag := range above {
		_ = a.ch.Ack(tag, false)
	}
}

// close writes what is left.
func (a *acks) close() {
	close(a.quit)
	<-a.done
}
