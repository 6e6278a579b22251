package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

type addVHostCmd struct {
	Name             string `arg:"" help:"Name."`
	Description      string `help:"What it is for."`
	Tags             string `help:"Tags, parted by commas."`
	DefaultQueueType string `name:"default-queue-type" help:"Type of queues whose declaration names none."`
}

// Run implements the command.
func (c *addVHostCmd) Run(s *session) error {
	s.heading("Adding vhost \"%s\" ...", c.Name)
	body := map[string]any{}
	for key, v := range map[string]string{"description": c.Description, "tags": c.Tags, "default_queue_type": c.DefaultQueueType} {
		if v != "" {
			body[key] = v
		}
	}
	return s.client.call(s.ctx, http.MethodPut, "/api/vhosts/"+url.PathEscape(c.Name), body, nil)
}

type deleteVHostCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *deleteVHostCmd) Run(s *session) error {
	s.heading("Deleting vhost \"%s\" ...", c.Name)
	return s.client.call(s.ctx, http.MethodDelete, "/api/vhosts/"+url.PathEscape(c.Name), nil, nil)
}

func (s *session) permissionPath(kind, user string) string {
	return "/api/" + kind + "/" + url.PathEscape(s.vhost) + "/" + url.PathEscape(user)
}

type setPermissionsCmd struct {
	User      string `arg:"" help:"User."`
	Configure string `arg:"" help:"Regular expression of what the user may declare and delete."`
	Write     string `arg:"" help:"Regular expression of what the user may write to."`
	Read      string `arg:"" help:"Regular expression of what the user may read."`
}

// Run implements the command.
func (c *setPermissionsCmd) Run(s *session) error {
	s.heading("Setting permissions for user \"%s\" in vhost \"%s\" ...", c.User, s.vhost)
	body := map[string]string{"configure": c.Configure, "write": c.Write, "read": c.Read}
	return s.client.call(s.ctx, http.MethodPut, s.permissionPath("permissions", c.User), body, nil)
}

type clearPermissionsCmd struct {
	User string `arg:"" help:"User."`
}

// Run implements the command.
func (c *clearPermissionsCmd) Run(s *session) error {
	s.heading("Clearing permissions for user \"%s\" in vhost \"%s\" ...", c.User, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, s.permissionPath("permissions", c.User), nil, nil)
}

type listPermissionsCmd struct{}

// Run implements the command.
func (c *listPermissionsCmd) Run(s *session) error {
	return s.show(listing{path: "/api/vhosts/" + url.PathEscape(s.vhost) + "/permissions", title: "Listing permissions for vhost \"" + s.vhost + "\"", columns: []string{"user", "configure", "write", "read"}, defaults: 4}, nil)
}

type listUserPermissionsCmd struct {
	User string `arg:"" help:"User."`
}

// Run implements the command.
func (c *listUserPermissionsCmd) Run(s *session) error {
	return s.show(listing{path: userPath(c.User) + "/permissions", title: "Listing permissions for user \"" + c.User + "\"", columns: []string{"vhost", "configure", "write", "read"}, defaults: 4}, nil)
}

type setTopicPermissionsCmd struct {
	User     string `arg:"" help:"User."`
	Exchange string `arg:"" help:"Topic exchange."`
	Write    string `arg:"" help:"Regular expression of the routing keys to publish with; {username} and {vhost} stand for those."`
	Read     string `arg:"" help:"Regular expression of the routing keys to bind with."`
}

// Run implements the command.
func (c *setTopicPermissionsCmd) Run(s *session) error {
	s.heading("Setting topic permissions on \"%s\" for user \"%s\" in vhost \"%s\" ...", c.Exchange, c.User, s.vhost)
	body := map[string]string{"exchange": c.Exchange, "write": c.Write, "read": c.Read}
	return s.client.call(s.ctx, http.MethodPut, s.permissionPath("topic-permissions", c.User), body, nil)
}

type clearTopicPermissionsCmd struct {
	User     string `arg:"" help:"User."`
	Exchange string `arg:"" optional:"" help:"Topic exchange; default: all."`
}

// Run implements the command.
func (c *clearTopicPermissionsCmd) Run(s *session) error {
	s.heading("Clearing topic permissions for user \"%s\" in vhost \"%s\" ...", c.User, s.vhost)
	path := s.permissionPath("topic-permissions", c.User)
	if c.Exchange != "" {
		path += "/" + url.PathEscape(c.Exchange)
	}
	return s.client.call(s.ctx, http.MethodDelete, path, nil, nil)
}

