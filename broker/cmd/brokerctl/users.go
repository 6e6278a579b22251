package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

type user struct {
	Name         string         `json:"name,omitempty"`
	Password     *string        `json:"password,omitempty"`
	PasswordHash *string        `json:"password_hash,omitempty"`
	Hashing      string         `json:"hashing_algorithm,omitempty"`
	Tags         []string       `json:"tags"`
	Limits       map[string]any `json:"limits,omitempty"`
}

func userPath(name string) string { return "/api/users/" + url.PathEscape(name) }

// change gets a user, lets f change it and puts it back: password and tags go together.
func (s *session) change(name string, f func(*user)) error {
	var u user
	if err := s.client.call(s.ctx, http.MethodGet, userPath(name), nil, &u); err != nil {
		return err
	}
	f(&u)
	u.Name, u.Limits = "", nil
	return s.client.call(s.ctx, http.MethodPut, userPath(name), u, nil)
}

type addUserCmd struct {
	Name     string `arg:"" help:"Name."`
	Password string `arg:"" help:"Password."`
	Tags     string `help:"Tags, parted by commas."`
}

// Run implements the command.
func (c *addUserCmd) Run(s *session) error {
	var all []user
	if err := s.client.call(s.ctx, http.MethodGet, "/api/users", nil, &all); err != nil {
		return err
	}
	for _, u := range all {
		if u.Name == c.Name {
			return fmt.Errorf("user %q already exists", c.Name)
		}
	}
	s.heading("Adding user \"%s\" ...", c.Name)
	tags := []string{}
	if c.Tags != "" {
		tags = strings.Split(c.Tags, ",")
		s.warnOfTags(tags)
	}
	return s.client.call(s.ctx, http.MethodPut, userPath(c.Name), user{Password: &c.Password, Tags: tags}, nil)
}

type deleteUserCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *deleteUserCmd) Run(s *session) error {
	s.heading("Deleting user \"%s\" ...", c.Name)
	return s.client.call(s.ctx, http.MethodDelete, userPath(c.Name), nil, nil)
}

type changePasswordCmd struct {
	Name     string `arg:"" help:"Name."`
	Password string `arg:"" help:"New password."`
}

// Run implements the command.
func (c *changePasswordCmd) Run(s *session) error {
	s.heading("Changing password for user \"%s\" ...", c.Name)
	return s.change(c.Name, func(u *user) { u.Password, u.PasswordHash, u.Hashing = &c.Password, nil, "" })
}

type clearPasswordCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearPasswordCmd) Run(s *session) error {
	s.heading("Clearing password for user \"%s\" ...", c.Name)
	return s.change(c.Name, func(u *user) { u.PasswordHash = new(string) })
}

type authenticateUserCmd struct {
	Name     string `arg:"" help:"Name."`
	Password string `arg:"" help:"Password."`
}

// Run implements the command. The API answers a wrong password and a user who is no
// manager with one status, and two reasons.
func (c *authenticateUserCmd) Run(s *session) error {
	s.heading("Authenticating user \"%s\" ...", c.Name)
	s.client.user, s.client.password = c.Name, c.Password
	err := s.client.call(s.ctx, http.MethodGet, "/api/whoami", nil, nil)
	if err != nil && err.Error() != "Not management user" && err.Error() != "User can only log in via localhost" {
		return errors.New("failed to authenticate user \"" + c.Name + "\": " + err.Error())
	}
	s.heading("Success")
	return nil
}

// knownTags are those that the broker asks for. Others are kept, as in RabbitMQ: a client or
// another tool may know what they are for.
var knownTags = []string{"administrator", "monitoring", "policymaker", "management", "impersonator"}

func (s *session) warnOfTags(tags []string) {
	for _, t := range tags {
		if !slices.Contains(knownTags, t) {
			s.warn("tag %q grants nothing here; those that do are %s", t, strings.Join(knownTags, ", "))
		}
	}
}

type setUserTagsCmd struct {
	Name string   `arg:"" help:"Name."`
	Tags []string `arg:"" optional:"" help:"Tags; none takes all away."`
}

// Run implements the command.
func (c *setUserTagsCmd) Run(s *session) error {
	s.heading("Setting tags for user \"%s\" to [%s] ...", c.Name, strings.Join(c.Tags, ", "))
	s.warnOfTags(c.Tags)
	return s.change(c.Name, func(u *user) { u.Tags = append([]string{}, c.Tags...) })
}

type listUsersCmd struct{}

// Run implements the command.
func (c *listUsersCmd) Run(s *session) error {
	return s.show(listing{path: "/api/users", title: "Listing users", columns: []string{"user", "tags"}, defaults: 2, keys: map[string]string{"user": "name"}}, nil)
}
