package metadata

import (
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// MayPublish refuses what clients do not publish to; nil if they may publish to the
// exchange, or if there is none.
func (s *State) MayPublish(vhost, exchange string) *fault.Error {
	if exchange == "" {
		return nil
	}
	x, f := s.Exchange(vhost, exchange)
	if f != nil {
		return f
	}
	if x.Internal {
		return fault.New(fault.AccessRefused, "cannot publish to internal exchange '%s' in vhost '%s'", exchange, vhost)
	}
	return nil
}

// Route returns the queues that a message published to an exchange goes to, each once.
// The result is appended to into.
func (s *State) Route(vhost, exchange string, m routing.Message, into []*Queue) ([]*Queue, *fault.Error) {
	v := s.VHosts[vhost]
	if v == nil {
		return into, fault.New(fault.NotAllowed, "vhost %s not found", vhost)
	}
	if exchange == "" {
		if q := v.Queues[m.Key]; q != nil && q.Delays == "" {
			into = append(into, q)
		}
		return into, nil
	}
	x := v.Exchanges[exchange]
	if x == nil {
		_, f := s.Exchange(vhost, exchange)
		return into, f
	}
	r := router{s: s, v: v, msg: m, queues: into, from: len(into)}
	r.visit(x)
	return r.queues, nil
}

type router struct {
	s      *State
	v      *VHost
	msg    routing.Message
	queues []*Queue
	from   int // queues before this index are the caller's
	seen   []*Exchange
}

// visit adds the queues behind x; each exchange is visited once, so cycles end.
func (r *router) visit(x *Exchange) {
	if slices.Contains(r.seen, x) {
		return
	}
	r.seen = append(r.seen, x)
	if store := r.s.queues[x.Store]; store != nil && delayed(r.msg.Headers) {
		if !slices.Contains(r.queues[r.from:], store) {
			r.queues = append(r.queues, store)
		}
		return
	}
	matched := false
	x.matcher.Match(r.msg, func(dest uint64) {
		if q := r.s.queues[dest]; q != nil {
			matched = true
			if !slices.Contains(r.queues[r.from:], q) {
				r.queues = append(r.queues, q)
			}
		} else if next := r.s.exchanges[dest]; next != nil {
			matched = true
			r.visit(next)
		}
	})
	if matched {
		return
	}
	if alt := r.v.Exchanges[r.alternate(x)]; alt != nil && alt.Name != "" {
		r.visit(alt)
	}
}

// alternate returns the name of the exchange that gets what x matches nothing for.
func (r *router) alternate(x *Exchange) string {
	name, ok := x.Args.Get("alternate-exchange")
	if p := r.s.policyOfExchange(r.v, x); !ok && p != nil {
		name = p.Definition["alternate-exchange"]
	}
	alt, _ := name.(string)
	return alt
}
