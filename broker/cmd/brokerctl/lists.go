package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// listing is one of the list commands.
type listing struct {
	command  string
	title    string
	path     string // of the API
	columns  []string
	defaults int // how many of the columns are shown if none is named
	keys     map[string]string
	fill     func(map[string]any) // adds what the API leaves out
}

// inVHost returns the path of a list within the session's virtual host.
func (s *session) inVHost(kind string) string { return "/api/" + kind + "/" + url.PathEscape(s.vhost) }

// show gets the list and prints it.
func (s *session) show(l listing, columns []string) error {
	var list []map[string]any
	if err := s.checkColumns(l, &columns); err != nil {
		return err
	}
	if err := s.client.call(s.ctx, http.MethodGet, l.path, nil, &list); err != nil {
		return err
	}
	for _, m := range list {
		if l.fill != nil {
			l.fill(m)
		}
	}
	s.heading("%s ...", l.title)
	return s.table(list, columns, l.keys)
}

func (s *session) checkColumns(l listing, columns *[]string) error {
	for _, c := range *columns {
		if !slices.Contains(l.columns, c) {
			return fmt.Errorf("%w: %s has no column %q; did you mean %q? There are: %s", errUsage, l.command, c, nearest(c, l.columns), strings.Join(l.columns, " "))
		}
	}
	if len(*columns) == 0 {
		*columns = l.columns[:l.defaults]
	}
	return nil
}

// columnsArg are the columns that a list command is told.
type columnsArg struct {
	Columns []string `arg:"" optional:"" help:"Columns; wrong ones are answered with those that there are."`
}

var queueListing = listing{
	command: "list_queues", defaults: 2,
	columns: []string{
		"name", "messages", "vhost", "type", "durable", "auto_delete", "exclusive", "arguments", "policy", "operator_policy", "effective_policy_definition",
		"pid", "owner_pid", "exclusive_consumer_pid", "exclusive_consumer_tag", "messages_ready", "messages_unacknowledged", "messages_ready_ram",
		"messages_unacknowledged_ram", "messages_ram", "messages_persistent", "message_bytes", "message_bytes_ready", "message_bytes_unacknowledged",
		"message_bytes_ram", "message_bytes_persistent", "head_message_timestamp", "disk_reads", "disk_writes", "consumers", "consumer_utilisation",
		"consumer_capacity", "memory", "state", "leader", "members", "online", "node", "slave_pids", "synchronised_slave_pids", "mirror_pids",
		"synchronised_mirror_pids", "publish_rate", "deliver_rate", "ack_rate",
	},
	keys: map[string]string{
		"pid": "leader", "slave_pids": "slave_nodes", "mirror_pids": "slave_nodes", "owner_pid": "owner_pid_details.name",
		"synchronised_slave_pids": "synchronised_slave_nodes", "synchronised_mirror_pids": "synchronised_slave_nodes",
		"publish_rate": "message_stats.publish_details.rate", "deliver_rate": "message_stats.deliver_get_details.rate", "ack_rate": "message_stats.ack_details.rate",
	},
}

type listQueuesCmd struct {
	columnsArg
	Online  bool `help:"Only queues that are served."`
	Offline bool `help:"Only queues that are not."`
	Local   bool `help:"Only queues whose leader is the node that answers."`
}

// Run implements the command.
func (c *listQueuesCmd) Run(s *session) error {
	columns := c.Columns
	if err := s.checkColumns(queueListing, &columns); err != nil {
		return err
	}
	var list []map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, s.inVHost("queues"), nil, &list); err != nil {
		return err
	}
	var self struct{ Node string }
	if c.Local {
		if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=node", nil, &self); err != nil {
			return err
		}
	}
	list = slices.DeleteFunc(list, func(q map[string]any) bool {
		down := q["state"] == "down"
		return c.Online && down || c.Offline && !down || c.Local && q["leader"] != self.Node
	})
	s.heading("Timeout: %.1f seconds ...\nListing queues for vhost %s ...", requestTimeout.Seconds(), s.vhost)
	return s.table(list, columns, queueListing.keys)
}

type listUnresponsiveCmd struct{ columnsArg }

// Run implements the command.
func (c *listUnresponsiveCmd) Run(s *session) error {
	l := queueListing
	l.command, l.defaults = "list_unresponsive_queues", 1
	columns := c.Columns
	if err := s.checkColumns(l, &columns); err != nil {
		return err
	}
	var list []map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, s.inVHost("queues"), nil, &list); err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(q map[string]any) bool { return q["stats_stale"] != true && q["state"] != "down" })
	s.heading("Listing unresponsive queues for vhost %s ...", s.vhost)
	return s.table(list, columns, l.keys)
}

type listExchangesCmd struct{ columnsArg }

// Run implements the command.
func (c *listExchangesCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_exchanges", title: "Listing exchanges for vhost " + s.vhost, path: s.inVHost("exchanges"), defaults: 2,
		columns: []string{"name", "type", "durable", "auto_delete", "internal", "arguments", "policy"},
	}, c.Columns)
}

type listBindingsCmd struct{ columnsArg }

