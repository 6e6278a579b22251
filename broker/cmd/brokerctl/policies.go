package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

type listPoliciesCmd struct{}

type policy struct {
	VHost      string         `json:"vhost"`
	Name       string         `json:"name"`
	Pattern    string         `json:"pattern"`
	ApplyTo    string         `json:"apply-to"`
	Priority   int            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

// Run implements the command.
func (c *listPoliciesCmd) Run(s *session) error {
	var policies []policy
	if err := s.client.call(s.ctx, http.MethodGet, "/api/policies", nil, &policies); err != nil {
		return err
	}
	s.heading("Listing policies for vhost \"%s\" ...", s.vhost)
	s.heading("vhost\tname\tpattern\tapply-to\tdefinition\tpriority")
	for _, p := range policies {
		if p.VHost == s.vhost {
			fmt.Fprintf(s.out, "%s\t%s\t%s\t%s\t%s\t%d\n", p.VHost, p.Name, p.Pattern, p.ApplyTo, cell(p.Definition), p.Priority)
		}
	}
	return nil
}

type setPolicyCmd struct {
	Name       string `arg:"" help:"Name."`
	Pattern    string `arg:"" help:"Regular expression that names must match; empty matches all."`
	Definition string `arg:"" help:"JSON object, such as {\"ha-mode\":\"all\"}."`
	Priority   int    `help:"The highest that matches applies." default:"0"`
	ApplyTo    string `name:"apply-to" help:"What it applies to: ${enum}." enum:"queues,exchanges,all,classic_queues,quorum_queues" default:"all"`
}

func policyPath(s *session, name string) string {
	return "/api/policies/" + url.PathEscape(s.vhost) + "/" + url.PathEscape(name)
}

// Run implements the command.
func (c *setPolicyCmd) Run(s *session) error {
	var definition map[string]any
	if err := json.Unmarshal([]byte(c.Definition), &definition); err != nil {
		return fmt.Errorf("%w: definition %q is not a JSON object: %w", errUsage, c.Definition, err)
	}
	s.heading("Setting policy \"%s\" for pattern \"%s\" to \"%s\" with priority \"%d\" for vhost \"%s\" ...",
		c.Name, c.Pattern, c.Definition, c.Priority, s.vhost)
	return s.client.call(s.ctx, http.MethodPut, policyPath(s, c.Name), policy{
		Pattern: c.Pattern, ApplyTo: c.ApplyTo, Priority: c.Priority, Definition: definition,
	}, nil)
}

type clearPolicyCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearPolicyCmd) Run(s *session) error {
	s.heading("Clearing policy \"%s\" on vhost \"%s\" ...", c.Name, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, policyPath(s, c.Name), nil, nil)
}
