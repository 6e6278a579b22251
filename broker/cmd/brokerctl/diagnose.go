package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

type pingCmd struct{}

// Run implements the command.
func (c *pingCmd) Run(s *session) error {
	var o overviewStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=node", nil, &o); err != nil {
		return err
	}
	s.heading("Will ping %s.\nPing succeeded", o.Node)
	return nil
}

type statusCmd struct{}

// Run implements the command.
func (c *statusCmd) Run(s *session) error {
	var o, n map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &o); err != nil {
		return err
	}
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes/"+url.PathEscape(cell(o["node"])), nil, &n); err != nil {
		return err
	}
	uptime, _ := n["uptime"].(float64)
	s.heading("Status of node %s ...", cell(o["node"]))
	names := []string{
		"product", "version", "speaks_as", "cluster_name", "uptime", "os_pid", "go", "data_directory", "memory_used_bytes", "memory_limit_bytes", "disk_free_bytes",
		"disk_free_limit_bytes", "log_bytes", "message_files_bytes", "files_open", "files_max", "goroutines", "connections", "channels", "queues", "placement_groups",
		"placement_groups_led", "amqp", "management", "peer", "being_drained",
	}
	return s.facts(names, map[string]any{
		"product": o["product_name"], "version": o["product_version"], "speaks_as": "RabbitMQ " + cell(o["rabbitmq_version"]), "cluster_name": o["cluster_name"],
		"uptime": (time.Duration(uptime) * time.Millisecond).Round(time.Second).String(), "os_pid": n["os_pid"], "go": o["erlang_version"], "data_directory": n["db_dir"],
		"memory_used_bytes": n["mem_used"], "memory_limit_bytes": n["mem_limit"], "disk_free_bytes": n["disk_free"], "disk_free_limit_bytes": n["disk_free_limit"],
		"log_bytes": n["log_bytes"], "message_files_bytes": n["run_bytes"], "files_open": n["fd_used"], "files_max": n["fd_total"], "goroutines": n["proc_used"],
		"connections": n["connections"], "channels": n["channels"], "queues": value(o, "object_totals.queues"), "placement_groups": n["placement_groups"],
		"placement_groups_led": n["placement_groups_led"], "amqp": n["amqp"], "management": n["management"], "peer": n["peer"], "being_drained": n["being_drained"],
	})
}

type environmentCmd struct{}

// Run implements the command.
func (c *environmentCmd) Run(s *session) error {
	var o map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &o); err != nil {
		return err
	}
	s.heading("Application environment of node %s ...", cell(o["node"]))
	return s.facts([]string{"node", "product", "version", "listeners", "exchange_types"}, map[string]any{
		"node": o["node"], "product": o["product_name"], "version": o["product_version"], "listeners": o["listeners"], "exchange_types": o["exchange_types"],
	})
}

type versionCmd struct{}

// Run implements the command.
func (c *versionCmd) Run(s *session) error {
	var v struct {
		Version string `json:"product_version"`
	}
	if err := s.client.call(s.ctx, http.MethodGet, "/api/version", nil, &v); err != nil {
		return err
	}
	fmt.Fprintln(s.out, v.Version)
	return nil
}

// reportParts are the commands whose output a report consists of.
func reportParts() []interface{ Run(*session) error } {
	return []interface{ Run(*session) error }{
		&statusCmd{}, &clusterStatusCmd{}, &listConnectionsCmd{}, &listChannelsCmd{}, &listQueuesCmd{}, &listExchangesCmd{}, &listBindingsCmd{},
		&listConsumersCmd{}, &listPoliciesCmd{}, &listVHostsCmd{}, &listUsersCmd{}, &listPermissionsCmd{}, &listParametersCmd{}, &listGlobalParametersCmd{},
	}
}

type reportCmd struct{}

// Run implements the command.
func (c *reportCmd) Run(s *session) error {
	fmt.Fprintf(s.out, "Report of %s, brokerctl on %s/%s\n\n", time.Now().UTC().Format(time.RFC3339), runtime.GOOS, runtime.GOARCH)
	for _, part := range reportParts() {
		if err := part.Run(s); err != nil {
			fmt.Fprintln(s.out, "not to be had:", err)
		}
		fmt.Fprintln(s.out)
	}
	return nil
}

// healthArg is a health check of the API.
func (s *session) check(path, good string) error {
	if err := s.client.call(s.ctx, http.MethodGet, "/api/health/checks/"+path, nil, nil); err != nil {
		return err
	}
	s.heading("%s", good)
	return nil
}

type checkRunningCmd struct{}

// Run implements the command.
func (c *checkRunningCmd) Run(s *session) error {
	return s.check("is-in-service", "The node is fully booted and running")
}

type checkAlarmsCmd struct{}

// Run implements the command.
func (c *checkAlarmsCmd) Run(s *session) error {
	return s.check("alarms", "No alarms in effect in the cluster")
}

type checkLocalAlarmsCmd struct{}

// Run implements the command.
func (c *checkLocalAlarmsCmd) Run(s *session) error {
	return s.check("local-alarms", "Node reported no local alarms")
}

type checkVHostsCmd struct{}

// Run implements the command.
func (c *checkVHostsCmd) Run(s *session) error {
	return s.check("virtual-hosts", "All virtual hosts are running")
}

type checkPortListenerCmd struct {
	Port int `arg:"" help:"Port."`
}

