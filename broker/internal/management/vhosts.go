package management

import (
	"maps"
	"net/http"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

func (h *handler) vhostRoutes() []route {
	return []route{
		{http.MethodGet, "/api/vhosts", anyUser, h.vhosts},
		{http.MethodGet, "/api/vhosts/{vhost}", anyUser, h.vhost},
		{http.MethodPut, "/api/vhosts/{vhost}", admin, h.putVHost},
		{http.MethodDelete, "/api/vhosts/{vhost}", admin, h.deleteVHost},
		{http.MethodPost, "/api/vhosts/{vhost}/start/{node}", admin, h.startVHost},
		{http.MethodPost, "/api/vhosts/{vhost}/deletion/protection", admin, h.protectVHost},
		{http.MethodDelete, "/api/vhosts/{vhost}/deletion/protection", admin, h.protectVHost},
		{http.MethodGet, "/api/vhost-limits", anyUser, h.vhostLimits},
		{http.MethodGet, "/api/vhost-limits/{vhost}", anyUser, h.vhostLimits},
		{http.MethodPut, "/api/vhost-limits/{vhost}/{name}", admin, h.setLimit},
		{http.MethodDelete, "/api/vhost-limits/{vhost}/{name}", admin, h.clearLimit},
	}
}

// eachVHost calls f with the virtual hosts that the user sees, by name.
func (h *handler) eachVHost(r *request, f func(*metadata.VHost)) {
	h.b.Node().View(func(s *metadata.State) {
		for _, name := range slices.Sorted(maps.Keys(s.VHosts)) {
			if v := param(r, "vhost"); (v == "" || v == name) && sees(r.user, name) {
				f(s.VHosts[name])
			}
		}
	})
}

// vhostList returns what the API tells of the virtual hosts that the user sees.
func (h *handler) vhostList(w http.ResponseWriter, r *request) []map[string]any {
	state := map[string]string{}
	for _, n := range h.b.Node().Nodes() {
		state[n.Name] = "stopped"
		if n.Running {
			state[n.Name] = "running"
		}
	}
	sums := map[string]*[2]int{}
	rates := map[string]*[2]float64{}
	for _, q := range h.allQueues(w, r, false) {
		if sums[q.VHost] == nil {
			sums[q.VHost], rates[q.VHost] = new([2]int), new([2]float64)
		}
		sums[q.VHost][0] += q.Ready
		sums[q.VHost][1] += q.Unacked
		rates[q.VHost][0] += q.ReadyRate
		rates[q.VHost][1] += q.UnackRate
	}
	list := []map[string]any{}
	h.eachVHost(r, func(v *metadata.VHost) {
		about := map[string]any{"description": v.Description, "tags": notNil(v.Tags)}
		m := map[string]any{
			"name": v.Name, "description": v.Description, "tags": notNil(v.Tags), "tracing": v.Tracing,
			"metadata": about, "cluster_state": state, "protected_from_deletion": v.Protected,
		}
		if v.DefaultQueueType != "" {
			m["default_queue_type"], about["default_queue_type"] = v.DefaultQueueType, v.DefaultQueueType
		}
		if sum := sums[v.Name]; sum != nil {
			lengths(m, sum[0], sum[1], rates[v.Name][0], rates[v.Name][1], nil, span{})
		} else {
			lengths(m, 0, 0, 0, 0, nil, span{})
		}
		list = append(list, m)
	})
	return list
}

func (h *handler) vhosts(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.vhostList(w, r)))
}

func (h *handler) vhost(w http.ResponseWriter, r *request) error {
	list := h.vhostList(w, r)
	if len(list) == 0 {
		return fault.New(fault.NotFound, "no vhost '%s'", param(r, "vhost"))
	}
	return h.one(w, r, list[0])
}

func (h *handler) putVHost(w http.ResponseWriter, r *request) error {
	var body struct {
		Description      *string     `json:"description"`
		Tags             *stringList `json:"tags"`
		DefaultQueueType *string     `json:"default_queue_type"`
		Tracing          *flag       `json:"tracing"`
		Protected        *flag       `json:"protected_from_deletion"`
	}
	if err := readOptional(r, &body); err != nil {
		return err
	}
	c := &metadata.VHostPut{
		Name: param(r, "vhost"), Description: body.Description, Tags: (*[]string)(body.Tags), DefaultQueueType: body.DefaultQueueType,
		Tracing: (*bool)(body.Tracing), Protected: (*bool)(body.Protected),
	}
	if t := c.DefaultQueueType; t != nil && *t == "undefined" { // what some tools send for none
		c.DefaultQueueType = new(string)
	}
	existed := h.hasVHost(c.Name)
	if err := h.b.Node().Change(r.Context(), metadata.Command{VHostPut: c}); err != nil {
		return err
	}
	if !existed {
		// Whoever makes one may use it, as with RabbitMQ's API.
		err := h.b.Node().Change(r.Context(), metadata.Command{PermissionSet: &metadata.PermissionSet{
			User: r.user.Name, VHost: c.Name, Permission: metadata.Permission{Configure: ".*", Write: ".*", Read: ".*"},
		}})
		if err != nil {
			return err
		}
	}
	changed(w, existed)
	return nil
}

// startVHost starts a virtual host on a node, where they all run anyway.
func (h *handler) startVHost(w http.ResponseWriter, r *request) error {
	for _, n := range h.b.Node().Nodes() {
		if n.Name == param(r, "node") {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return fault.New(fault.NotFound, "no node '%s' in the cluster", param(r, "node"))
}

// protectVHost protects a virtual host from deletion (POST), or ends that.
func (h *handler) protectVHost(w http.ResponseWriter, r *request) error {
	on := r.Method == http.MethodPost
	return h.apply(w, r, metadata.Command{VHostPut: &metadata.VHostPut{Name: param(r, "vhost"), Protected: &on}})
}

func (h *handler) hasVHost(name string) (has bool) {
	h.b.Node().View(func(s *metadata.State) { has = s.VHosts[name] != nil })
	return has
}

func (h *handler) deleteVHost(w http.ResponseWriter, r *request) error {
	return h.apply(w, r, metadata.Command{VHostDelete: &metadata.VHostDelete{Name: param(r, "vhost")}})
}

func (h *handler) vhostLimits(w http.ResponseWriter, r *request) error {
	list := []map[string]any{}
	h.eachVHost(r, func(v *metadata.VHost) {
		if len(v.Limits) > 0 {
			list = append(list, map[string]any{"vhost": v.Name, "value": v.Limits})
		}
	})
	return h.list(w, r, ready(list))
}