// Run implements the command.
func (c *listBindingsCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_bindings", title: "Listing bindings for vhost " + s.vhost, path: s.inVHost("bindings"), defaults: 6,
		columns: []string{"source_name", "source_kind", "destination_name", "destination_kind", "routing_key", "arguments", "properties_key"},
		keys:    map[string]string{"source_name": "source", "destination_name": "destination", "destination_kind": "destination_type"},
		fill:    func(m map[string]any) { m["source_kind"] = "exchange" },
	}, c.Columns)
}

type listConsumersCmd struct{ columnsArg }

// Run implements the command.
func (c *listConsumersCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_consumers", title: "Listing consumers in vhost " + s.vhost, path: s.inVHost("consumers"), defaults: 7,
		columns: []string{"queue_name", "channel_pid", "consumer_tag", "ack_required", "prefetch_count", "active", "arguments", "activity_status", "exclusive", "priority"},
		keys:    map[string]string{"queue_name": "queue.name", "channel_pid": "channel_details.name"},
	}, c.Columns)
}

type listChannelsCmd struct{ columnsArg }

// Run implements the command.
func (c *listChannelsCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_channels", title: "Listing channels", path: "/api/channels", defaults: 4,
		columns: []string{
			"pid", "user", "consumer_count", "messages_unacknowledged", "name", "number", "connection", "vhost", "transactional", "confirm", "messages_uncommitted",
			"acks_uncommitted", "messages_unconfirmed", "prefetch_count", "global_prefetch_count", "state", "node",
		},
		keys: map[string]string{"pid": "name", "connection": "connection_details.name"},
	}, c.Columns)
}

type listConnectionsCmd struct{ columnsArg }

// Run implements the command.
func (c *listConnectionsCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_connections", title: "Listing connections", path: "/api/connections", defaults: 4,
		columns: []string{
			"user", "peer_host", "peer_port", "state", "name", "pid", "vhost", "node", "host", "port", "protocol", "auth_mechanism", "channels", "channel_max",
			"frame_max", "timeout", "connected_at", "user_provided_name", "client_properties", "ssl", "ssl_protocol", "ssl_cipher", "peer_cert_subject",
			"peer_cert_issuer", "recv_oct", "recv_cnt", "send_oct", "send_cnt", "send_pend",
		},
		keys: map[string]string{"pid": "name"},
	}, c.Columns)
}

type listVHostsCmd struct{ columnsArg }

// Run implements the command.
func (c *listVHostsCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_vhosts", title: "Listing vhosts", path: "/api/vhosts", defaults: 1,
		columns: []string{"name", "description", "tags", "default_queue_type", "tracing", "cluster_state", "metadata", "protected_from_deletion"},
	}, c.Columns)
}

type listFeatureFlagsCmd struct{ columnsArg }

// Run implements the command.
func (c *listFeatureFlagsCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_feature_flags", title: "Listing feature flags", path: "/api/feature-flags", defaults: 2,
		columns: []string{"name", "state", "stability", "provided_by", "desc", "doc_url"},
	}, c.Columns)
}

type listHashesCmd struct{}

// Run implements the command.
func (c *listHashesCmd) Run(s *session) error {
	s.heading("Listing all supported password hashing algorithms ...")
	var list []map[string]any
	for _, a := range []string{"rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512", "rabbit_password_hashing_md5"} {
		list = append(list, map[string]any{"algorithm": a})
	}
	return s.table(list, []string{"algorithm"}, nil)
}

type listParametersCmd struct{}

// Run implements the command.
func (c *listParametersCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_parameters", title: "Listing runtime parameters for vhost \"" + s.vhost + "\"", defaults: 3,
		path: "/api/parameters/vhost-limits/" + url.PathEscape(s.vhost), columns: []string{"component", "name", "value"},
	}, nil)
}

type listGlobalParametersCmd struct{}

// Run implements the command.
func (c *listGlobalParametersCmd) Run(s *session) error {
	return s.show(listing{
		command: "list_global_parameters", title: "Listing global runtime parameters", path: "/api/global-parameters", defaults: 2, columns: []string{"name", "value"},
	}, nil)
}

type policiesThatMatchCmd struct {
	Queue string `arg:"" help:"Name of the queue."`
}

// Run implements the command: the one that applies first, then by priority.
func (c *policiesThatMatchCmd) Run(s *session) error {
	var q struct {
		Policy         string `json:"policy"`
		OperatorPolicy string `json:"operator_policy"`
	}
	if err := s.client.call(s.ctx, http.MethodGet, s.inVHost("queues")+"/"+url.PathEscape(c.Queue), nil, &q); err != nil {
		return err
	}
	s.heading("Listing policies that match queue %s in vhost %s ...", c.Queue, s.vhost)
	var matching []map[string]any
	for kind, name := range map[string]string{"policies": q.Policy, "operator-policies": q.OperatorPolicy} {
		if name == "" {
			continue
		}
		var p map[string]any
		if err := s.client.call(s.ctx, http.MethodGet, s.inVHost(kind)+"/"+url.PathEscape(name), nil, &p); err != nil {
			return err
		}
		p["kind"] = strings.TrimSuffix(strings.ReplaceAll(kind, "ies", "y"), "s")
		matching = append(matching, p)
	}
	slices.SortFunc(matching, func(a, b map[string]any) int { return strings.Compare(cell(b["kind"]), cell(a["kind"])) })
	return s.table(matching, []string{"kind", "name", "pattern", "apply-to", "definition", "priority"}, nil)
}
