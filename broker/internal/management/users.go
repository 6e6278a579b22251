package management

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

func (h *handler) userRoutes() []route {
	return []route{
		{http.MethodGet, "/api/whoami", anyUser, h.whoami},
		{http.MethodGet, "/api/auth", anyUser, h.howToLogIn},
		{http.MethodGet, "/api/auth/attempts/{node}", monitor, h.attempts},
		{http.MethodGet, "/api/users", admin, h.users},
		{http.MethodGet, "/api/users/without-permissions", admin, h.usersWithoutPermissions},
		{http.MethodPost, "/api/users/bulk-delete", admin, h.deleteUsers},
		{http.MethodGet, "/api/users/{user}", admin, h.getUser},
		{http.MethodPut, "/api/users/{user}", admin, h.putUser},
		{http.MethodDelete, "/api/users/{user}", admin, h.deleteUser},
		{http.MethodGet, "/api/user-limits", admin, h.userLimits},
		{http.MethodGet, "/api/user-limits/{user}", admin, h.userLimits},
		{http.MethodPut, "/api/user-limits/{user}/{name}", admin, h.setLimit},
		{http.MethodDelete, "/api/user-limits/{user}/{name}", admin, h.clearLimit},
	}
}

// flag is a truth value, or the word for one.
type flag bool

// UnmarshalJSON decodes either.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", `"true"`:
		*f = true
	case "false", `"false"`, "null", `""`:
		*f = false
	default:
		return fmt.Errorf("%s is neither true nor false", b)
	}
	return nil
}

// number is a whole number, or the text of one.
type number int64

// UnmarshalJSON decodes either.
func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not a whole number", b)
	}
	*n = number(v)
	return nil
}

// stringList is a list of words, or a text in which commas part them.
type stringList []string

// UnmarshalJSON decodes either.
func (l *stringList) UnmarshalJSON(b []byte) error {
	*l = stringList{}
	if len(b) == 0 || b[0] != '"' {
		return json.Unmarshal(b, (*[]string)(l))
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l = append(*l, word)
		}
	}
	return nil
}

// notNil makes an empty list of none, so that JSON has one.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func userJSON(u *metadata.User) map[string]any {
	limits := u.Limits
	if limits == nil {
		limits = metadata.Limits{}
	}
	return map[string]any{
		"name": u.Name, "password_hash": u.PasswordHash, "hashing_algorithm": u.Hashing, "tags": notNil(u.Tags), "limits": limits,
	}
}

func (h *handler) whoami(w http.ResponseWriter, r *request) error {
	write(w, http.StatusOK, map[string]any{"name": r.user.Name, "tags": notNil(r.user.Tags), "is_internal_user": true})
	return nil
}

// howToLogIn tells tools that look for it that there is no OAuth.
func (h *handler) howToLogIn(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]any{"oauth_enabled": false})
	return nil
}

// attempts counts the logins of a node.
func (h *handler) attempts(w http.ResponseWriter, r *request) error {
	t, known := h.allTotals(r.Context()).nodes[param(r, "node")]
	if !known {
		return fault.New(fault.NotFound, "no node '%s' in the cluster, or it does not answer", param(r, "node"))
	}
	good, bad := t.Churn.LoginsGood, t.Churn.LoginsBad
	return h.list(w, r, ready([]map[string]any{{
		"protocol": "amqp091", "auth_attempts": good + bad, "auth_attempts_succeeded": good, "auth_attempts_failed": bad,
	}}))
}

// allUsers returns those that fit, by name.
func (h *handler) allUsers(fits func(*metadata.User) bool) []*metadata.User {
	all := []*metadata.User{}
	h.b.Node().View(func(s *metadata.State) {
		for _, name := range slices.Sorted(maps.Keys(s.Users)) {
			if fits(s.Users[name]) {
				all = append(all, s.Users[name])
			}
		}
	})
	return all
}

func (h *handler) writeUsers(w http.ResponseWriter, r *request, fits func(*metadata.User) bool) error {
	list := []map[string]any{}
	for _, u := range h.allUsers(fits) {
		list = append(list, userJSON(u))
	}
	return h.list(w, r, ready(list))
}

