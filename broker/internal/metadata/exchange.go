package metadata

import (
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// ExchangeDeclare declares an exchange.
type ExchangeDeclare struct {
	Exchange Exchange
	// Group is the placement group for the store of an exchange that delays.
	Group uint64 `json:",omitempty"`
}

// ExchangeDelete deletes one, if it is there.
type ExchangeDelete struct {
	VHost, Name string
	IfUnused    bool
}

// BindCommand adds or removes a binding.
type BindCommand struct {
	VHost   string
	Binding Binding
}

func (s *State) exchangeDeclare(d *ExchangeDeclare) *fault.Error {
	x := d.Exchange
	v, f := s.vhost(x.VHost)
	if f != nil {
		return f
	}
	if f := CheckExchangeType(x.Type); f != nil {
		return f
	}
	if old := v.Exchanges[x.Name]; old != nil {
		return old.Equivalent(&x)
	}
	if strings.HasPrefix(x.Name, "amq.") {
		return fault.New(fault.AccessRefused, "exchange name '%s' contains reserved prefix 'amq.*'", x.Name)
	}
	if v, ok := x.Args.Get("alternate-exchange"); ok {
		if _, isString := v.(string); !isString {
			return fault.New(fault.PreconditionFailed, "invalid type '%s' for arg 'alternate-exchange' in exchange '%s' in vhost '%s'",
				message.TypeName(v), x.Name, x.VHost)
		}
	}
	if f := checkDelayed(&x); f != nil {
		return f
	}
	if err := routing.CheckExchange(x.Type, x.Args.Table); err != nil {
		return fault.New(fault.PreconditionFailed, "%v", err)
	}
	if x.Type == Delayed && s.Groups[d.Group] == nil {
		return fault.New(fault.Unavailable, "placement group %d is gone", d.Group)
	}
	s.addExchange(v, &x)
	if x.Type == Delayed {
		s.addStore(v, &x, d.Group)
	}
	return nil
}

// CheckExchangeType says that there is no such type; nil if there is.
func CheckExchangeType(name string) *fault.Error {
	if _, ok := newMatcher(&Exchange{Type: name}); ok || name == Delayed {
		return nil
	}
	if name == "" {
		return fault.New(fault.PreconditionFailed, "invalid exchange type ''")
	}
	return fault.New(fault.PreconditionFailed, "unknown exchange type '%s'", name)
}

// Equivalent checks a declaration against the exchange that is there.
func (x *Exchange) Equivalent(d *Exchange) *fault.Error {
	what := "exchange '" + x.Name + "' in vhost '" + x.VHost + "'"
	if x.Type != d.Type {
		return inequivalent("type", what, d.Type, x.Type)
	}
	if x.Durable != d.Durable {
		return inequivalent("durable", what, d.Durable, x.Durable)
	}
	if x.AutoDelete != d.AutoDelete {
		return inequivalent("auto_delete", what, d.AutoDelete, x.AutoDelete)
	}
	if x.Internal != d.Internal {
		return inequivalent("internal", what, d.Internal, x.Internal)
	}
	if f := argEquivalent("x-delayed-type", what, d.Args.Table, x.Args.Table); f != nil && x.Type == Delayed {
		return f
	}
	return argEquivalent("alternate-exchange", what, d.Args.Table, x.Args.Table)
}

func (s *State) exchangeDelete(d *ExchangeDelete) *fault.Error {
	v, f := s.vhost(d.VHost)
	if f != nil {
		return f
	}
	if d.Name == "" || strings.HasPrefix(d.Name, "amq.") {
		return fault.New(fault.AccessRefused, "deletion of system exchange '%s' in vhost '%s' not allowed", d.Name, v.Name)
	}
	x := v.Exchanges[d.Name]
	if x == nil {
		return nil
	}
	if d.IfUnused && len(x.Bindings) > 0 {
		return fault.New(fault.PreconditionFailed, "exchange '%s' in vhost '%s' in use", x.Name, v.Name)
	}
	s.dropExchange(v, x)
	return nil
}

func (s *State) dropExchange(v *VHost, x *Exchange) {
	delete(v.Exchanges, x.Name)
	delete(s.exchanges, x.ID)
	if store := s.queues[x.Store]; store != nil {
		s.dropQueue(store)
	}
	s.unbindAll(v, x.ID, func(b *Binding) bool { return b.ToExchange && b.Destination == x.Name })
}

// unbindAll removes the bindings to a destination that is gone; exchanges that were
// to be deleted with their last binding are.
func (s *State) unbindAll(v *VHost, dest uint64, match func(*Binding) bool) {
	for _, x := range v.Exchanges {
		kept := x.Bindings[:0:0]
		for _, b := range x.Bindings {
			if match(b) {
				x.matcher.Remove(routing.Binding{Key: b.Key, Args: b.Args.Table, Dest: dest})
			} else {
				kept = append(kept, b)
			}
		}
		had := len(x.Bindings)
		x.Bindings = kept
		s.autoDelete(v, x, had)
	}
}

func (s *State) autoDelete(v *VHost, x *Exchange, had int) {
	if x.AutoDelete && had > 0 && len(x.Bindings) == 0 && v.Exchanges[x.Name] == x {
		s.dropExchange(v, x)
	}
}

func (s *State) bind(c *BindCommand) *fault.Error {
	_, x, dest, f := s.ends(c)
	if f != nil {
		return f
	}
	b := c.Binding
	if err := routing.Check(x.Type, routing.Binding{Key: b.Key, Args: b.Args.Table, Dest: dest}); err != nil {
		return fault.New(fault.PreconditionFailed, "%v", err)
	}
	if q := s.queues[dest]; q != nil && x.Type == routing.LocalRandom && q.Type() == Quorum {
		return fault.New(fault.PreconditionFailed, "Queue type rabbit_quorum_queue not valid for this exchange type")
	}
	for _, old := range x.Bindings {
		if old.same(&b) {
			return nil
		}
	}
	x.Bindings = append(x.Bindings[:len(x.Bindings):len(x.Bindings)], &b)
	x.matcher.Add(routing.Binding{Key: b.Key, Args: b.Args.Table, Dest: dest})
	return nil
}

// Bound reports whether a binding is there.
func (s *State) Bound(c *BindCommand) bool {
	_, x, _, f := s.ends(c)
	return f == nil && slices.ContainsFunc(x.Bindings, c.Binding.same)
}

// unbind removes a binding; one that is not there is removed already.
func (s *State) unbind(c *BindCommand) *fault.Error {
	v, x, dest, f := s.ends(c)
	switch {
	case f != nil && f.Kind == fault.NotFound:
		return nil
	case f != nil:
		return f
	}
	for i, old := range x.Bindings {
		if !old.same(&c.Binding) {
			continue
		}
		had := len(x.Bindings)
		x.Bindings = append(x.Bindings[:i:i], x.Bindings[i+1:]...)
		x.matcher.Remove(routing.Binding{Key: old.Key, Args: old.Args.Table, Dest: dest})
		s.autoDelete(v, x, had)
		return nil
	}
	return nil
}

// ends returns what a binding leads from and to.
func (s *State) ends(c *BindCommand) (v *VHost, x *Exchange, dest uint64, f *fault.Error) {
	if v, f = s.vhost(c.VHost); f != nil {
		return nil, nil, 0, f
	}
	if x, f = s.Exchange(v.Name, c.Binding.Source); f != nil {
		return nil, nil, 0, f
	}
	if x.Name == "" {
		return nil, nil, 0, fault.New(fault.AccessRefused, "operation not permitted on the default exchange")
	}
	dest, ok := v.destination(&c.Binding)
	if ok {
		return v, x, dest, nil
	}
	if c.Binding.ToExchange {
		_, f = s.Exchange(v.Name, c.Binding.Destination)
	} else {
		_, f = s.Queue(v.Name, c.Binding.Destination)
	}
	return nil, nil, 0, f
}

func (b *Binding) same(o *Binding) bool {
	return b.Destination == o.Destination && b.ToExchange == o.ToExchange && b.Key == o.Key && b.Args.Equal(o.Args.Table)
}