// Run implements the command.
func (c *checkPortListenerCmd) Run(s *session) error {
	return s.check("port-listener/"+strconv.Itoa(c.Port), fmt.Sprintf("A listener for port %d is running", c.Port))
}

type checkProtocolListenerCmd struct {
	Protocol string `arg:"" help:"Protocol: amqp, http or clustering."`
}

// Run implements the command.
func (c *checkProtocolListenerCmd) Run(s *session) error {
	return s.check("protocol-listener/"+url.PathEscape(c.Protocol), "A listener for protocol "+c.Protocol+" is running")
}

type checkQuorumCriticalCmd struct{}

// Run implements the command.
func (c *checkQuorumCriticalCmd) Run(s *session) error {
	return s.check("node-is-quorum-critical", "Node reported no quorum queues with minimum quorum")
}

type checkPortsCmd struct {
	Timeout time.Duration `short:"t" default:"5s" help:"How long to try each."`
}

// Run implements the command: it connects from here, not from the node.
func (c *checkPortsCmd) Run(s *session) error {
	var listeners []struct {
		Node, Protocol string
		Address        string `json:"ip_address"`
		Port           int
	}
	var o struct{ Listeners any }
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=listeners", nil, &o); err != nil {
		return err
	}
	if err := remarshal(o.Listeners, &listeners); err != nil {
		return err
	}
	var bad []string
	d := net.Dialer{Timeout: c.Timeout}
	for _, l := range listeners {
		conn, err := d.DialContext(s.ctx, "tcp", net.JoinHostPort(l.Address, strconv.Itoa(l.Port)))
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s of node %s: %v", l.Protocol, l.Node, err))
			continue
		}
		_ = conn.Close()
	}
	if len(bad) > 0 {
		return errors.New("connection attempts failed: " + strings.Join(bad, "; "))
	}
	s.heading("Successfully connected to all %d listeners", len(listeners))
	return nil
}

type listenersCmd struct{}

// Run implements the command.
func (c *listenersCmd) Run(s *session) error {
	var o struct{ Listeners []map[string]any }
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=listeners", nil, &o); err != nil {
		return err
	}
	return s.table(o.Listeners, []string{"node", "protocol", "ip_address", "port"}, nil)
}

type alarmsCmd struct{}

// Run implements the command.
func (c *alarmsCmd) Run(s *session) error {
	var nodes []map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	var list []map[string]any
	for _, n := range nodes {
		for key, name := range map[string]string{"mem_alarm": "memory", "disk_free_alarm": "disk"} {
			if n[key] == true {
				list = append(list, map[string]any{"node": n["name"], "alarm": name})
			}
		}
	}
	if len(list) == 0 && s.format == formatTable {
		s.heading("Node reported no alarms, local or clusterwide")
		return nil
	}
	return s.table(list, []string{"node", "alarm"}, nil)
}

type memoryCmd struct{}

// Run implements the command.
func (c *memoryCmd) Run(s *session) error {
	var o overviewStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=node", nil, &o); err != nil {
		return err
	}
	var m struct{ Memory map[string]any }
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes/"+url.PathEscape(o.Node)+"/memory", nil, &m); err != nil {
		return err
	}
	s.heading("Reporting memory breakdown on node %s ...", o.Node)
	return s.facts([]string{"resident", "heap", "other"}, map[string]any{
		"resident": value(m.Memory, "total.rss"), "heap": m.Memory["heap"], "other": m.Memory["other_system"],
	})
}

type awaitNodesCmd struct {
	Count   int           `arg:"" help:"How many nodes must run."`
	Timeout time.Duration `short:"t" help:"How long to wait." default:"5m"`
}

// Run implements the command.
func (c *awaitNodesCmd) Run(s *session) error {
	s.heading("Waiting for at least %d nodes to come up", c.Count)
	bar := s.progress("nodes running")
	return s.poll(c.Timeout, fmt.Sprintf("fewer than %d nodes run", c.Count), func() (bool, error) {
		running, err := s.running()
		bar.at(min(running, c.Count), c.Count)
		return running >= c.Count, err
	})
}

func (s *session) running() (n int, err error) {
	var nodes []nodeStatus
	err = s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes)
	for _, x := range nodes {
		if x.Running {
			n++
		}
	}
	return n, err
}

type awaitQuorumCmd struct {
	Timeout time.Duration `short:"t" help:"How long to wait." default:"60s"`
}

// Run implements the command.
func (c *awaitQuorumCmd) Run(s *session) error {
	return s.poll(c.Timeout, "queues still depend on this node", func() (bool, error) {
		err := s.client.call(s.ctx, http.MethodGet, "/api/health/checks/node-is-quorum-critical", nil, nil)
		return err == nil, err
	})
}

// columnsOf returns the columns of the list commands, for completion.
func columnsOf(command string) []string {
	if command == "list_queues" {
		return queueListing.columns
	}
	return nil
}

// withoutTool drops the name of the tool in front of a command: there is one for all.
func withoutTool(args []string) []string {
	tools := []string{"diagnostics", "queues", "upgrade", "ctl"}
	for i, a := range args {
		switch {
		case slices.Contains(tools, a):
			return slices.Delete(slices.Clone(args), i, i+1)
		case !strings.HasPrefix(a, "-") && !(i > 0 && slices.Contains(valueFlags, args[i-1])):
			return args
		}
	}
	return args
}

// valueFlags are the general flags that a value follows.
var valueFlags = []string{"-n", "--node", "--nodes", "--user", "--password", "--ca", "-p", "--vhost", "--formatter"}
