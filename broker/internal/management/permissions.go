package management

import (
	"maps"
	"net/http"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

func (h *handler) permissionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/permissions", admin, h.permissions},
		{http.MethodGet, "/api/users/{user}/permissions", admin, h.permissions},
		{http.MethodGet, "/api/vhosts/{vhost}/permissions", admin, h.permissions},
		{http.MethodGet, "/api/permissions/{vhost}/{user}", admin, h.permission},
		{http.MethodPut, "/api/permissions/{vhost}/{user}", admin, h.setPermission},
		{http.MethodDelete, "/api/permissions/{vhost}/{user}", admin, h.clearPermission},
		{http.MethodGet, "/api/topic-permissions", admin, h.topicPermissions},
		{http.MethodGet, "/api/users/{user}/topic-permissions", admin, h.topicPermissions},
		{http.MethodGet, "/api/vhosts/{vhost}/topic-permissions", admin, h.topicPermissions},
		{http.MethodGet, "/api/topic-permissions/{vhost}/{user}", admin, h.topicPermissions},
		{http.MethodPut, "/api/topic-permissions/{vhost}/{user}", admin, h.setTopicPermission},
		{http.MethodDelete, "/api/topic-permissions/{vhost}/{user}", admin, h.clearTopicPermission},
		{http.MethodGet, "/api/topic-permissions/{vhost}/{user}/{exchange}", admin, h.topicPermission},
		{http.MethodDelete, "/api/topic-permissions/{vhost}/{user}/{exchange}", admin, h.clearTopicPermission},
	}
}

// permissionList returns the permissions of the user and in the virtual host that the
// path names, or all.
func (h *handler) permissionList(r *request) ([]map[string]any, error) {
	users, err := h.named(r)
	list := []map[string]any{}
	for _, u := range users {
		for _, v := range slices.Sorted(maps.Keys(u.Permissions)) {
			if p := u.Permissions[v]; param(r, "vhost") == "" || param(r, "vhost") == v {
				list = append(list, map[string]any{"user": u.Name, "vhost": v, "configure": p.Configure, "write": p.Write, "read": p.Read})
			}
		}
	}
	return list, err
}

// named returns the user that the path names, or all.
func (h *handler) named(r *request) ([]*metadata.User, error) {
	if param(r, "user") == "" {
		return h.allUsers(func(*metadata.User) bool { return true }), nil
	}
	u, err := h.findUser(r)
	if err != nil {
		return nil, err
	}
	return []*metadata.User{u}, nil
}

func (h *handler) permissions(w http.ResponseWriter, r *request) error {
	list, err := h.permissionList(r)
	if err != nil {
		return err
	}
	return h.list(w, r, ready(list))
}

func (h *handler) permission(w http.ResponseWriter, r *request) error {
	list, err := h.permissionList(r)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return noPermission(r)
	}
	write(w, http.StatusOK, list[0])
	return nil
}

func noPermission(r *request) error {
	return fault.New(fault.NotFound, "user '%s' has no such permissions in vhost '%s'", param(r, "user"), param(r, "vhost"))
}

func (h *handler) setPermission(w http.ResponseWriter, r *request) error {
	var body struct{ Configure, Write, Read *string }
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("configure", body.Configure, "write", body.Write, "read", body.Read); err != nil {
		return err
	}
	existed := false
	if u := h.user(param(r, "user")); u != nil {
		_, existed = u.Permissions[param(r, "vhost")]
	}
	return h.grant(w, r, existed, metadata.Command{PermissionSet: &metadata.PermissionSet{
		User: param(r, "user"), VHost: param(r, "vhost"),
		Permission: metadata.Permission{Configure: *body.Configure, Write: *body.Write, Read: *body.Read},
	}})
}

// grant makes a change that needs a user and a virtual host.
func (h *handler) grant(w http.ResponseWriter, r *request, existed bool, c metadata.Command) error {
	err := h.b.Node().Change(r.Context(), c)
	if fault.KindOf(err) == fault.NotFound {
		return &detailedError{"vhost_or_user_not_found", err.Error()}
	}
	if err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h *handler) clearPermission(w http.ResponseWriter, r *request) error {
	list, err := h.permissionList(r)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return noPermission(r)
	}
	return h.apply(w, r, metadata.Command{PermissionClear: &metadata.PermissionClear{User: param(r, "user"), VHost: param(r, "vhost")}})
}

// topicList is permissionList for topic permissions, of the exchange that the path names
// or of all.
func (h *handler) topicList(r *request) ([]map[string]any, error) {
	users, err := h.named(r)
	list := []map[string]any{}
	for _, u := range users {
		for _, v := range slices.Sorted(maps.Keys(u.Topics)) {
			if param(r, "vhost") != "" && param(r, "vhost") != v {
				continue
			}
			for _, x := range slices.Sorted(maps.Keys(u.Topics[v])) {
				if p := u.Topics[v][x]; param(r, "exchange") == "" || param(r, "exchange") == x {
					list = append(list, map[string]any{"user": u.Name, "vhost": v, "exchange": x, "write": p.Write, "read": p.Read})
				}
			}
		}
	}
	return list, err
}

func (h *handler) topicPermissions(w http.ResponseWriter, r *request) error {
	list, err := h.topicList(r)
	if err != nil {
		return err
	}
	if len(list) == 0 && param(r, "user") != "" && param(r, "vhost") != "" {
		return noPermission(r)
	}
	return h.list(w, r, ready(list))
}

func (h *handler) topicPermission(w http.ResponseWriter, r *request) error {
	list, err := h.topicList(r)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return noPermission(r)
	}
	write(w, http.StatusOK, list[0])
	return nil
}

func (h *handler) setTopicPermission(w http.ResponseWriter, r *request) error {
	var body struct{ Exchange, Write, Read *string }
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("exchange", body.Exchange, "write", body.Write, "read", body.Read); err != nil {
		return err
	}
	existed := false
	if u := h.user(param(r, "user")); u != nil {
		_, existed = u.Topics[param(r, "vhost")][*body.Exchange]
	}
	return h.grant(w, r, existed, metadata.Command{TopicPermissionSet: &metadata.TopicPermissionSet{
		User: param(r, "user"), VHost: param(r, "vhost"), Exchange: *body.Exchange,
		Permission: metadata.TopicPermission{Write: *body.Write, Read: *body.Read},
	}})
}

func (h *handler) clearTopicPermission(w http.ResponseWriter, r *request) error {
	list, err := h.topicList(r)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return noPermission(r)
	}
	exchange := param(r, "exchange")
	return h.apply(w, r, metadata.Command{TopicPermissionClear: &metadata.TopicPermissionClear{
		User: param(r, "user"), VHost: param(r, "vhost"), Exchange: exchange, All: exchange == "",
	}})
}
