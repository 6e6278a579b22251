package management

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

func (h *handler) parameterRoutes() []route {
	one, global := "/api/parameters/{component}/{vhost}/{name}", "/api/global-parameters/{name}"
	return []route{
		{http.MethodGet, "/api/parameters", policy, h.parameters},
		{http.MethodGet, "/api/parameters/{component}", policy, h.parameters},
		{http.MethodGet, "/api/parameters/{component}/{vhost}", policy, h.parameters},
		{http.MethodGet, one, policy, h.parameter},
		{http.MethodPut, one, admin, h.setParameter},
		{http.MethodDelete, one, admin, h.clearParameter},
		{http.MethodGet, "/api/global-parameters", policy, h.globals},
		{http.MethodGet, global, policy, h.global},
		{http.MethodPut, global, admin, h.setGlobal},
		{http.MethodDelete, global, admin, h.clearGlobal},
		{http.MethodGet, "/api/feature-flags", admin, h.featureFlags},
		{http.MethodPut, "/api/feature-flags/{name}/enable", admin, h.enableFeature},
		{http.MethodGet, "/api/deprecated-features", admin, h.nothing},
		{http.MethodGet, "/api/deprecated-features/used", admin, h.nothing},
		{http.MethodGet, "/api/shovels", monitor, h.nothing},
		{http.MethodGet, "/api/shovels/{vhost}", monitor, h.nothing},
		{http.MethodGet, "/api/federation-links", monitor, h.nothing},
		{http.MethodGet, "/api/federation-links/{vhost}", monitor, h.nothing},
	}
}

// vhostLimitsComponent is the one component that has parameters here: the limits of a
// virtual host, which RabbitMQ's definitions carry as such.
const vhostLimitsComponent = "vhost-limits"

// parameterList returns the parameters that the user sees and the path names.
func (h *handler) parameterList(r *request) []map[string]any {
	list := []map[string]any{}
	if c := param(r, "component"); c != "" && c != vhostLimitsComponent {
		return list
	}
	h.eachVHost(r, func(v *metadata.VHost) {
		if n := param(r, "name"); len(v.Limits) > 0 && (n == "" || n == "limits") {
			list = append(list, map[string]any{"component": vhostLimitsComponent, "vhost": v.Name, "name": "limits", "value": v.Limits})
		}
	})
	return list
}

func (h *handler) parameters(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.parameterList(r)))
}

func (h *handler) parameter(w http.ResponseWriter, r *request) error {
	list := h.parameterList(r)
	if len(list) == 0 {
		return fault.New(fault.NotFound, "no parameter '%s' of component '%s' in vhost '%s'", param(r, "name"), param(r, "component"), param(r, "vhost"))
	}
	return h.one(w, r, list[0])
}

func noComponent(name string) error {
	return fault.New(fault.PreconditionFailed, "component %s not found: there is %s", name, vhostLimitsComponent)
}

func (h *handler) setParameter(w http.ResponseWriter, r *request) error {
	var body struct {
		Value map[string]int64 `json:"value"`
	}
	if c := param(r, "component"); c != vhostLimitsComponent {
		return noComponent(c)
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("value", body.Value); err != nil {
		return err
	}
	existed := len(h.parameterList(r)) > 0
	for _, name := range slices.Sorted(maps.Keys(body.Value)) {
		err := h.b.Node().Change(r.Context(), metadata.Command{LimitSet: &metadata.LimitSet{VHost: param(r, "vhost"), Name: name, Value: body.Value[name]}})
		if err != nil {
			return err
		}
	}
	changed(w, existed)
	return nil
}

func (h *handler) clearParameter(w http.ResponseWriter, r *request) error {
	if len(h.parameterList(r)) == 0 {
		return fault.New(fault.NotFound, "no parameter '%s' of component '%s' in vhost '%s'", param(r, "name"), param(r, "component"), param(r, "vhost"))
	}
	return h.apply(w, r, metadata.Command{LimitClear: &metadata.LimitClear{VHost: param(r, "vhost")}})
}

func (h *handler) globalList() []map[string]any {
	list := []map[string]any{}
	h.b.Node().View(func(s *metadata.State) {
		if s.Globals[metadata.ClusterName] == nil {
			list = append(list, map[string]any{"name": metadata.ClusterName, "value": metadata.ClusterNameDefault})
		}
		list = append(list, map[string]any{"name": "internal_cluster_id", "value": "warren-cluster-id-" + s.ClusterID})
		for _, name := range slices.Sorted(maps.Keys(s.Globals)) {
			list = append(list, map[string]any{"name": name, "value": s.Globals[name]})
		}
	})
	return list
}

func (h *handler) globals(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.globalList()))
}

func (h *handler) global(w http.ResponseWriter, r *request) error {
	for _, g := range h.globalList() {
		if g["name"] == param(r, "name") {
			return h.one(w, r, g)
		}
	}
	return fault.New(fault.NotFound, "no global parameter '%s'", param(r, "name"))
}

func (h *handler) setGlobal(w http.ResponseWriter, r *request) error {
	var body struct {
		Value json.RawMessage `json:"value"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("value", body.Value); err != nil {
		return err
	}
	existed := false
	h.b.Node().View(func(s *metadata.State) { existed = s.Globals[param(r, "name")] != nil })
	err := h.b.Node().Change(r.Context(), metadata.Command{GlobalSet: &metadata.GlobalSet{Name: param(r, "name"), Value: body.Value}})
	if err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h *handler) clearGlobal(w http.ResponseWriter, r *request) error {
	return h.apply(w, r, metadata.Command{GlobalClear: &metadata.GlobalClear{Name: param(r, "name")}})
}

// features are what tools look for before they use it; all of them are always on.
var features = []string{
	"classic_mirrored_queue_version", "classic_queue_type_delivery_support", "direct_exchange_routing_v2", "drop_unroutable_metric",
	"empty_basic_get_metric", "feature_flags_v2", "implicit_default_bindings", "khepri_db", "listener_records_in_ets", "maintenance_mode_status",
	"message_containers", "quorum_queue", "tracking_records_in_ets", "user_limits", "virtual_host_metadata",
}

func (h *handler) featureFlags(w http.ResponseWriter, r *request) error {
	list := []map[string]any{}
	for _, f := range features {
		list = append(list, map[string]any{"name": f, "state": "enabled", "stability": "stable", "desc": "", "doc_url": "", "provided_by": "warren"})
	}
	return h.list(w, r, ready(list))
}

func (h *handler) enableFeature(w http.ResponseWriter, r *request) error {
	if !slices.Contains(features, param(r, "name")) {
		return fault.New(fault.NotFound, "no feature flag '%s'", param(r, "name"))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// nothing answers for what this broker does not have, but tools list.
func (h *handler) nothing(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(nil))
}

func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("management: " + err.Error()) // plain data: can't fail
	}
	return b
}

func itoa(n int) string { return strconv.Itoa(n) }
