package management

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// Version is the broker's own.
const Version = "0.1.0"

// definitionsBytesMax bounds an import.
const definitionsBytesMax = 64 << 20

// Definitions are everything that operators set up, without messages and exclusive
// queues, in the form of RabbitMQ's exports.
type Definitions struct {
	RabbitVersion    string            `json:"rabbit_version,omitempty"`
	RabbitMQVersion  string            `json:"rabbitmq_version,omitempty"`
	ProductName      string            `json:"product_name,omitempty"`
	ProductVersion   string            `json:"product_version,omitempty"`
	Format           string            `json:"rabbitmq_definition_format,omitempty"`
	OriginalCluster  string            `json:"original_cluster_name,omitempty"`
	OriginalVHost    string            `json:"original_vhost_name,omitempty"`
	Explanation      string            `json:"explanation,omitempty"`
	Users            []json.RawMessage `json:"users,omitempty"`
	VHosts           []json.RawMessage `json:"vhosts,omitempty"`
	Permissions      []json.RawMessage `json:"permissions,omitempty"`
	TopicPermissions []json.RawMessage `json:"topic_permissions,omitempty"`
	Parameters       []json.RawMessage `json:"parameters"`
	GlobalParameters []json.RawMessage `json:"global_parameters,omitempty"`
	Policies         []json.RawMessage `json:"policies"`
	Queues           []json.RawMessage `json:"queues"`
	Exchanges        []json.RawMessage `json:"exchanges"`
	Bindings         []json.RawMessage `json:"bindings"`
}

func (h *handler) definitionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/definitions", admin, h.exportAll},
		{http.MethodPost, "/api/definitions", admin, h.importAll},
		{http.MethodPut, "/api/definitions", admin, h.importAll},
		{http.MethodGet, "/api/definitions/{vhost}", policy, h.exportVHost},
		{http.MethodPost, "/api/definitions/{vhost}", admin, h.importVHost},
	}
}

// Export returns the definitions, of one virtual host unless that is "".
func Export(s *metadata.State, vhost string) *Definitions {
	d := &Definitions{
		RabbitVersion: compatibleVersion, RabbitMQVersion: compatibleVersion, ProductName: "Warren", ProductVersion: Version, Format: "cluster",
		Explanation: "Definitions of cluster '" + s.NameOfCluster() + "', exported from Warren " + Version + " (" + runtime.Version() + ")",
	}
	if vhost != "" {
		d.Format, d.OriginalVHost = "single_virtual_host", vhost
		d.Explanation = "Definitions of virtual host '" + vhost + "' of cluster '" + s.NameOfCluster() + "'"
	} else {
		d.OriginalCluster = s.NameOfCluster()
	}
	add := func(to *[]json.RawMessage, m map[string]any) { *to = append(*to, mustJSON(m)) }
	d.Parameters, d.Policies, d.Queues, d.Exchanges, d.Bindings = none(), none(), none(), none(), none()
	for _, name := range slices.Sorted(maps.Keys(s.VHosts)) {
		if vhost == "" || name == vhost {
			exportVHost(d, s.VHosts[name], vhost != "", add)
		}
	}
	if vhost != "" {
		return d
	}
	for _, name := range slices.Sorted(maps.Keys(s.Users)) {
		u := s.Users[name]
		add(&d.Users, userJSON(u))
		for _, v := range slices.Sorted(maps.Keys(u.Permissions)) {
			p := u.Permissions[v]
			add(&d.Permissions, map[string]any{"user": name, "vhost": v, "configure": p.Configure, "write": p.Write, "read": p.Read})
		}
		for _, v := range slices.Sorted(maps.Keys(u.Topics)) {
			for _, x := range slices.Sorted(maps.Keys(u.Topics[v])) {
				p := u.Topics[v][x]
				add(&d.TopicPermissions, map[string]any{"user": name, "vhost": v, "exchange": x, "write": p.Write, "read": p.Read})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Globals)) {
		add(&d.GlobalParameters, map[string]any{"name": name, "value": s.Globals[name]})
	}
	return d
}

func none() []json.RawMessage { return []json.RawMessage{} }

// exportVHost adds a virtual host. In an export of it alone, entries do not name it.
func exportVHost(d *Definitions, v *metadata.VHost, alone bool, add func(*[]json.RawMessage, map[string]any)) {
	in := func(m map[string]any) map[string]any {
		if !alone {
			m["vhost"] = v.Name
		}
		return m
	}
	if !alone {
		m := map[string]any{
			"name": v.Name, "description": v.Description, "tags": notNil(v.Tags),
			"metadata": map[string]any{"description": v.Description, "tags": notNil(v.Tags)},
		}
		if v.DefaultQueueType != "" {
			m["default_queue_type"] = v.DefaultQueueType
		}
		add(&d.VHosts, m)
	}
	if len(v.Limits) > 0 {
		add(&d.Parameters, in(map[string]any{"component": vhostLimitsComponent, "name": "limits", "value": v.Limits}))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Policies)) {
		p := v.Policies[name]
		add(&d.Policies, in(map[string]any{"name": name, "pattern": p.Pattern, "apply-to": p.ApplyTo, "priority": p.Priority, "definition": p.Definition}))
	}
	for _, name := range slices.Sorted(maps.Keys(v.OperatorPolicies)) {
		p := v.OperatorPolicies[name]
		add(&d.Parameters, in(map[string]any{"component": operatorComponent, "name": name, "value": map[string]any{
			"pattern": p.Pattern, "apply-to": p.ApplyTo, "priority": p.Priority, "definition": p.Definition,
		}}))
	}
	kept := func(name string) bool {
		q := v.Queues[name]
		return q != nil && !q.Internal && q.Delays == "" && !q.Exclusive()
	}
	for _, name := range slices.Sorted(maps.Keys(v.Queues)) {
		if q := v.Queues[name]; kept(name) {
			add(&d.Queues, in(map[string]any{"name": name, "durable": q.Durable, "auto_delete": q.AutoDelete, "arguments": tableJSON(q.Args.Table)}))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Exchanges)) {
		if name != "" && !strings.HasPrefix(name, "amq.") {
			x := v.Exchanges[name]
			add(&d.Exchanges, in(map[string]any{
				"name": name, "type": x.Type, "durable": x.Durable, "auto_delete": x.AutoDelete, "internal": x.Internal, "arguments": tableJSON(x.Args.Table),
			}))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Exchanges)) {
		bindings := slices.SortedStableFunc(slices.Values(v.Exchanges[name].Bindings), func(a, b *metadata.Binding) int {
			return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Key, b.Key))
		})
		for _, b := range bindings {
			if b.ToExchange || kept(b.Destination) {
				m := bindingJSON(v.Name, b)
				delete(m, "properties_key")
				delete(m, "vhost")
				add(&d.Bindings, in(m))
			}
		}
	}
}

