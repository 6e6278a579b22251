package metadata

import "github.com/warren-mq/warren/broker/internal/fault"

// User may log in.
type User struct {
	Name         string
	PasswordHash string // in RabbitMQ's format
	Hashing      string
	Tags         []string
	Permissions  map[string]Permission // by virtual host
}

// Permission is a user's three patterns in a virtual host.
type Permission struct{ Configure, Write, Read string }

// VHostPut adds a virtual host.
type VHostPut struct{ Name string }

// PermissionSet sets a user's permission in a virtual host.
type PermissionSet struct {
	User, VHost string
	Permission  Permission
}

func (s *State) permissionSet(c *PermissionSet) *fault.Error {
	u := s.Users[c.User]
	if u == nil {
		return fault.New(fault.NotFound, "no user '%s'", c.User)
	}
	if _, f := s.vhost(c.VHost); f != nil {
		return f
	}
	changed := *u
	changed.Permissions = map[string]Permission{c.VHost: c.Permission}
	for v, p := range u.Permissions {
		if v != c.VHost {
			changed.Permissions[v] = p
		}
	}
	s.Users[c.User] = &changed
	return nil
}
