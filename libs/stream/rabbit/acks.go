package rabbit

import "sync"

// acknowledger is what an AMQP channel does with one delivery, or with all up to it.
type acknowledger interface {
	Ack(tag uint64, multiple bool) error
}

// acks gathers the acknowledgements of a channel: what handlers finish while one is written goes with the next, those without a
// gap as one frame. Nothing waits for anything but the writing.
type acks struct {
	ch   acknowledger
	wake chan struct{} // one token: there is something to acknowledge
	quit chan struct{} // closed by close
	done chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	next    uint64          // lowest tag that is not settled
	settled map[uint64]bool // tags above it that are; true: yet to be acknowledged
	owed    uint64          // highest tag below next that is yet to be acknowledged: brokers know no others. 0: none
}

func newAcks(ch acknowledger) *acks {
	a := &acks{
		ch: ch, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), next: 1, settled: map[uint64]bool{},
	}
	go a.run()
	return a
}

// ack acknowledges a delivery, soon.
func (a *acks) ack(tag uint64) {
	a.settle(tag, true)
	select {
	case a.wake <- struct{}{}:
	default: // it is awake
	}
}

// other says that a delivery was settled in another way, before any later acknowledgement is written.
func (a *acks) other(tag uint64) { a.settle(tag, false) }

func (a *acks) settle(tag uint64, owed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if tag != a.next {
		a.settled[tag] = owed
		return
	}
	for found := true; found; {
		if owed {
			a.owed = a.next
		}
		a.next++
		owed, found = a.settled[a.next]
		delete(a.settled, a.next)
	}
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
// must not keep others' messages in the broker's count.
func (a *acks) write() {
	a.mu.Lock()
	upTo := a.owed
	a.owed = 0
	var single []uint64
	for tag, ack := range a.settled {
		if ack {
			single = append(single, tag)
			a.settled[tag] = false
		}
	}
	a.mu.Unlock()
	if upTo != 0 {
		_ = a.ch.Ack(upTo, true)
	}
	for _, tag := range single {
		_ = a.ch.Ack(tag, false)
	}
}

// close writes what is left.
func (a *acks) close() {
	close(a.quit)
	<-a.done
}
