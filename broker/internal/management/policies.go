package management

import (
	"maps"
	"net/http"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

func (h *handler) policyRoutes() []route {
	var all []route
	for _, kind := range [...]struct {
		path     string
		operator bool
		role     role
	}{{"/api/policies", false, policy}, {"/api/operator-policies", true, admin}} {
		p := policies{h, kind.operator}
		one := kind.path + "/{vhost}/{name}"
		all = append(all,
			route{http.MethodGet, kind.path, anyUser, p.list},
			route{http.MethodGet, kind.path + "/{vhost}", anyUser, p.list},
			route{http.MethodGet, one, anyUser, p.get},
			route{http.MethodPut, one, kind.role, p.set},
			route{http.MethodDelete, one, kind.role, p.clear},
		)
	}
	return all
}

// policies are those of the users, or of the operator.
type policies struct {
	*handler
	operator bool
}

func policyJSON(p *metadata.Policy) map[string]any {
	return map[string]any{
		"vhost": p.VHost, "name": p.Name, "pattern": p.Pattern, "apply-to": p.ApplyTo,
		"priority": p.Priority, "definition": p.Definition,
	}
}

// all returns the policies that the user sees, by virtual host and name.
func (h policies) all(r *request) []*metadata.Policy {
	var all []*metadata.Policy
	h.b.Node().View(func(s *metadata.State) {
		for _, name := range slices.Sorted(maps.Keys(s.VHosts)) {
			if v := param(r, "vhost"); v != "" && v != name || !sees(r.user, name) {
				continue
			}
			of := s.VHosts[name].Policies
			if h.operator {
				of = s.VHosts[name].OperatorPolicies
			}
			for _, p := range slices.Sorted(maps.Keys(of)) {
				all = append(all, of[p])
			}
		}
	})
	return all
}

func (h policies) list(w http.ResponseWriter, r *request) error {
	list := []map[string]any{}
	for _, p := range h.all(r) {
		list = append(list, policyJSON(p))
	}
	return h.handler.list(w, r, ready(list))
}

func (h policies) find(r *request) *metadata.Policy {
	for _, p := range h.all(r) {
		if p.Name == param(r, "name") {
			return p
		}
	}
	return nil
}

func (h policies) get(w http.ResponseWriter, r *request) error {
	p := h.find(r)
	if p == nil {
		return fault.New(fault.NotFound, "no policy '%s' in vhost '%s'", param(r, "name"), param(r, "vhost"))
	}
	write(w, http.StatusOK, policyJSON(p))
	return nil
}

func (h policies) set(w http.ResponseWriter, r *request) error {
	var body struct {
		Pattern    *string        `json:"pattern"`
		ApplyTo    string         `json:"apply-to"`
		Priority   int            `json:"priority"`
		Definition map[string]any `json:"definition"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("pattern", body.Pattern, "definition", body.Definition); err != nil {
		return err
	}
	if body.ApplyTo == "" {
		body.ApplyTo = "all"
	}
	existed := h.find(r) != nil
	err := h.b.Node().SetPolicy(r.Context(), metadata.Policy{
		VHost: param(r, "vhost"), Name: param(r, "name"), Pattern: *body.Pattern, Operator: h.operator,
		ApplyTo: body.ApplyTo, Priority: body.Priority, Definition: body.Definition,
	})
	if err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h policies) clear(w http.ResponseWriter, r *request) error {
	return h.apply(w, r, metadata.Command{PolicyClear: &metadata.PolicyClear{
		VHost: param(r, "vhost"), Name: param(r, "name"), Operator: h.operator,
	}})
}

// apply makes a change that has no more to tell.
func (h *handler) apply(w http.ResponseWriter, r *request, c metadata.Command) error {
	if err := h.b.Node().Change(r.Context(), c); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
