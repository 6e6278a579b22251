// Package saga is the table of everything that can happen to an order in the four services and at the payment gateway: which
// message takes which state where, and what is told to the others. The services carry the table out, the documentation is
// written from it, and tests walk through all that it allows. Nothing here does I/O or knows the time.
package saga

import (
	"fmt"
	"slices"
	"strings"

	"github.com/warren-mq/warren/services/events"
)

// State of one order in one service.
type State string

// Message is what a machine acts on: an event's type, with a qualifier behind a colon where its content decides
// ("OrderPlaced:short"), or what comes from outside the services, after its origin ("clock:packed").
type Message string

// Event returns the type of the event that the message is, "" when it is none.
func (m Message) Event() string {
	name, _, _ := strings.Cut(string(m), ":")
	if name == "" || name[0] < 'A' || name[0] > 'Z' {
		return ""
	}
	return name
}

// Origin is who sends the message when it is no event: customer, clock, carrier, payment or gateway.
func (m Message) Origin() string {
	if m.Event() != "" {
		return ""
	}
	origin, _, _ := strings.Cut(string(m), ":")
	return origin
}

// Row is one transition.
type Row struct {
	From State
	On   Message
	To   State
	Do   string  // what happens to goods or money besides, "" for nothing; see Machine.Effects
	Emit Message // the event that is told to the others, "" for none
}

// Info describes a state.
type Info struct {
	State State
	Means string
	Final bool
	// Awaits is what the service itself brings about in this state, sooner or later, whatever the others do.
	Awaits []Message
}

// Machine is the table of one service. What is not in it changes nothing: messages of different queues come in any order, come
// twice, and a compensation may overtake what it compensates.
type Machine struct {
	Name    string // the service's group
	Subject string // what has the state: order, payment…
	Initial State
	States  []Info
	Rows    []Row
	// Notes are events that the service hears and changes nothing by.
	Notes []Message
	// Effects says what each Do means.
	Effects map[string]string
}

// Decide returns the transition that a message causes, if any.
func (m *Machine) Decide(s State, on Message) (Row, bool) {
	for _, r := range m.Rows {
		if r.From == s && r.On == on {
			return r, true
		}
	}
	return Row{}, false
}

// Info returns a state's description. It panics for a state that the machine does not have.
func (m *Machine) Info(s State) Info {
	for _, i := range m.States {
		if i.State == s {
			return i
		}
	}
	panic(fmt.Sprintf("saga: %s has no state %q", m.Name, s))
}

// Final says that nothing will change any more.
func (m *Machine) Final(s State) bool { return m.Info(s).Final }

// Hears returns the types of the events that the machine acts on or takes note of, in their order of first mention.
func (m *Machine) Hears() []string { return types(m.heard()) }

func (m *Machine) heard() []Message {
	out := make([]Message, 0, len(m.Rows)+len(m.Notes))
	for _, r := range m.Rows {
		out = append(out, r.On)
	}
	return append(out, m.Notes...)
}

// Tells returns the types of the events that the machine publishes. The first event of an order, which creates its row, is not
// told by a transition.
func (m *Machine) Tells() []string {
	var out []Message
	if m == Order {
		out = append(out, OrderPlaced)
	}
	for _, r := range m.Rows {
		out = append(out, r.Emit)
	}
	return types(out)
}

// types returns the events among ms, each once.
func types(ms []Message) []string {
	var out []string
	for _, m := range ms {
		if e := m.Event(); e != "" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// Destinations returns where the events are published that the machine tells.
func (m *Machine) Destinations() []string {
	var out []string
	for _, e := range events.All() {
		if slices.Contains(m.Tells(), e.Type()) {
			out = append(out, e.Destination())
		}
	}
	return out
}

// Services are the machines of the four services.
func Services() []*Machine { return []*Machine{Order, Payment, Stock, Shipment} }

// Subscribers returns the groups that hear of a destination's events. A publisher declares their queues, so that an event waits
// for a service that was never started yet instead of passing it by.
func Subscribers(destination string) []string {
	for _, e := range events.All() {
		if e.Destination() != destination {
			continue
		}
		var out []string
		if destination == (events.ProductListed{}).Destination() {
			return []string{events.GroupOrder} // the catalogue, which is no order's business
		}
		for _, m := range Services() {
			if slices.Contains(m.Hears(), e.Type()) {
				out = append(out, m.Name)
			}
		}
		return out
	}
	return nil
}

// Of returns the message that an event is to those who hear it.
func Of(e events.Event) Message {
	cause := events.CauseCustomer
	switch e := e.(type) {
	case events.OrderCancellationRequested:
		cause = e.Cause
	case events.ShipmentCancelled:
		cause = e.Cause
	}
	if cause == events.CauseExpired {
		return Message(e.Type() + ":" + cause)
	}
	return Message(e.Type())
}

// each makes the same transition from several states.
func each(from []State, on Message, to State, do string, emit Message) []Row {
	out := make([]Row, 0, len(from))
	for _, s := range from {
		out = append(out, Row{From: s, On: on, To: to, Do: do, Emit: emit})
	}
	return out
}
