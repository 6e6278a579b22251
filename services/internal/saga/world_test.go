package saga

import "slices"

// world is one order in all services, without databases and broker. What was ever sent may be delivered at any time and any number
// of times: late, twice and out of order need no action of their own, and a lost acknowledgement is one more delivery.
type world struct {
	state [5]State // of the parts, by index
	sent  uint64   // bits of letters
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
	try := func(part int, m Message) {
		if n, ok := w.step(part, m, r); ok {
			out = append(out, n)
		}
	}
	for i, l := range letters {
		if w.sent&(1<<i) == 0 {
			continue
		}
		try(l.to, l.m)
		if l == (letter{aReservation, OrderPlaced}) {
			try(l.to, OrderPlacedShort) // whether there is enough, nobody knows before
		}
	}
	try(anOrder, Cancel)
	for part, m := range machines {
		for _, awaited := range m.Info(w.state[part]).Awaits {
			if awaited.Origin() != "payment" {
				try(part, awaited)
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
