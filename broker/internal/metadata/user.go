package metadata

import (
	"maps"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/pattern"
)

// User may log in. A user's record is replaced, never changed: readers may hold one.
type User struct {
	Name         string
	PasswordHash string // in RabbitMQ's format; "" lets no password in
	Hashing      string
	Tags         []string
	Permissions  map[string]Permission                 // by virtual host
	Topics       map[string]map[string]TopicPermission `json:",omitempty"` // by virtual host and exchange
	Limits       Limits                                `json:",omitempty"`
}

// HasTag reports whether the user has one of the tags.
func (u *User) HasTag(tags ...string) bool {
	return slices.ContainsFunc(u.Tags, func(t string) bool { return slices.Contains(tags, t) })
}

// Permission is a user's three patterns in a virtual host.
type Permission struct{ Configure, Write, Read string }

// TopicPermission is a user's patterns for the routing keys of a topic exchange.
type TopicPermission struct{ Write, Read string }

// UserDelete removes a user with all that is the user's.
type UserDelete struct{ Name string }

// PermissionSet sets a user's permission in a virtual host.
type PermissionSet struct {
	User, VHost string
	Permission  Permission
}

// PermissionClear removes it.
type PermissionClear struct{ User, VHost string }

// TopicPermissionSet sets a user's permission for a topic exchange.
type TopicPermissionSet struct {
	User, VHost, Exchange string
	Permission            TopicPermission
}

// TopicPermissionClear removes it; without an exchange, those for all of the virtual
// host's.
type TopicPermissionClear struct {
	User, VHost, Exchange string
	All                   bool
}

// userPut adds a user, or sets the password and the tags of one that is there.
func (s *State) userPut(u *User) *fault.Error {
	switch {
	case u.Name == "":
		return fault.New(fault.PreconditionFailed, "a user's name must not be empty")
	case !validName(u.Name):
		return fault.New(fault.PreconditionFailed, "the name of user '%s' is longer than %d bytes, or not UTF-8", u.Name, nameBytesMax)
	}
	for _, t := range u.Tags {
		if t == "" || !validName(t) {
			return fault.New(fault.PreconditionFailed, "the tag '%s' of user '%s' is empty, longer than %d bytes, or not UTF-8", t, u.Name, nameBytesMax)
		}
	}
	if f := checkLimits(u.Limits, userLimits); f != nil {
		return f
	}
	if old := s.Users[u.Name]; old != nil {
		changed := *old
		changed.PasswordHash, changed.Hashing, changed.Tags = u.PasswordHash, u.Hashing, u.Tags
		u = &changed
	}
	s.setUser(u)
	return nil
}

func (s *State) setUser(u *User) {
	s.Users[u.Name] = u
	s.changed(Change{Kind: AccessChanged})
}

func (s *State) userDelete(c *UserDelete) *fault.Error {
	if _, f := s.User(c.Name); f != nil {
		return f
	}
	delete(s.Users, c.Name)
	s.changed(Change{Kind: AccessChanged})
	return nil
}

// User returns a user; the fault is NotFound.
func (s *State) User(name string) (*User, *fault.Error) {
	if u := s.Users[name]; u != nil {
		return u, nil
	}
	return nil, fault.New(fault.NotFound, "no user '%s'", name)
}

// userIn returns a copy of a user to change, if there is the virtual host, too.
func (s *State) userIn(user, vhost string) (*User, *fault.Error) {
	u, f := s.User(user)
	if f != nil {
		return nil, f
	}
	if s.VHosts[vhost] == nil {
		return nil, fault.New(fault.NotFound, "no vhost '%s'", vhost)
	}
	changed := *u
	return &changed, nil
}

func (s *State) permissionSet(c *PermissionSet) *fault.Error {
	u, f := s.userIn(c.User, c.VHost)
	if f != nil {
		return f
	}
	if f := checkPatterns(c.Permission.Configure, c.Permission.Write, c.Permission.Read); f != nil {
		return f
	}
	u.Permissions = with(u.Permissions, c.VHost, c.Permission)
	s.setUser(u)
	return nil
}

func (s *State) permissionClear(c *PermissionClear) *fault.Error {
	u, f := s.userIn(c.User, c.VHost)
	if f != nil {
		return f
	}
	u.Permissions = without(u.Permissions, c.VHost)
	s.setUser(u)
	return nil
}

func (s *State) topicPermissionSet(c *TopicPermissionSet) *fault.Error {
	u, f := s.userIn(c.User, c.VHost)
	if f != nil {
		return f
	}
	if f := checkPatterns(c.Permission.Write, c.Permission.Read); f != nil {
		return f
	}
	if !validName(c.Exchange) {
		return fault.New(fault.PreconditionFailed, "the name of exchange '%s' is longer than %d bytes, or not UTF-8", c.Exchange, nameBytesMax)
	}
	u.Topics = with(u.Topics, c.VHost, with(u.Topics[c.VHost], c.Exchange, c.Permission))
	s.setUser(u)
	return nil
}

func (s *State) topicPermissionClear(c *TopicPermissionClear) *fault.Error {
	u, f := s.userIn(c.User, c.VHost)
	if f != nil {
		return f
	}
	of := without(u.Topics[c.VHost], c.Exchange)
	if c.All || len(of) == 0 {
		u.Topics = without(u.Topics, c.VHost)
	} else {
		u.Topics = with(u.Topics, c.VHost, of)
	}
	s.setUser(u)
	return nil
}

// checkPatterns checks that all are regular expressions.
func checkPatterns(patterns ...string) *fault.Error {
	for _, p := range patterns {
		if _, err := pattern.Compile(p); err != nil {
			return fault.New(fault.PreconditionFailed, "invalid regular expression '%s': %v", p, err)
		}
	}
	return nil
}

// with returns a copy of m in which k is v.
func with[V any](m map[string]V, k string, v V) map[string]V {
	c := maps.Clone(m)
	if c == nil {
		c = map[string]V{}
	}
	c[k] = v
	return c
}

// without returns a copy of m without k.
func without[V any](m map[string]V, k string) map[string]V {
	c := maps.Clone(m)
	delete(c, k)
	return c
}