func (h *handler) users(w http.ResponseWriter, r *request) error {
	return h.writeUsers(w, r, func(*metadata.User) bool { return true })
}

func (h *handler) usersWithoutPermissions(w http.ResponseWriter, r *request) error {
	return h.writeUsers(w, r, func(u *metadata.User) bool { return len(u.Permissions) == 0 })
}

// findUser returns the user that the path names.
func (h *handler) findUser(r *request) (*metadata.User, error) {
	name := param(r, "user")
	if u := h.user(name); u != nil {
		return u, nil
	}
	return nil, fault.New(fault.NotFound, "no user '%s'", name)
}

func (h *handler) getUser(w http.ResponseWriter, r *request) error {
	u, err := h.findUser(r)
	if err == nil {
		write(w, http.StatusOK, userJSON(u))
	}
	return err
}

// putUser adds a user, or changes password and tags of one. Without a password the user
// has none, and can log in with a certificate only.
func (h *handler) putUser(w http.ResponseWriter, r *request) error {
	var body struct {
		Password     *string        `json:"password"`
		PasswordHash *string        `json:"password_hash"`
		Hashing      auth.Algorithm `json:"hashing_algorithm"`
		Tags         *stringList    `json:"tags"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	u := &metadata.User{Name: param(r, "user"), Hashing: string(auth.SHA256)}
	switch {
	case body.Tags == nil:
		return fault.New(fault.PreconditionFailed, "tags_not_present")
	case body.Password != nil && body.PasswordHash != nil:
		return fault.New(fault.PreconditionFailed, "both_password_and_password_hash_are_provided")
	case body.Password != nil && *body.Password != "":
		hash, err := auth.Hash(auth.SHA256, *body.Password)
		if err != nil {
			return err
		}
		u.PasswordHash = hash
	case body.PasswordHash != nil:
		if body.Hashing != "" {
			u.Hashing = string(body.Hashing)
		}
		if err := auth.CheckHash(auth.Algorithm(u.Hashing), *body.PasswordHash); err != nil {
			return fault.New(fault.PreconditionFailed, "%v", err)
		}
		u.PasswordHash = *body.PasswordHash
	}
	u.Tags = *body.Tags
	existed := h.user(u.Name) != nil
	if err := h.b.Node().Change(r.Context(), metadata.Command{UserPut: u}); err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h *handler) deleteUser(w http.ResponseWriter, r *request) error {
	return h.apply(w, r, metadata.Command{UserDelete: &metadata.UserDelete{Name: param(r, "user")}})
}

func (h *handler) deleteUsers(w http.ResponseWriter, r *request) error {
	var body struct {
		Users []string `json:"users"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	for _, name := range body.Users {
		err := h.b.Node().Change(r.Context(), metadata.Command{UserDelete: &metadata.UserDelete{Name: name}})
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) userLimits(w http.ResponseWriter, r *request) error {
	name := param(r, "user")
	if name != "" {
		if _, err := h.findUser(r); err != nil {
			return err
		}
	}
	list := []map[string]any{}
	for _, u := range h.allUsers(func(u *metadata.User) bool { return len(u.Limits) > 0 && (name == "" || name == u.Name) }) {
		list = append(list, map[string]any{"user": u.Name, "value": u.Limits})
	}
	return h.list(w, r, ready(list))
}

// setLimit sets a limit of the user or the virtual host that the path names.
func (h *handler) setLimit(w http.ResponseWriter, r *request) error {
	var body struct {
		Value *number `json:"value"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("value", body.Value); err != nil {
		return err
	}
	return h.apply(w, r, metadata.Command{LimitSet: &metadata.LimitSet{
		User: param(r, "user"), VHost: param(r, "vhost"), Name: param(r, "name"), Value: int64(*body.Value),
	}})
}

func (h *handler) clearLimit(w http.ResponseWriter, r *request) error {
	return h.apply(w, r, metadata.Command{LimitClear: &metadata.LimitClear{
		User: param(r, "user"), VHost: param(r, "vhost"), Name: param(r, "name"),
	}})
}
