package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// policies are those of the users, or of the operator.
type policies struct {
	path, title string
}

var (
	userPolicies     = policies{"/api/policies", "policy"}
	operatorPolicies = policies{"/api/operator-policies", "operator policy override"}
)

type policy struct {
	VHost      string         `json:"vhost"`
	Name       string         `json:"name"`
	Pattern    string         `json:"pattern"`
	ApplyTo    string         `json:"apply-to"`
	Priority   int            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

func (p policies) one(s *session, name string) string {
	return p.path + "/" + url.PathEscape(s.vhost) + "/" + url.PathEscape(name)
}

func (p policies) list(s *session, heading string) error {
	return s.show(listing{
		path: s.inVHost(strings.TrimPrefix(p.path, "/api/")), title: strings.TrimSuffix(fmt.Sprintf(heading, s.vhost), " ..."), defaults: 6,
		columns: []string{"vhost", "name", "pattern", "apply-to", "definition", "priority"},
	}, nil)
}

// policyArgs are what a policy consists of.
type policyArgs struct {
	Name       string `arg:"" help:"Name."`
	Pattern    string `arg:"" help:"Regular expression that names must match; empty matches all."`
	Definition string `arg:"" help:"JSON object, such as {\"ha-mode\":\"all\"}."`
	Priority   int    `help:"The highest that matches applies." default:"0"`
}

func (p policies) set(s *session, c policyArgs, applyTo string) error {
	var definition map[string]any
	if err := json.Unmarshal([]byte(c.Definition), &definition); err != nil {
		return fmt.Errorf("%w: definition %q is not a JSON object: %w", errUsage, c.Definition, err)
	}
	s.heading("Setting %s \"%s\" for pattern \"%s\" to \"%s\" with priority \"%d\" for vhost \"%s\" ...",
		p.title, c.Name, c.Pattern, c.Definition, c.Priority, s.vhost)
	return s.client.call(s.ctx, http.MethodPut, p.one(s, c.Name), policy{
		Pattern: c.Pattern, ApplyTo: applyTo, Priority: c.Priority, Definition: definition,
	}, nil)
}

func (p policies) clear(s *session, name string) error {
	s.heading("Clearing %s \"%s\" on vhost \"%s\" ...", p.title, name, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, p.one(s, name), nil, nil)
}

type listPoliciesCmd struct{}

// Run implements the command.
func (c *listPoliciesCmd) Run(s *session) error {
	return userPolicies.list(s, "Listing policies for vhost \"%s\" ...")
}

type setPolicyCmd struct {
	policyArgs
	ApplyTo string `name:"apply-to" help:"What it applies to: ${enum}." enum:"queues,exchanges,all,classic_queues,quorum_queues,streams" default:"all"`
}

// Run implements the command.
func (c *setPolicyCmd) Run(s *session) error { return userPolicies.set(s, c.policyArgs, c.ApplyTo) }

type clearPolicyCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearPolicyCmd) Run(s *session) error { return userPolicies.clear(s, c.Name) }

type listOperatorPoliciesCmd struct{}

// Run implements the command.
func (c *listOperatorPoliciesCmd) Run(s *session) error {
	return operatorPolicies.list(s, "Listing operator policy overrides for vhost \"%s\" ...")
}

type setOperatorPolicyCmd struct {
	policyArgs
	ApplyTo string `name:"apply-to" help:"What it applies to: ${enum}." enum:"queues,all,classic_queues,quorum_queues,streams" default:"all"`
}

// Run implements the command.
func (c *setOperatorPolicyCmd) Run(s *session) error {
	return operatorPolicies.set(s, c.policyArgs, c.ApplyTo)
}

type clearOperatorPolicyCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearOperatorPolicyCmd) Run(s *session) error { return operatorPolicies.clear(s, c.Name) }
