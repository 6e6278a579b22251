package management

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) exchangeRoutes() []route {
	one := "/api/exchanges/{vhost}/{exchange}"
	return []route{
		{http.MethodGet, "/api/exchanges", anyUser, h.exchanges},
		{http.MethodGet, "/api/exchanges/{vhost}", anyUser, h.exchanges},
		{http.MethodGet, one, anyUser, h.exchange},
		{http.MethodPut, one, anyUser, h.declareExchange},
		{http.MethodDelete, one, anyUser, h.deleteExchange},
		{http.MethodPost, one + "/publish", anyUser, h.publish},
		{http.MethodPost, one + "/routes", anyUser, h.routes},
		{http.MethodGet, one + "/bindings/source", anyUser, h.exchangeSource},
		{http.MethodGet, one + "/bindings/destination", anyUser, h.exchangeDestination},
	}
}

// exchangeParam returns the exchange that the path names; RabbitMQ's tools call the
// default one amq.default.
func exchangeParam(r *request) string {
	if name := param(r, "exchange"); name != "amq.default" {
		return name
	}
	return ""
}

// exchangeList returns the exchanges that the user sees and the path names.
func (h *handler) exchangeList(r *request) []map[string]any {
	counts := h.exchangeCounts(r)
	list := []map[string]any{}
	named := param(r, "exchange") != ""
	h.eachVHostState(r, func(s *metadata.State, v *metadata.VHost) {
		for _, name := range slices.Sorted(maps.Keys(v.Exchanges)) {
			if named && name != exchangeParam(r) {
				continue
			}
			x := v.Exchanges[name]
			m := map[string]any{
				"name": x.Name, "vhost": v.Name, "type": x.Type, "durable": x.Durable, "auto_delete": x.AutoDelete, "internal": x.Internal,
				"arguments": tableJSON(x.Args.Table), "policy": nil, "user_who_performed_action": "rmq-internal",
			}
			if p := s.PolicyOfExchange(x); p != nil {
				m["policy"] = p.Name
			}
			if c := counts[[2]string{v.Name, name}]; c.In > 0 {
				st := map[string]any{}
				rated(st, "publish_in", c.In, c.InRate)
				rated(st, "publish_out", c.Out, c.OutRate)
				m["message_stats"] = st
			}
			list = append(list, m)
		}
	})
	return list
}

func (h *handler) exchanges(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.exchangeList(r)))
}

func noExchange(r *request) error {
	return fault.New(fault.NotFound, "no exchange '%s' in vhost '%s'", exchangeParam(r), param(r, "vhost"))
}

func (h *handler) exchange(w http.ResponseWriter, r *request) error {
	list := h.exchangeList(r)
	if len(list) == 0 {
		return noExchange(r)
	}
	list[0]["incoming"], list[0]["outgoing"] = []any{}, []any{}
	return h.one(w, r, list[0])
}

func (h *handler) hasExchange(vhost, name string) (has bool) {
	h.b.Node().View(func(s *metadata.State) {
		_, missing := s.Exchange(vhost, name)
		has = missing == nil
	})
	return has
}

func (h *handler) declareExchange(w http.ResponseWriter, r *request) error {
	var body struct {
		Type       *string   `json:"type"`
		Durable    *flag     `json:"durable"`
		AutoDelete flag      `json:"auto_delete"`
		Internal   flag      `json:"internal"`
		Arguments  arguments `json:"arguments"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("type", body.Type); err != nil {
		return err
	}
	x := node.ExchangeSpec{
		Name: exchangeParam(r), Type: *body.Type, Durable: body.Durable == nil || bool(*body.Durable), AutoDelete: bool(body.AutoDelete),
		Internal: bool(body.Internal), Args: message.Table(body.Arguments),
	}
	existed := h.hasExchange(param(r, "vhost"), x.Name)
	if err := h.act(r, func(a *node.Actor) error { return a.ExchangeDeclare(r.Context(), x, false) }); err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h *handler) deleteExchange(w http.ResponseWriter, r *request) error {
	if !h.hasExchange(param(r, "vhost"), exchangeParam(r)) {
		return noExchange(r)
	}
	unused := r.URL.Query().Get("if-unused") == "true"
	return h.done(w, h.act(r, func(a *node.Actor) error { return a.ExchangeDelete(r.Context(), exchangeParam(r), unused) }))
}

// eachVHostState calls f with the virtual hosts that the user sees and the path names, by
// name, and with the topology that they are in.
func (h *handler) eachVHostState(r *request, f func(*metadata.State, *metadata.VHost)) {
	h.b.Node().View(func(s *metadata.State) {
		for _, name := range slices.Sorted(maps.Keys(s.VHosts)) {
			if v := param(r, "vhost"); (v == "" || v == name) && sees(r.user, name) {
				f(s, s.VHosts[name])
			}
		}
	})
}

// bindingsOf returns the bindings of a virtual host: those that each queue has with the
// default exchange, and those that were made.
func bindingsOf(v *metadata.VHost) []metadata.Binding {
	var all []metadata.Binding
	for _, name := range slices.Sorted(maps.Keys(v.Queues)) {
		if q := v.Queues[name]; !q.Internal && q.Delays == "" {
			all = append(all, metadata.Binding{Destination: name, Key: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Exchanges)) {
		for _, b := range v.Exchanges[name].Bindings {
			all = append(all, *b)
		}
	}
	slices.SortStableFunc(all, func(a, b metadata.Binding) int { return cmp.Compare(a.Source, b.Source) })
	return all
}
