// Package access says which user of the broker may do what, from the tables of the saga, and keeps the passwords: one user for
// each service, one for those who look, one for the operator.
package access

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Users beside those of the services, which are called as the services are.
const (
	Observer = "observer" // reads the management API: the page, and what breaks brokers on purpose
	Operator = "operator" // people; guest can't leave the broker's own machine
)

// deadLetters is the exchange of failed messages, which all services share.
const deadLetters = "DLX"

// User of the broker, and what it works with.
type User struct {
	Name      string
	Tags      []string // of the management API
	Publishes []string // exchanges
	Hears     []string // exchanges that its own queues are bound to
	Consumes  []string // its own queues
	Prepares  []string // queues of those who hear what it publishes
	// Everything may be done, in place of the above.
	Everything bool
}

// Users returns all of them, the services' first.
func Users() []User {
	out := make([]User, 0, len(saga.Services())+2)
	for _, m := range saga.Services() {
		out = append(out, service(m))
	}
	return append(out,
		User{Name: Observer, Tags: []string{"monitoring"}},
		User{Name: Operator, Tags: []string{"administrator"}, Everything: true},
	)
}

// service derives what a service works with from what it hears and tells.
func service(m *saga.Machine) User {
	u := User{Name: m.Name}
	told := m.Destinations()
	if m.Name == events.GroupProduct {
		told = append(told, events.ProductListed{}.Destination())
	}
	for _, e := range events.All() {
		d := e.Destination()
		groups := saga.Subscribers(d)
		if slices.Contains(groups, m.Name) {
			u.Hears, u.Consumes = append(u.Hears, d), append(u.Consumes, d+"."+m.Name)
		}
		if !slices.Contains(told, d) {
			continue
		}
		u.Publishes = append(u.Publishes, d)
		for _, g := range groups {
			u.Prepares = append(u.Prepares, d+"."+g)
		}
	}
	return u
}

// Configure, Write and Read are the expressions of the user's permissions.
//
// Whoever declares a queue with a dead-letter exchange must be allowed to read the one and to write the other, and whoever
// binds it to write the queue and read the exchange. A publisher declares the queues of those who hear it, so that no event is lost
// on a service that has never run.
func (u User) Configure() string {
	return u.pattern(u.Publishes, u.Hears, u.queues(), u.failed(), u.shared())
}

// Write is what it may publish to, and bind.
func (u User) Write() string { return u.pattern(u.Publishes, u.queues(), u.failed(), u.shared()) }

// Read is what it may consume from, and bind to.
func (u User) Read() string { return u.pattern(u.Publishes, u.Hears, u.queues(), u.shared()) }

func (u User) queues() []string { return slices.Concat(u.Consumes, u.Prepares) }

// failed are the queues of what could not be handled.
func (u User) failed() []string {
	var out []string
	for _, q := range u.queues() {
		out = append(out, q+".dlq")
	}
	return out
}

func (u User) shared() []string {
	if len(u.queues()) == 0 {
		return nil
	}
	return []string{deadLetters}
}

// pattern is the regular expression that fits the names and nothing else.
func (u User) pattern(names ...[]string) string {
	all := slices.Concat(names...)
	switch {
	case u.Everything:
		return ".*"
	case len(all) == 0:
		return "^$"
	}
	return "^" + alternatives(all) + "$"
}