// operatorComponent is the component as which exports carry the operator's policies.
const operatorComponent = "operator_policy"

func (h *handler) export(w http.ResponseWriter, r *request, vhost string) error {
	var d *Definitions
	h.b.Node().View(func(s *metadata.State) { d = Export(s, vhost) })
	if name := r.URL.Query().Get("download"); name != "" {
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	write(w, http.StatusOK, d)
	return nil
}

func (h *handler) exportAll(w http.ResponseWriter, r *request) error { return h.export(w, r, "") }

func (h *handler) exportVHost(w http.ResponseWriter, r *request) error {
	return h.export(w, r, param(r, "vhost"))
}

func (h *handler) importAll(w http.ResponseWriter, r *request) error { return h.imports(w, r, "") }

func (h *handler) importVHost(w http.ResponseWriter, r *request) error {
	return h.imports(w, r, param(r, "vhost"))
}

// imports takes definitions as the body, or as the file of a form.
func (h *handler) imports(w http.ResponseWriter, r *request, vhost string) error {
	var raw []byte
	var err error
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		f, _, ferr := r.FormFile("file")
		if ferr != nil {
			return fault.New(fault.PreconditionFailed, "no file in the form: %v", ferr)
		}
		defer func() { _ = f.Close() }()
		raw, err = io.ReadAll(f)
	} else {
		raw, err = io.ReadAll(r.Body)
	}
	if err != nil {
		return fault.New(fault.PreconditionFailed, "definitions not read: %v", err)
	}
	report, err := Import(r.Context(), h.b.Node(), raw, vhost)
	if err != nil {
		return err
	}
	if len(report.Refused) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	reasons := make([]string, 0, len(report.Refused))
	for _, x := range report.Refused {
		reasons = append(reasons, x.Path+": "+x.Reason)
	}
	write(w, http.StatusBadRequest, map[string]any{
		"error": "bad_request", "reason": strings.Join(reasons, "; "), "refused": report.Refused, "imported": report.Imported,
	})
	return nil
}
