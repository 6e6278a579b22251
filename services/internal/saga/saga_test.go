package saga

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/warren-mq/warren/services/events"
)

// end is what an order's final state must look like everywhere else.
type end struct{ payment, stock, shipment, gateway []State }

var (
	noMoney = []State{PaymentRefused, PaymentVoid}
	noStock = []State{StockRefused, StockFreed, StockVoid}
	noHold  = []State{GatewayNone, GatewayRefused, GatewayClosed}
	ends    = map[State]end{
		OrderDelivered: {[]State{PaymentTaken}, []State{StockFulfilled}, []State{ShipmentArrived}, []State{GatewayTaken}},
		OrderReturned: {
			[]State{PaymentVoid, PaymentGivenBack}, []State{StockBack, StockFreed}, []State{ShipmentBack}, []State{GatewayClosed, GatewayBack},
		},
		OrderRejected: {noMoney, noStock, []State{ShipmentAbandoned, ShipmentStopped, ShipmentLapsed}, noHold},
		OrderStopped:  {noMoney, noStock, []State{ShipmentStopped}, noHold},
		OrderExpired:  {noMoney, noStock, []State{ShipmentLapsed}, noHold},
	}
)

// ended says what is wrong with a world in which nothing can happen any more. Dead parts are not looked at.
func (w world) ended(dead []int) error {
	e, ok := ends[w.state[anOrder]]
	if !ok {
		return fmt.Errorf("the order has not ended: %v", w.state)
	}
	for part, allowed := range map[int][]State{aPayment: e.payment, aReservation: e.stock, aShipment: e.shipment, theGateway: e.gateway} {
		if !slices.Contains(dead, part) && !slices.Contains(allowed, w.state[part]) {
			return fmt.Errorf("%s of an order that is %s ends as %s: %v", machines[part].Subject, w.state[anOrder], w.state[part], w.state)
		}
	}
	return nil
}

// sound says what must never be, not even for a moment.
func (w world) sound() error {
	left := w.state[aShipment] == ShipmentGone || w.state[aShipment] == ShipmentArrived
	switch {
	case left && w.state[theGateway] != GatewayHeld && w.state[theGateway] != GatewayTaken:
		return fmt.Errorf("the parcel has left, the money is %s: %v", w.state[theGateway], w.state)
	case left && w.state[aReservation] != StockHeld && w.state[aReservation] != StockExpiring && w.state[aReservation] != StockFulfilled:
		return fmt.Errorf("the parcel has left, the goods are %s: %v", w.state[aReservation], w.state)
	case w.state[theGateway] == GatewayTaken && !left && w.state[aShipment] != ShipmentBack:
		return fmt.Errorf("money is taken, no parcel has left: %v", w.state)
	}
	return nil
}

// explore visits every world there is and returns how many. No world may be its own successor's successor: then every way ends.
func explore(t *testing.T, r rules) (worlds, quiet int) {
	t.Helper()
	seen := map[world]bool{}
	for stack := []world{begin()}; len(stack) > 0; {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[w] {
			continue
		}
		seen[w] = true
		if err := w.sound(); err != nil && len(r.dead) == 0 {
			t.Fatal(err)
		}
		next := w.next(r)
		if len(next) == 0 {
			quiet++
			if err := w.ended(r.dead); err != nil {
				t.Fatal(err)
			}
		}
		stack = append(stack, next...)
	}
	return len(seen), quiet
}

// TestEveryInterleaving walks through all that can happen to an order: whatever comes late, twice or out of order, whenever the
// customer cancels and clocks strike, money and goods end where they belong.
func TestEveryInterleaving(t *testing.T) {
	used := map[string]bool{}
	fired := func(part int, r Row) { used[fmt.Sprint(part, r)] = true }
	for _, r := range []rules{{}, {declines: true}, {inbox: true}, {inbox: true, declines: true}} {
		r.fired = fired
		worlds, quiet := explore(t, r)
		t.Logf("inbox: %t, the bank declines: %t; %d worlds, %d of them quiet", r.inbox, r.declines, worlds, quiet)
	}
	for part, m := range machines {
		for _, r := range m.Rows {
			if !used[fmt.Sprint(part, r)] {
				t.Errorf("%s: nothing ever makes the transition %v", m.Name, r)
			}
		}
	}
}

// TestSomebodyIsDownForEver: an order ends even if payment or product never does anything, or the gateway never answers.
func TestSomebodyIsDownForEver(t *testing.T) {
	for _, dead := range [][]int{{aPayment, theGateway}, {aReservation}, {theGateway, aPayment}, {aPayment, aReservation, theGateway}} {
		worlds, quiet := explore(t, rules{dead: dead, inbox: true})
		t.Logf("dead: %v; %d worlds, %d quiet", dead, worlds, quiet)
	}
}