type listTopicPermissionsCmd struct{}

// Run implements the command.
func (c *listTopicPermissionsCmd) Run(s *session) error {
	return s.show(listing{path: "/api/vhosts/" + url.PathEscape(s.vhost) + "/topic-permissions", title: "Listing topic permissions for vhost \"" + s.vhost + "\"", columns: []string{"user", "exchange", "write", "read"}, defaults: 4}, nil)
}

// setLimits sets the limits that a JSON object names.
func (s *session) setLimits(path, definition string) error {
	var limits map[string]int64
	if err := json.Unmarshal([]byte(definition), &limits); err != nil {
		return fmt.Errorf("%w: %q is not a JSON object of whole numbers: %w", errUsage, definition, err)
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		err := s.client.call(s.ctx, http.MethodPut, path+"/"+url.PathEscape(name), map[string]int64{"value": limits[name]}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// clearLimits removes the limit, or all of some names.
func (s *session) clearLimits(path, name string, all ...string) error {
	if name != "all" {
		all = []string{name}
	}
	for _, name := range all {
		if err := s.client.call(s.ctx, http.MethodDelete, path+"/"+url.PathEscape(name), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func vhostLimitsPath(s *session) string { return "/api/vhost-limits/" + url.PathEscape(s.vhost) }

func userLimitsPath(user string) string { return "/api/user-limits/" + url.PathEscape(user) }

type setVHostLimitsCmd struct {
	Definition string `arg:"" help:"JSON object, such as {\"max-connections\":100}; -1 means no limit."`
}

// Run implements the command.
func (c *setVHostLimitsCmd) Run(s *session) error {
	s.heading("Setting vhost limits to \"%s\" for vhost \"%s\" ...", c.Definition, s.vhost)
	return s.setLimits(vhostLimitsPath(s), c.Definition)
}

type clearVHostLimitsCmd struct{}

// Run implements the command.
func (c *clearVHostLimitsCmd) Run(s *session) error {
	s.heading("Clearing vhost \"%s\" limits ...", s.vhost)
	return s.clearLimits(vhostLimitsPath(s), "all", "max-connections", "max-queues")
}

type listVHostLimitsCmd struct{}

// Run implements the command.
func (c *listVHostLimitsCmd) Run(s *session) error {
	return s.show(listing{path: "/api/vhost-limits", title: "Listing limits for all vhosts", columns: []string{"vhost", "value"}, defaults: 2}, nil)
}

type setUserLimitsCmd struct {
	User       string `arg:"" help:"User."`
	Definition string `arg:"" help:"JSON object, such as {\"max-channels\":10}; -1 means no limit."`
}

// Run implements the command.
func (c *setUserLimitsCmd) Run(s *session) error {
	s.heading("Setting user limits to \"%s\" for user \"%s\" ...", c.Definition, c.User)
	return s.setLimits(userLimitsPath(c.User), c.Definition)
}

type clearUserLimitsCmd struct {
	User  string `arg:"" help:"User."`
	Limit string `arg:"" help:"Limit: ${enum}." enum:"max-connections,max-channels,all"`
}

// Run implements the command.
func (c *clearUserLimitsCmd) Run(s *session) error {
	s.heading("Clearing \"%s\" limit for user \"%s\" ...", c.Limit, c.User)
	return s.clearLimits(userLimitsPath(c.User), c.Limit, "max-connections", "max-channels")
}

type listUserLimitsCmd struct {
	User string `arg:"" optional:"" help:"Only this user's."`
}

// Run implements the command.
func (c *listUserLimitsCmd) Run(s *session) error {
	if c.User == "" {
		return s.show(listing{path: "/api/user-limits", title: "Listing limits for all users", columns: []string{"user", "value"}, defaults: 2}, nil)
	}
	return s.show(listing{path: userLimitsPath(c.User), title: "Listing limits for user \"" + c.User + "\"", columns: []string{"user", "value"}, defaults: 2}, nil)
}

type closeConnectionCmd struct {
	Name   string `arg:"" help:"Name, as list_connections name shows it."`
	Reason string `arg:"" help:"What the client is told."`
}

// Run implements the command.
func (c *closeConnectionCmd) Run(s *session) error {
	s.heading("Closing connection %s, reason: %s ...", c.Name, c.Reason)
	s.client.reason = c.Reason
	return s.client.call(s.ctx, http.MethodDelete, "/api/connections/"+url.PathEscape(c.Name), nil, nil)
}
