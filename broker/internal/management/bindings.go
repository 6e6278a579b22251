package management

import (
	"encoding/base64"
	"hash/fnv"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) bindingRoutes() []route {
	between := "/api/bindings/{vhost}/e/{exchange}"
	var all []route
	for _, kind := range [...]string{"q", "e"} {
		pair := between + "/" + kind + "/{destination}"
		b := bindings{h, kind == "e"}
		all = append(all,
			route{http.MethodGet, pair, anyUser, b.pair},
			route{http.MethodPost, pair, anyUser, b.bind},
			route{http.MethodGet, pair + "/{props}", anyUser, b.get},
			route{http.MethodDelete, pair + "/{props}", anyUser, b.unbind},
		)
	}
	return append(all,
		route{http.MethodGet, "/api/bindings", anyUser, h.bindings},
		route{http.MethodGet, "/api/bindings/{vhost}", anyUser, h.bindings},
	)
}

// propertiesKey names a binding among those of the same two ends: ~ for one without key
// and arguments, else the key, and a hash of the arguments if there are any.
func propertiesKey(b *metadata.Binding) string {
	key := strings.ReplaceAll(url.QueryEscape(b.Key), "~", "%7E")
	if len(b.Args.Table) > 0 {
		hash := fnv.New64a()
		_, _ = hash.Write(b.Args.Table.Append(nil)) // never fails
		return key + "~" + base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
	}
	if key == "" {
		return "~"
	}
	return key
}

func bindingJSON(vhost string, b *metadata.Binding) map[string]any {
	kind := "queue"
	if b.ToExchange {
		kind = "exchange"
	}
	return map[string]any{
		"source": b.Source, "vhost": vhost, "destination": b.Destination, "destination_type": kind,
		"routing_key": strings.ToValidUTF8(b.Key, "\ufffd"), "arguments": tableJSON(b.Args.Table), "properties_key": propertiesKey(b),
	}
}

// bindingList returns the bindings that the user sees and that fit.
func (h *handler) bindingList(r *request, fits func(*metadata.Binding) bool) []map[string]any {
	list := []map[string]any{}
	h.eachVHostState(r, func(_ *metadata.State, v *metadata.VHost) {
		for _, b := range bindingsOf(v) {
			if fits(&b) {
				list = append(list, bindingJSON(v.Name, &b))
			}
		}
	})
	return list
}

func (h *handler) bindings(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.bindingList(r, func(*metadata.Binding) bool { return true })))
}

func (h *handler) queueBindings(w http.ResponseWriter, r *request) error {
	if err := h.queueThere(r); err != nil {
		return err
	}
	return h.list(w, r, ready(h.bindingList(r, func(b *metadata.Binding) bool { return !b.ToExchange && b.Destination == param(r, "name") })))
}

func (h *handler) exchangeSource(w http.ResponseWriter, r *request) error {
	if !h.hasExchange(param(r, "vhost"), exchangeParam(r)) {
		return noExchange(r)
	}
	return h.list(w, r, ready(h.bindingList(r, func(b *metadata.Binding) bool { return b.Source == exchangeParam(r) })))
}

func (h *handler) exchangeDestination(w http.ResponseWriter, r *request) error {
	if !h.hasExchange(param(r, "vhost"), exchangeParam(r)) {
		return noExchange(r)
	}
	return h.list(w, r, ready(h.bindingList(r, func(b *metadata.Binding) bool { return b.ToExchange && b.Destination == exchangeParam(r) })))
}

// bindings are those to queues, or to exchanges.
type bindings struct {
	*handler
	toExchange bool
}

func (h bindings) between(r *request) func(*metadata.Binding) bool {
	return func(b *metadata.Binding) bool {
		return b.ToExchange == h.toExchange && b.Source == exchangeParam(r) && b.Destination == param(r, "destination")
	}
}

// ends refuses a path whose two ends are not there.
func (h bindings) ends(r *request) error {
	vhost, to := param(r, "vhost"), param(r, "destination")
	switch {
	case !h.hasExchange(vhost, exchangeParam(r)):
		return noExchange(r)
	case h.toExchange && !h.hasExchange(vhost, to):
		return fault.New(fault.NotFound, "no exchange '%s' in vhost '%s'", to, vhost)
	case !h.toExchange && !h.hasQueue(vhost, to):
		return fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", to, vhost)
	}
	return nil
}

func (h bindings) pair(w http.ResponseWriter, r *request) error {
	if err := h.ends(r); err != nil {
		return err
	}
	return h.list(w, r, ready(h.bindingList(r, h.between(r))))
}

func (h bindings) bind(w http.ResponseWriter, r *request) error {
	if err := h.ends(r); err != nil {
		return err
	}
	var body struct {
		Key       string    `json:"routing_key"`
		Arguments arguments `json:"arguments"`
	}
	if err := readOptional(r, &body); err != nil {
		return err
	}
	spec := node.BindingSpec{
		Source: exchangeParam(r), Destination: param(r, "destination"), ToExchange: h.toExchange, Key: body.Key, Args: message.Table(body.Arguments),
	}
	if err := h.act(r, func(a *node.Actor) error { return a.Bind(r.Context(), spec) }); err != nil {
		return err
	}
	key := propertiesKey(&metadata.Binding{Key: spec.Key, Args: metadata.Args{Table: spec.Args}})
	w.Header().Set("Location", url.PathEscape(param(r, "destination"))+"/"+url.PathEscape(key))
	w.WriteHeader(http.StatusCreated)
	return nil
}

// find returns the binding that the path names.
func (h bindings) find(r *request) (found *metadata.Binding) {
	fits := h.between(r)
	h.eachVHostState(r, func(_ *metadata.State, v *metadata.VHost) {
		all := bindingsOf(v)
		i := slices.IndexFunc(all, func(b metadata.Binding) bool { return fits(&b) && propertiesKey(&b) == param(r, "props") })
		if i >= 0 {
			found = &all[i]
		}
	})
	return found
}

func noBinding(r *request) error {
	return fault.New(fault.NotFound, "no binding '%s' between '%s' and '%s' in vhost '%s'",
		param(r, "props"), exchangeParam(r), param(r, "destination"), param(r, "vhost"))
}

func (h bindings) get(w http.ResponseWriter, r *request) error {
	b := h.find(r)
	if b == nil {
		return noBinding(r)
	}
	return h.one(w, r, bindingJSON(param(r, "vhost"), b))
}

func (h bindings) unbind(w http.ResponseWriter, r *request) error {
	b := h.find(r)
	if b == nil {
		return noBinding(r)
	}
	spec := node.BindingSpec{Source: b.Source, Destination: b.Destination, ToExchange: b.ToExchange, Key: b.Key, Args: b.Args.Table}
	return h.done(w, h.act(r, func(a *node.Actor) error { return a.Unbind(r.Context(), spec) }))
}