// TestEveryWayEnds: no machine can come back to a state that it has left, so nothing goes on for ever.
func TestEveryWayEnds(t *testing.T) {
	for _, m := range machines {
		after := map[State][]State{}
		for _, r := range m.Rows {
			if r.From != r.To {
				after[r.From] = append(after[r.From], r.To)
			}
		}
		var visit func(s State, path []State)
		visit = func(s State, path []State) {
			if slices.Contains(path, s) {
				t.Fatalf("%s goes in circles: %v %s", m.Name, path, s)
			}
			for _, n := range after[s] {
				visit(n, append(slices.Clone(path), s))
			}
		}
		visit(m.Initial, nil)
	}
}

// TestTables: every state is described, what is final stays, what is done is explained, and no message has two answers.
func TestTables(t *testing.T) {
	types := map[string]bool{}
	for _, e := range events.All() {
		types[e.Type()] = true
	}
	for _, m := range machines {
		seen := map[string]bool{}
		for _, r := range m.Rows {
			key := fmt.Sprint(r.From, r.On)
			if seen[key] {
				t.Errorf("%s: two rows for %s on %s", m.Name, r.From, r.On)
			}
			seen[key] = true
			if m.Final(r.From) && r.From != r.To {
				t.Errorf("%s: %s is final and left on %s", m.Name, r.From, r.On)
			}
			m.Info(r.To)
			if r.Do != "" && m.Effects[r.Do] == "" {
				t.Errorf("%s: nobody says what %q does", m.Name, r.Do)
			}
			for _, x := range []Message{r.On, r.Emit} {
				if e := x.Event(); e != "" && !types[e] {
					t.Errorf("%s: there is no event %s", m.Name, e)
				}
			}
		}
	}
	for _, e := range events.All() {
		if len(Subscribers(e.Destination())) == 0 {
			t.Errorf("nobody hears %s", e.Type())
		}
	}
}

// TestManyOrders: several orders share a shelf. Which of them get what is there depends on the order of everything; how much is
// there afterwards does not.
func TestManyOrders(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		stock, reserved, money := 5, 0, 0
		const pieces, price = 2, 7
		orders := make([]world, rapid.IntRange(1, 4).Draw(r, "orders"))
		laws := make([]rules, len(orders))
		for i := range orders {
			orders[i] = begin()
			laws[i] = rules{declines: rapid.Bool().Draw(r, "declines"), fired: func(part int, row Row) {
				switch {
				case row.Do == Reserve:
					reserved += pieces
				case row.Do == Release:
					reserved -= pieces
				case row.Do == Ship:
					stock, reserved = stock-pieces, reserved-pieces
				case row.Do == Restock:
					stock += pieces
				case part == theGateway && row.To == GatewayTaken && row.From != row.To:
					money += price
				case part == theGateway && row.To == GatewayBack && row.From != row.To:
					money -= price
				}
				if stock < 0 || reserved < 0 || reserved > stock {
					r.Fatalf("stock %d, reserved %d", stock, reserved)
				}
			}}
		}
		for {
			type move struct {
				order, part int
				m           Message
				ask         bool
			}
			var moves []move
			for i, w := range orders {
				for part, m := range machines {
					for _, on := range w.open(part, stock-reserved >= pieces, laws[i]) {
						_, ok := m.Decide(w.state[part], on)
						moves = append(moves, move{i, part, on, !ok})
					}
				}
			}
			if len(moves) == 0 {
				break
			}
			mv := rapid.SampledFrom(moves).Draw(r, "move")
			if mv.ask {
				orders[mv.order].send(mv.m)
			} else {
				orders[mv.order], _ = orders[mv.order].step(mv.part, mv.m, laws[mv.order])
			}
		}
		sold := 0
		for _, w := range orders {
			if err := w.ended(nil); err != nil {
				r.Fatal(err)
			}
			if w.state[anOrder] == OrderDelivered {
				sold++
			}
		}
		if stock != 5-sold*pieces || reserved != 0 || money != sold*price {
			r.Fatalf("%d sold: stock %d, reserved %d, money %d", sold, stock, reserved, money)
		}
	})
}

// open returns the messages that would change something if a part got them now, and the requests to the gateway that it would send.
func (w world) open(part int, enough bool, r rules) (out []Message) {
	quiet := rules{}
	add := func(m Message) {
		if n, ok := w.step(part, m, quiet); ok && n != w {
			out = append(out, m)
		}
	}
	for i, l := range letters {
		if l.to != part || w.sent&(1<<i) == 0 {
			continue
		}
		if l == (letter{aReservation, OrderPlaced}) && !enough {
			add(OrderPlacedShort)
			continue
		}
		add(l.m)
	}
	if part == anOrder {
		add(Cancel)
	}
	for _, m := range machines[part].Info(w.state[part]).Awaits {
		if m.Origin() != "payment" {
			add(m)
			continue
		}
		if m == AskAuthorize && r.declines {
			m = AskAuthorizeRefused
		}
		if n := w; func() bool { n.send(m); return n != w }() {
			out = append(out, m)
		}
	}
	return out
}
