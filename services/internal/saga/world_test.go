package saga

import "slices"

// world is one order in all services, without databases and broker. What was sent is delivered at any time, in any order. With an
// inbox it is applied once: a message that changes nothing then never will. Without one it may come any number of times.
type world struct {
	state [5]State // of the parts, by index
	sent  uint64   // bits of letters
	done  uint64   // bits of letters that an inbox will not let through again
}

// The parts.
const (
	anOrder = iota
	aPayment
	aReservation
	aShipment
	theGateway
)

var machines = [5]*Machine{anOrder: Order, aPayment: Payment, aReservation: Stock, aShipment: Shipment, theGateway: Gateway}

// letter is a message to one part.
type letter struct {
	to int
	m  Message
}

// letters are all that can ever be sent; a letter's index is its bit.
var letters = func() (out []letter) {
	for i, m := range machines {
		for _, r := range m.Rows {
			l := letter{i, r.On}
			if r.On != OrderPlacedShort && !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	if len(out) > 64 {
		panic("more letters than bits")
	}
	return out
}()

// rules are what does not change during one exploration.
type rules struct {
	inbox    bool  // the services have one
	declines bool  // the bank says no
	dead     []int // parts that never do anything
	fired    func(part int, r Row)
}

func begin() world {
	var w world
	for i, m := range machines {
		w.state[i] = m.Initial
	}
	w.send(OrderPlaced)
	return w
}

// send gives a message to everybody who acts on it.
func (w *world) send(m Message) {
	for i, l := range letters {
		if l.m == m {
			w.sent |= 1 << i
		}
	}
}

// step returns w after a part has got a message, and whether that changed anything.
func (w world) step(part int, m Message, r rules) (world, bool) {
	row, ok := machines[part].Decide(w.state[part], m)
	if !ok || slices.Contains(r.dead, part) {
		return w, false
	}
	if r.fired != nil {
		r.fired(part, row)
	}
	next := w
	next.state[part] = row.To
	next.send(row.Emit)
	return next, next != w
}

// next returns every world that can follow.
func (w world) next(r rules) []world {
	var out []world
	try := func(w world, part int, m Message) {
		if n, ok := w.step(part, m, r); ok {
			out = append(out, n)
		}
	}
	for i, l := range letters {
		if w.sent&^w.done&(1<<i) == 0 || slices.Contains(r.dead, l.to) {
			continue
		}
		got := w
		if r.inbox && l.to != theGateway { // which knows a request by its state
			got.done |= 1 << i
			if _, ok := machines[l.to].Decide(w.state[l.to], l.m); !ok {
				out = append(out, got)
			}
		}
		try(got, l.to, l.m)
		if l == (letter{aReservation, OrderPlaced}) {
			try(got, l.to, OrderPlacedShort) // whether there is enough, nobody knows before
		}
	}
	try(w, anOrder, Cancel)
	for part, m := range machines {
		for _, awaited := range m.Info(w.state[part]).Awaits {
			if awaited.Origin() != "payment" {
				try(w, part, awaited)
				continue
			}
			if slices.Contains(r.dead, part) {
				continue
			}
			if awaited == AskAuthorize && r.declines {
				awaited = AskAuthorizeRefused
			}
			n := w
			n.send(awaited)
			if n != w {
				out = append(out, n)
			}
		}
	}
	return out
}
